//! Text that may show up nowhere: the key and the people of every stage, and the search for them in all their forms.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::fmt::{Display, Write};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::LazyLock;

/// The API key of a stage's account.
pub const API_KEY: &str = "canary7Qz2kX9mB4tL8wR1sN6yJ3hF5dC0gP7uE2aV9oK4iT";
/// Stands in each address of [`email`].
const EMAIL: &str = "kanarek8vq3zx5wp";
/// Stands in each name of [`name`].
const NAME: &str = "Kanarinho6tj4yd9r";
/// A telephone number that belongs to nobody.
pub const PHONE: &str = "+4915799900417263";
/// How a JSON web token begins, whichever of its header's members comes first.
const TOKENS: [&str; 2] = ["eyJ0eXAiOi", "eyJhbGciOi"];
/// A key that shows in part shows too: any 31 characters of it hold one of these pieces.
const PIECE: usize = 16;
/// More findings of one place tell nothing new.
const MOST: usize = 3;

/// A person's address.
pub fn email(person: impl Display) -> String {
    format!("{EMAIL}.{person}@example.com")
}

/// A person's first name.
pub fn name(person: impl Display) -> String {
    format!("{NAME} {person}")
}

/// A person's row in a file of `email,first_name`.
pub fn row(person: impl Display) -> String {
    format!("{},{}\n", email(&person), name(&person))
}

/// A file of `email,first_name` with these rows, each with its end of line.
pub fn csv(rows: impl IntoIterator<Item = String>) -> String {
    std::iter::once("email,first_name\n".to_owned()).chain(rows).collect()
}

/// A file of so many people, numbered from 0.
pub fn people(count: usize) -> String {
    csv((0..count).map(row))
}

/// What a piece of text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Key,
    Person,
    Token,
}

struct Needle {
    kind: Kind,
    form: &'static str,
    bytes: Vec<u8>,
}

struct Search {
    needles: Vec<Needle>,
    automaton: AhoCorasick,
}

static SEARCH: LazyLock<Search> = LazyLock::new(|| {
    let mut needles = Vec::new();
    for piece in API_KEY.as_bytes().chunks(PIECE) {
        needles.extend(forms(Kind::Key, piece));
    }
    for text in [EMAIL, NAME, PHONE.trim_start_matches('+')] {
        needles.extend(forms(Kind::Person, text.as_bytes()));
    }
    needles.extend(TOKENS.map(|token| Needle { kind: Kind::Token, form: "itself", bytes: token.into() }));
    let patterns: Vec<&[u8]> = needles.iter().map(|needle| needle.bytes.as_slice()).collect();
    let mut builder = AhoCorasick::builder();
    let automaton = builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(patterns).unwrap();
    Search { needles, automaton }
});

/// The forms in which a text may be written. Letters and digits stand for themselves in a URL and in JSON, unless they
/// are escaped for no need; the search does not look at case.
fn forms(kind: Kind, text: &[u8]) -> Vec<Needle> {
    let each = |write: fn(&mut String, u8)| {
        let mut written = String::new();
        text.iter().for_each(|byte| write(&mut written, *byte));
        written.into_bytes()
    };
    let numbers = |separator: &str| text.iter().map(u8::to_string).collect::<Vec<_>>().join(separator).into_bytes();
    let mut forms = vec![
        ("itself", text.to_vec()),
        ("hex", each(|to, byte| write!(to, "{byte:02x}").unwrap())),
        ("hex with spaces", each(|to, byte| write!(to, "{byte:02x} ").unwrap())),
        ("a URL's escapes", each(|to, byte| write!(to, "%{byte:02x}").unwrap())),
        ("JSON's escapes", each(|to, byte| write!(to, "\\u{byte:04x}").unwrap())),
        ("Rust's escapes", each(|to, byte| write!(to, "\\x{byte:02x}").unwrap())),
        ("UTF-16 LE", text.iter().flat_map(|byte| [*byte, 0]).collect()),
        ("UTF-16 BE", text.iter().flat_map(|byte| [0, *byte]).collect()),
        ("numbers", numbers(", ")),
        ("numbers of JSON", numbers(",")),
    ];
    for before in 0..3 {
        forms.push(("base64", base64_inside(&STANDARD_NO_PAD, text, before)));
        forms.push(("base64 for URLs", base64_inside(&URL_SAFE_NO_PAD, text, before)));
    }
    forms.into_iter().map(|(form, bytes)| Needle { kind, form, bytes }).collect()
}

/// Those characters of an encoding of a longer text that depend on `text` alone, which `before` bytes precede.
fn base64_inside(engine: &impl Engine, text: &[u8], before: usize) -> Vec<u8> {
    let written = engine.encode([&[0; 3][..before], text].concat());
    let (from, to) = ((before * 8).div_ceil(6), (before + text.len()) * 8 / 6);
    written.as_bytes()[from..to].to_vec()
}

/// The first canary in a text.
pub(crate) fn find(text: &[u8], may_show: impl Fn(Kind) -> bool) -> Option<String> {
    let mut found = SEARCH.automaton.find_iter(text).map(|found| &SEARCH.needles[found.pattern()]);
    found.find(|needle| !may_show(needle.kind)).map(|needle| format!("{:?} as {}", needle.kind, needle.form))
}

/// The first canary in a text that may show none.
#[must_use]
pub fn first_in(text: &[u8]) -> Option<String> {
    find(text, |_| false)
}

/// The length from which on two pieces of a text can be searched one by one.
pub(crate) fn longest() -> usize {
    SEARCH.automaton.max_pattern_len()
}

/// Searches a file, and tells each finding with what stands before it.
fn search_file(path: &Path, findings: &mut Vec<String>) {
    // A journal that SQLite removes meanwhile holds nothing any more.
    let Ok(file) = File::open(path) else { return };
    for found in SEARCH.automaton.stream_find_iter(file).take(MOST) {
        let found = found.unwrap();
        let needle = &SEARCH.needles[found.pattern()];
        let mut context = Vec::new();
        let begin = found.start().saturating_sub(200) as u64;
        let mut file = File::open(path).unwrap();
        file.seek(SeekFrom::Start(begin)).unwrap();
        file.take(found.end() as u64 - begin).read_to_end(&mut context).unwrap();
        let (kind, form, at) = (needle.kind, needle.form, found.start());
        let context = String::from_utf8_lossy(&context);
        findings.push(format!("{kind:?} as {form} in {} at {at}: …{context}", path.display()));
    }
}

/// Searches all files of a folder, except below these names in it.
pub(crate) fn search_folder(folder: &Path, except: &[&str], findings: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if except.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if path.is_dir() { search_folder(&path, &[], findings) } else { search_file(&path, findings) }
    }
}

/// Where below a folder the key of a stage's account shows, in any form.
#[must_use]
pub fn keys_in(folder: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    search_folder(folder, &[], &mut findings);
    findings.into_iter().filter(|found| found.starts_with("Key ")).collect()
}

/// Searches what everybody on the machine can read of a process.
pub(crate) fn search_process(id: u32, findings: &mut Vec<String>) {
    for name in ["cmdline", "environ"] {
        search_file(Path::new(&format!("/proc/{id}/{name}")), findings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: impl AsRef<[u8]>) -> Option<String> {
        find(text.as_ref(), |_| false)
    }

    #[test]
    fn a_key_is_found_in_every_form_whatever_stands_around_it() {
        let utf16 = |to_bytes: fn(u16) -> [u8; 2]| API_KEY.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
        let hex: String = API_KEY.bytes().map(|byte| format!("{byte:02X}")).collect();
        let escaped: String = API_KEY.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
        let url: String = API_KEY.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for text in [API_KEY.to_owned(), API_KEY.to_uppercase(), hex, escaped, url, format!("{:?}", API_KEY.as_bytes())]
        {
            assert!(found(format!("key={text}.")).is_some(), "{text}");
        }
        assert!(found(utf16(u16::to_le_bytes)).is_some() && found(utf16(u16::to_be_bytes)).is_some());
        for before in ["", "a", "ab", "abc", "?>~"] {
            for after in ["", "~", "~?", "~?>"] {
                let text = format!("{before}{API_KEY}{after}");
                assert!(found(STANDARD_NO_PAD.encode(&text)).is_some(), "{text}");
                assert!(found(URL_SAFE_NO_PAD.encode(&text)).is_some(), "{text}");
            }
        }
    }

    #[test]
    fn a_part_of_a_key_and_a_normalised_address_are_found_and_a_plain_text_is_not() {
        assert!(found(&API_KEY[5..36]).is_some() && found(&API_KEY[API_KEY.len() - 31..]).is_some());
        assert!(found(email(7).to_uppercase()).is_some() && found(name("x")).is_some() && found(PHONE).is_some());
        assert_eq!(found("the key was refused; person@example.com"), None);
        assert_eq!(find(email(7).as_bytes(), |kind| kind == Kind::Person), None);
    }

    #[test]
    fn a_finding_in_a_folder_is_told_with_what_stands_before_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        std::fs::write(folder.path().join("data/file"), format!("to={}", email(1))).unwrap();
        let mut findings = Vec::new();
        search_folder(folder.path(), &["data"], &mut findings);
        assert!(findings.is_empty());
        search_folder(folder.path(), &[], &mut findings);
        assert!(findings.len() == 1 && findings[0].contains("Person as itself"), "{findings:?}");
        assert!(findings[0].contains("…to="), "{findings:?}");
    }
}
