//! JSON values as lenient as the service takes them: numbers as strings, strings as numbers, anything unread.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A scalar that was sent, or not.
#[derive(Default)]
pub(crate) enum Loose {
    /// The key was left out or is `null`.
    #[default]
    Absent,
    /// A string, number or boolean, as text.
    Text(Box<str>),
    /// An array or object where a scalar belongs.
    Odd,
}

impl Loose {
    pub(crate) fn into_text(self) -> Option<Box<str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Odd => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Odd => None,
        }
    }

    /// The value as an id.
    pub(crate) fn as_id(&self) -> Option<u32> {
        self.as_text()?.trim().parse().ok()
    }

    pub(crate) fn is_truthy(&self) -> bool {
        matches!(self.as_text(), Some("true" | "1"))
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_str<E>(self, value: &str) -> Result<Loose, E> {
        Ok(Loose::Text(value.into()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Loose, E> {
        Ok(Loose::Text(value.to_string().into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Loose, E> {
        Ok(Loose::Text(value.to_string().into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Loose, E> {
        Ok(Loose::Text(value.to_string().into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Loose, E> {
        Ok(Loose::Text(value.to_string().into()))
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Odd)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Loose, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Odd)
    }
}
