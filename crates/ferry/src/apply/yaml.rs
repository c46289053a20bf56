//! YAML with the place of everything: read into nodes, written from values.
//!
//! A scalar is kept as it is written. What it means is decided by whoever reads the key, so `no`, `08:30` and `3` are
//! texts where a text is wanted, whatever another version of YAML would take them for.

use granit_parser::{Event, Marker, Parser, ScalarStyle};
use std::collections::HashMap;

/// Aliases may make a small text large; no description of a tenant is larger.
const MOST_NODES: usize = 200_000;

/// Where something stands; lines and columns begin with 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Which of the files.
    pub(super) file: usize,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// What is wrong, and where; nowhere if no place of a file is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) place: Option<Place>,
    pub(super) text: String,
}

impl Fault {
    pub(super) fn at(place: Place, text: impl Into<String>) -> Self {
        Self { place: Some(place), text: text.into() }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// With whether it stands in quotation marks, or as a block.
    Scalar(String, bool),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) name: String,
}

impl Node {
    /// Whether nothing is there: no value at all, `~` or `null`.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(&self.value, Value::Scalar(text, false) if ["", "~", "null", "Null", "NULL"].contains(&text.as_str()))
    }

    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_nothing() => "nothing",
            Value::Scalar(..) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping of keys to values",
        }
    }

    fn count(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(..) => 0,
            Value::List(items) => items.iter().map(Self::count).sum(),
            Value::Map(entries) => entries.iter().map(|(_, value)| value.count()).sum(),
        }
    }
}

/// The documents of a text.
pub(super) fn documents(text: &str, file: usize) -> Result<Vec<Node>, Fault> {
    let mut building = Building { file, open: Vec::new(), anchors: HashMap::new(), nodes: 0, done: Vec::new() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event
            .map_err(|error| Fault::at(place(file, *error.marker()), format!("this is no YAML: {}", error.info())))?;
        building.take(event, place(file, span.start))?;
    }
    Ok(building.done)
}

fn place(file: usize, at: Marker) -> Place {
    Place { file, line: at.line(), column: at.col() + 1 }
}

/// A list or mapping that has not ended.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<Key>,
}

struct Building {
    file: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    done: Vec<Node>,
}

impl Building {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Fault> {
        if event.tag().is_some() {
            return Err(Fault::at(place, "tags (`!…`) mean nothing here; leave it out"));
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let quoted = style != ScalarStyle::Plain;
                self.add(Node { place, value: Value::Scalar(text.into_owned(), quoted) }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open.push(Open { node: Node { place, value: Value::List(Vec::new()) }, anchor, key: None });
                Ok(())
            }
            Event::MappingStart(_, anchor, _) => {
                self.open.push(Open { node: Node { place, value: Value::Map(Vec::new()) }, anchor, key: None });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(ended) => self.add(ended.node, ended.anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some(found) = self.anchors.get(&anchor).cloned() else {
                    return Err(Fault::at(place, "this alias stands within what it names"));
                };
                self.nodes += found.count();
                self.add(found, 0)
            }
            _ => Ok(()),
        }
    }

    /// Puts a whole node where it belongs.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            let whole = Place { file: self.file, line: 1, column: 1 };
            return Err(Fault::at(whole, format!("there are more than {MOST_NODES} values, aliases included")));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.done.push(node);
            return Ok(());
        };
        match (&mut open.node.value, open.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some(key)) => entries.push((key, node)),
            (Value::Map(entries), None) => {
                let Value::Scalar(name, _) = node.value else {
                    return Err(Fault::at(node.place, "a key is a single value"));
                };
                if let Some((before, _)) = entries.iter().find(|(key, _)| key.name == name) {
                    let text = format!("`{name}` stands in line {} already", before.place.line);
                    return Err(Fault::at(node.place, text));
                }
                open.key = Some(Key { place: node.place, name });
            }
            (Value::Scalar(..), _) => {}
        }
        Ok(())
    }
}

/// A value to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    /// Written as it is: a number, `true`, `null`.
    Word(String),
    /// In quotation marks where it needs them.
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(super) fn word(word: impl ToString) -> Self {
        Self::Word(word.to_string())
    }

    pub(super) fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn scalar(&self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word.clone()),
            Self::Text(text) => Some(quoted(text)),
            Self::List(items) if items.is_empty() => Some("[]".to_owned()),
            Self::Map(entries) if entries.is_empty() => Some("{}".to_owned()),
            Self::List(_) | Self::Map(_) => None,
        }
    }
}

/// The lines of a key and its value, two spaces deeper at each level.
pub(super) fn lines(name: &str, value: &Yaml, depth: usize) -> Vec<String> {
    let head = format!("{:1$}{2}:", "", depth * 2, quoted(name));
    if let Some(scalar) = value.scalar() {
        return vec![format!("{head} {scalar}")];
    }
    let mut lines = vec![head];
    match value {
        Yaml::Map(entries) => {
            lines.extend(entries.iter().flat_map(|(name, value)| self::lines(name, value, depth + 1)));
        }
        // Lists hold single values alone.
        Yaml::List(items) => {
            let item = |item: &Yaml| format!("{:1$}- {2}", "", (depth + 1) * 2, item.scalar().unwrap_or_default());
            lines.extend(items.iter().map(item));
        }
        Yaml::Word(_) | Yaml::Text(_) => {}
    }
    lines
}

/// A text as every version of YAML reads it back.
fn quoted(text: &str) -> String {
    const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"];
    let first = text.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let usual = |letter: char| letter.is_ascii_alphanumeric() || "_-./ ".contains(letter);
    let plain = first && !text.ends_with(' ') && text.chars().all(usual);
    if plain && !WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            // A break of the line in some version of YAML, a mark, or nothing that may stand there.
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => out.push_str(&escape(letter)),
            _ if letter.is_control() => out.push_str(&escape(letter)),
            _ => out.push(letter),
        }
    }
    out.push('"');
    out
}

fn escape(letter: char) -> String {
    format!("\\u{:04x}", u32::from(letter))
}
