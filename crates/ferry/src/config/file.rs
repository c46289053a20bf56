//! A configuration file: what it says, and all that is wrong with it.

use super::keys::{Key, Kind};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How alike two names are that one may be meant for the other, from 0 to 1.
const ALIKE: f64 = 0.8;

/// What a file says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// Its place among the keys.
    pub(crate) key: usize,
    /// As a flag would have them.
    pub(crate) values: Vec<String>,
    /// Of the file.
    pub(crate) line: usize,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Of the file; nothing where no line is at fault.
    pub(crate) line: Option<usize>,
    pub(crate) text: String,
}

/// A file with its name, for what is told of it.
pub(crate) struct Located<'a>(pub(crate) &'a Path, pub(crate) &'a Fault);

impl fmt::Display for Located<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path, Fault { line, text }) = self;
        match line {
            Some(line) => write!(f, "{}:{line}: {text}", path.display()),
            None => write!(f, "{}: {text}", path.display()),
        }
    }
}

/// Reads a file's text.
pub(crate) fn read(text: &str, keys: &[Key]) -> (Vec<Given>, Vec<Fault>) {
    let mut reading = Reading { text, keys, given: Vec::new(), faults: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        reading.fault(error.span(), error.message().to_owned());
    }
    // Of what is left after a mistake in the form nothing is certain.
    if errors.is_empty() {
        for (section, value) in table.get_ref() {
            reading.section(section, value);
        }
    }
    reading.faults.sort_by_key(|fault| fault.line);
    // The order of the file, and not that of the alphabet.
    reading.given.sort_by_key(|given| given.line);
    (reading.given, reading.faults)
}

struct Reading<'a> {
    text: &'a str,
    keys: &'a [Key],
    given: Vec<Given>,
    faults: Vec<Fault>,
}

impl Reading<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    fn fault(&mut self, span: Option<Range<usize>>, text: String) {
        let line = span.map(|span| self.line(span.start));
        self.faults.push(Fault { line, text });
    }

    fn section(&mut self, name: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let section = name.get_ref().as_ref();
        let known = self.keys.iter().any(|key| key.section == section);
        let Some(table) = value.get_ref().as_table() else {
            let belongs = match self.keys.iter().find(|key| key.name == section) {
                Some(key) => format!("`{section}` stands in no section; it belongs into [{}]", key.section),
                None => format!("`{section}` stands in no section, and is no key{}", self.nearest(section)),
            };
            return self.fault(Some(name.span()), belongs);
        };
        if !known {
            let sections = self.keys.iter().map(|key| key.section.as_str());
            let nearest = alike(section, sections).map(|near| format!("; is [{near}] meant?")).unwrap_or_default();
            return self.fault(Some(name.span()), format!("[{section}] is no section{nearest}"));
        }
        for (key, value) in table {
            self.key(section, key, value);
        }
    }

    fn key(&mut self, section: &str, name: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let wanted = name.get_ref().as_ref();
        let Some(place) = self.keys.iter().position(|key| key.name == wanted) else {
            let text = format!("`{wanted}` is no key{}", self.nearest(wanted));
            return self.fault(Some(name.span()), text);
        };
        let keys = self.keys;
        let key = &keys[place];
        if key.section != section {
            let text = format!("`{wanted}` belongs into [{}], not into [{section}]", key.section);
            return self.fault(Some(name.span()), text);
        }
        match values(key, value.get_ref()) {
            Ok(values) => {
                let line = self.line(name.span().start);
                self.given.push(Given { key: place, values, line });
            }
            Err(why) => self.fault(Some(value.span()), format!("`{}`: {why}", key.path())),
        }
    }

    fn nearest(&self, name: &str) -> String {
        match alike(name, self.keys.iter().map(|key| key.name.as_str())) {
            Some(near) => {
                let section = self.keys.iter().find(|key| key.name == near).map_or("", |key| &key.section);
                format!("; is `{near}` in [{section}] meant?")
            }
            None => "; `ferry config reference` shows all".to_owned(),
        }
    }
}

/// The name that one may be meant for.
pub(crate) fn alike<'a>(name: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let rated = among.map(|other| (strsim::jaro_winkler(name, other), other));
    rated.filter(|(rate, _)| *rate >= ALIKE).max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, near)| near)
}

fn values(key: &Key, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let values = match value {
        DeValue::Array(items) if key.is_list() => {
            items.iter().map(|item| scalar(key, item.get_ref())).collect::<Result<Vec<_>, _>>()?
        }
        DeValue::Array(_) => return Err("it takes one value, and no list".to_owned()),
        one if key.is_list() => return Err(format!("it takes a list, like [\"…\"], and no {}", one.type_str())),
        one => vec![scalar(key, one)?],
    };
    if key.kind() != Kind::Switch {
        values.iter().try_for_each(|value| key.check(value))?;
    }
    Ok(values)
}

fn scalar(key: &Key, value: &DeValue<'_>) -> Result<String, String> {
    let wrong = |wanted: &str| Err(format!("it takes {wanted}, and no {}", value.type_str()));
    match (key.kind(), value) {
        (Kind::Switch, DeValue::Boolean(given)) => Ok(given.to_string()),
        (Kind::Switch, _) => wrong("true or false"),
        (Kind::Number, DeValue::Integer(given)) => i128::from_str_radix(given.as_str(), given.radix())
            .map(|number| number.to_string())
            .map_err(|_| "it is no number that can be read".to_owned()),
        (Kind::Number, DeValue::Float(given)) => Ok(given.as_str().to_owned()),
        (Kind::Number, _) => wrong("a number"),
        (Kind::Address | Kind::Path | Kind::Text | Kind::Word, DeValue::String(given)) => {
            Ok(given.clone().into_owned())
        }
        (Kind::Address | Kind::Path | Kind::Text | Kind::Word, _) => wrong("a text in quotation marks"),
    }
}
