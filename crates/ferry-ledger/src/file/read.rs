//! Reading the file: objects out of lines, and what they hold.

use crate::Hash;
use crate::checkpoint::decimal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt::Formatter;
use std::io::{self, BufRead, Read as _};
use std::marker::PhantomData;

/// Bytes of an object in the file, at most: an entry with all its bytes as text and as Base64 is less.
pub const MAX_OBJECT: usize = 1 << 20;

/// Cuts a file into objects.
pub(crate) struct Objects<R> {
    reader: R,
    buffer: Vec<u8>,
    lines: u64,
}

/// What the next object of a file is.
pub(crate) enum Read<'a> {
    /// Its bytes, and the line that it begins in.
    Object(&'a [u8], u64),
    /// The line that is not right, and why.
    Bad(u64, &'static str),
    /// There is none.
    End,
}

impl<R: BufRead> Objects<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), lines: 0 }
    }

    pub(crate) fn next(&mut self) -> io::Result<Read<'_>> {
        loop {
            self.buffer.clear();
            if self.line()? == 0 {
                return Ok(Read::End);
            }
            if self.buffer.len() > MAX_OBJECT {
                return Ok(Read::Bad(self.lines, "it is too long for anything of a log"));
            }
            if !self.buffer.trim_ascii_end().is_empty() {
                break;
            }
        }
        let begin = self.lines;
        match self.buffer.trim_ascii_end() {
            b"{" => loop {
                let start = self.buffer.len();
                if self.line()? == 0 {
                    return Ok(Read::Bad(begin, "the file ends in the middle of an object"));
                }
                if self.buffer.len() > MAX_OBJECT {
                    return Ok(Read::Bad(begin, "the object is too long for anything of a log"));
                }
                if self.buffer[start..].trim_ascii_end() == b"}" {
                    break;
                }
            },
            [b'{', ..] => {}
            _ => return Ok(Read::Bad(begin, "a JSON object was expected to begin here")),
        }
        Ok(Read::Object(&self.buffer, begin))
    }

    /// Appends one line to the buffer, but no more than one byte over the limit.
    fn line(&mut self) -> io::Result<usize> {
        let left = (MAX_OBJECT + 1).saturating_sub(self.buffer.len());
        self.lines += 1;
        self.reader.by_ref().take(u64::try_from(left).unwrap_or(u64::MAX)).read_until(b'\n', &mut self.buffer)
    }
}

#[derive(Deserialize)]
pub(crate) struct Object<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    pub(crate) log: Option<LogLine<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub(crate) entry: Option<EntryLine<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub(crate) checkpoint: Option<CheckpointLine<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(crate) struct LogLine<'a> {
    #[serde(borrow)]
    pub(crate) tenant: Text<'a>,
    #[serde(borrow)]
    pub(crate) tenant_uid: Text<'a>,
    #[serde(borrow)]
    pub(crate) origin: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EntryLine<'a> {
    #[serde(borrow)]
    pub(crate) chain: Text<'a>,
    pub(crate) number: Number,
    #[serde(borrow)]
    pub(crate) encoded: Text<'a>,
    #[serde(borrow)]
    pub(crate) body_hash: Text<'a>,
    #[serde(borrow)]
    pub(crate) hash: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CheckpointLine<'a> {
    #[serde(borrow)]
    pub(crate) note: Text<'a>,
    #[serde(borrow)]
    pub(crate) public_key: Text<'a>,
    pub(crate) leaf_index: Number,
    pub(crate) entries: Number,
    #[serde(borrow)]
    pub(crate) inclusion_proof: Vec<Text<'a>>,
    #[serde(borrow)]
    pub(crate) consistency_proof: Vec<Text<'a>>,
}

/// A text, borrowed from the file where it holds no escape.
#[derive(Deserialize, Default)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// A number that does not go below 0, written as a number or as a text.
#[derive(Default, Clone, Copy)]
pub(crate) struct Number(pub(crate) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Number;
            fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number up to 2^64 - 1, or the same as a text")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                decimal(text).map(Number).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Digits)
    }
}

/// Takes a JSON object, and no list in its place, which serde would take as the fields in their order.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct Fields<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_unit<E: de::Error>(self) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(fields)).map(Some)
        }
    }
    deserializer.deserialize_any(Fields(PhantomData))
}

/// The one thing that an object holds.
pub(crate) enum Line<'a> {
    Log(LogLine<'a>),
    Entry(EntryLine<'a>),
    Checkpoint(CheckpointLine<'a>),
}

/// Reads an object.
pub(crate) fn parse(bytes: &[u8]) -> Result<Line<'_>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let object: Object<'_> = serde_json::from_str(text).map_err(|error| format!("it cannot be read: {error}"))?;
    match (object.log, object.entry, object.checkpoint) {
        (Some(log), None, None) => Ok(Line::Log(log)),
        (None, Some(entry), None) => Ok(Line::Entry(entry)),
        (None, None, Some(checkpoint)) => Ok(Line::Checkpoint(checkpoint)),
        _ => Err("an object must hold one of `log`, `entry` and `checkpoint`".to_owned()),
    }
}

/// Reads a hash.
pub(crate) fn hash(text: &Text<'_>) -> Option<Hash> {
    // Two bytes of room: the decoder wants space for what an unpadded text of this length could hold.
    let mut bytes = [0; 34];
    let length = STANDARD.decode_slice(text.0.as_bytes(), &mut bytes).ok()?;
    bytes[..length].try_into().ok()
}
