//! Reads values out of nodes. What is wrong is noted and read on, so that all of it is told at once.

use super::yaml::{Fault, Key, Node, Place, Value};
use crate::config::alike;

/// What was read so far, and what was wrong with it.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) faults: Vec<Fault>,
}

/// The entries of a mapping, each of which has a key that is known.
pub(super) struct Entries<'a> {
    entries: &'a [(Key, Node)],
    place: Place,
    /// What they are of, for people.
    what: String,
}

impl<'a> Entries<'a> {
    /// The value of a key, if the key is there.
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
    }

    /// Where a key stands; where the mapping begins, if it does not.
    pub(super) fn place(&self, name: &str) -> Place {
        self.entries.iter().find(|(key, _)| key.name == name).map_or(self.place, |(key, _)| key.place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a (Key, Node)> {
        self.entries.iter()
    }
}

impl Reading {
    pub(super) fn fault(&mut self, place: Place, text: impl Into<String>) {
        self.faults.push(Fault::at(place, text));
    }

    /// A mapping whose keys are anybody's.
    pub(super) fn any<'a>(&mut self, node: &'a Node, what: &str) -> Option<Entries<'a>> {
        match &node.value {
            Value::Map(entries) => Some(Entries { entries, place: node.place, what: what.to_owned() }),
            _ => {
                self.fault(node.place, format!("{what} takes a mapping of keys to values, and no {}", bare(node)));
                None
            }
        }
    }

    /// A mapping; a key that is not known is told, with the one that it may be meant for.
    pub(super) fn map<'a>(&mut self, node: &'a Node, what: &str, known: &[&str]) -> Option<Entries<'a>> {
        let entries = self.any(node, what)?;
        for (key, _) in entries.entries.iter().filter(|(key, _)| !known.contains(&key.name.as_str())) {
            self.fault(key.place, format!("`{}` is no key of {what}{}", key.name, meant(&key.name, known)));
        }
        Some(entries)
    }

    /// A value that must be there.
    pub(super) fn needed<'a>(&mut self, entries: &Entries<'a>, name: &str) -> Option<&'a Node> {
        let found = entries.get(name);
        if found.is_none() {
            self.fault(entries.place, format!("{} has no `{name}`, which is required", entries.what));
        }
        found
    }

    pub(super) fn text(&mut self, node: &Node, name: &str) -> Option<String> {
        match &node.value {
            Value::Scalar(text, _) if !node.is_nothing() => Some(text.clone()),
            _ => {
                self.fault(node.place, format!("`{name}` takes a text, and no {}", bare(node)));
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn needed_text(&mut self, entries: &Entries<'_>, name: &str) -> Option<String> {
        let node = self.needed(entries, name)?;
        self.text(node, name)
    }

    pub(super) fn texts(&mut self, node: &Node, name: &str) -> Vec<(String, Place)> {
        let Value::List(items) = &node.value else {
            self.fault(node.place, format!("`{name}` takes a list, and no {}", bare(node)));
            return Vec::new();
        };
        items.iter().filter_map(|item| Some((self.text(item, name)?, item.place))).collect()
    }

    /// A value that is written without quotation marks, and in one form alone.
    fn parsed<T: std::str::FromStr>(&mut self, node: &Node, name: &str, wanted: &str) -> Option<T> {
        let parsed = match &node.value {
            Value::Scalar(text, false) => text.parse().ok(),
            _ => None,
        };
        if parsed.is_none() {
            self.fault(node.place, format!("`{name}` takes {wanted}, and no {}", shown(node)));
        }
        parsed
    }

    pub(super) fn boolean(&mut self, entries: &Entries<'_>, name: &str, default: bool) -> bool {
        let found = entries.get(name);
        found.map_or(Some(default), |node| self.parsed(node, name, "true or false")).unwrap_or(default)
    }

    pub(super) fn number<T: std::str::FromStr + Copy>(&mut self, entries: &Entries<'_>, name: &str, default: T) -> T {
        let found = entries.get(name);
        found.map_or(Some(default), |node| self.parsed(node, name, "a number")).unwrap_or(default)
    }

    /// One of some words; its place among them.
    pub(super) fn word(&mut self, node: &Node, name: &str, words: &[&str]) -> Option<usize> {
        let found = match &node.value {
            Value::Scalar(text, _) => words.iter().position(|word| word == text),
            _ => None,
        };
        if found.is_none() {
            let given = match &node.value {
                Value::Scalar(text, _) => meant(text, words),
                _ => String::new(),
            };
            let text = format!("`{name}` takes one of: {}; and no {}{given}", words.join(", "), shown(node));
            self.fault(node.place, text);
        }
        found
    }
}

/// What a name may be meant for.
pub(super) fn meant<T: AsRef<str>>(name: &str, among: &[T]) -> String {
    let near = alike(name, among.iter().map(AsRef::as_ref));
    near.map(|near| format!("; is `{near}` meant?")).unwrap_or_default()
}

/// A value's kind behind `no`.
fn bare(node: &Node) -> &'static str {
    node.kind().trim_start_matches("a ")
}

fn shown(node: &Node) -> String {
    match &node.value {
        Value::Scalar(text, _) if !node.is_nothing() => format!("`{text}`"),
        _ => bare(node).to_owned(),
    }
}
