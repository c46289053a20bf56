//! Every key, read from the flags of `ferry serve`.

use crate::Cli;
use clap::{Arg, ArgAction, Command, CommandFactory};
use std::any::TypeId;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Flags that are no keys: what a file cannot say of itself, and what prints something and ends.
const NO_KEYS: [&str; 3] = ["config", "help", "version"];

/// A key of the file.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    arg: Arg,
    /// The flag's long name.
    pub(crate) name: String,
    /// Its heading, in small letters.
    pub(crate) section: String,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Switch,
    Number,
    Address,
    Path,
    Text,
    /// One of some words.
    Word,
}

/// The command that the file is for.
pub(crate) fn serve(command: &Command) -> Option<&Command> {
    command.get_subcommands().find(|command| command.get_name() == "serve")
}

/// All keys, in the order of the help.
pub(crate) fn keys() -> Vec<Key> {
    let mut command = Cli::command();
    // Only a built command knows the flags that are everybody's.
    command.build();
    let mut keys: Vec<Key> = serve(&command).into_iter().flat_map(Command::get_arguments).filter_map(Key::of).collect();
    // A section stands in one piece.
    let mut sections: Vec<String> = Vec::new();
    for key in &keys {
        if !sections.contains(&key.section) {
            sections.push(key.section.clone());
        }
    }
    keys.sort_by_key(|key| sections.iter().position(|section| *section == key.section));
    keys
}

impl Key {
    fn of(arg: &Arg) -> Option<Self> {
        let name = arg.get_long()?;
        if NO_KEYS.contains(&name) {
            return None;
        }
        let section = arg.get_help_heading().unwrap_or_default().to_lowercase();
        Some(Self { arg: arg.clone(), name: name.to_owned(), section })
    }

    /// How clap calls it.
    pub(crate) fn id(&self) -> &str {
        self.arg.get_id().as_str()
    }

    /// `section.name`.
    pub(crate) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Its variable in the environment.
    pub(crate) fn variable(&self) -> Option<String> {
        self.arg.get_env().map(|name| name.to_string_lossy().into_owned())
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::Append)
    }

    pub(crate) fn kind(&self) -> Kind {
        if matches!(self.arg.get_action(), ArgAction::SetTrue) {
            return Kind::Switch;
        }
        if !self.arg.get_possible_values().is_empty() {
            return Kind::Word;
        }
        let found = self.arg.get_value_parser().type_id();
        let is = |types: &[TypeId]| types.iter().any(|kind| found == *kind);
        let numbers = [TypeId::of::<u8>(), TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>()];
        if is(&numbers) || is(&[TypeId::of::<f64>()]) {
            Kind::Number
        } else if is(&[TypeId::of::<SocketAddr>()]) {
            Kind::Address
        } else if is(&[TypeId::of::<PathBuf>()]) {
            Kind::Path
        } else {
            Kind::Text
        }
    }

    /// What is wrong with a value, in the words of the flag's parser.
    pub(crate) fn check(&self, value: &str) -> Result<(), String> {
        // What a flag asks of other flags is looked at once all are known.
        let alone =
            Arg::new("value").long("value").value_parser(self.arg.get_value_parser().clone()).action(ArgAction::Append);
        let alone = match self.arg.get_value_delimiter() {
            Some(delimiter) => alone.value_delimiter(delimiter),
            None => alone,
        };
        let given = ["ferry".to_owned(), format!("--value={value}")];
        let parsed = Command::new("ferry").color(clap::ColorChoice::Never).arg(alone).try_get_matches_from(given);
        parsed.map(|_| ()).map_err(|error| {
            let text = error.to_string();
            let first: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            first.join(" ").trim_start_matches("error: ").replace(" for '--value <value>'", "")
        })
    }

    /// A value as the file has it.
    pub(crate) fn written(&self, values: &[String]) -> String {
        let one = |value: &String| match self.kind() {
            Kind::Switch | Kind::Number => value.clone(),
            Kind::Address | Kind::Path | Kind::Text | Kind::Word => toml::Value::String(value.clone()).to_string(),
        };
        if self.is_list() {
            format!("[{}]", values.iter().map(one).collect::<Vec<_>>().join(", "))
        } else {
            values.first().map(one).unwrap_or_default()
        }
    }

    fn default(&self) -> Option<String> {
        let values: Vec<String> =
            self.arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        match self.kind() {
            Kind::Switch => Some("false".to_owned()),
            _ if values.is_empty() => None,
            _ => Some(self.written(&values)),
        }
    }

    fn kind_text(&self) -> String {
        let one = match self.kind() {
            Kind::Switch => "true or false".to_owned(),
            Kind::Number => "number".to_owned(),
            Kind::Address => "address and port".to_owned(),
            Kind::Path => "path".to_owned(),
            Kind::Text => "text".to_owned(),
            Kind::Word => {
                let words = self.arg.get_possible_values();
                words.iter().map(|word| format!("{:?}", word.get_name())).collect::<Vec<_>>().join(" or ")
            }
        };
        if self.is_list() { format!("list of {one}") } else { one }
    }

    /// An example of a value where there is no default: what the help calls it.
    fn stand_in(&self) -> String {
        let name = self.arg.get_value_names().and_then(|names| names.first()).map_or("VALUE", |name| name.as_str());
        if self.kind() == Kind::Number { "0".to_owned() } else { self.written(&[name.to_owned()]) }
    }
}

/// Every key as a file that says nothing: each line a comment.
pub(crate) fn reference() -> String {
    let mut text = String::from(
        "# Every key of `ferry serve --config FILE`. A flag goes before the environment, and that before the file.\n\n",
    );
    let mut section = String::new();
    for key in keys() {
        // A String takes every text.
        if key.section != section {
            section.clone_from(&key.section);
            let _always = writeln!(text, "[{section}]");
        }
        let help = key.arg.get_long_help().or_else(|| key.arg.get_help()).map(ToString::to_string).unwrap_or_default();
        // clap takes the last full stop away.
        for line in wrapped(&format!("{}.", help.trim_end_matches('.'))) {
            let _always = writeln!(text, "# {line}");
        }
        let variable = key.variable().map(|name| format!("; {name}")).unwrap_or_default();
        let required = if key.arg.is_required_set() { "; required" } else { "" };
        let _always = writeln!(text, "#   {}; --{}{variable}{required}", key.kind_text(), key.name);
        let (value, note) = match key.default() {
            Some(default) => (default, ""),
            None => (key.stand_in(), "  # no default"),
        };
        let _always = writeln!(text, "#{} = {value}{note}\n", key.name);
    }
    text
}

/// Lines of at most a hundred characters.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().filter(|line| line.is_empty() || line.len() + word.len() < 100);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => line.extend([" ", word]),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
