//! Flags over the environment over the file: what the file says becomes flags of its own, for what nothing else says.
//! From there on clap decides, as it does without a file: what a setting needs besides, and what it goes with.

use super::file::{self, Fault, Given, Located};
use super::keys::{Key, keys};
use crate::Cli;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A command line with what its file adds to it.
pub(crate) struct Layered {
    pub(crate) arguments: Vec<OsString>,
    /// What comes from the file.
    pub(crate) from_file: Vec<Given>,
    pub(crate) faults: Vec<Fault>,
}

/// Parses this process' command line. Ends the process where clap does: after a help text, or a mistake.
pub(crate) fn parse() -> anyhow::Result<Cli> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let arguments = match named_file(&arguments) {
        None => arguments,
        Some(path) => {
            let layered = layered(arguments, &path, &keys());
            if !layered.faults.is_empty() {
                let all: Vec<String> = layered.faults.iter().map(|fault| Located(&path, fault).to_string()).collect();
                anyhow::bail!("the configuration cannot be used:\n{}", all.join("\n"));
            }
            layered.arguments
        }
    };
    let matches = Cli::command().get_matches_from(arguments);
    Ok(Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

/// The command line as far as it can be understood. It is only looked at for what is there.
fn looked_at(arguments: &[OsString]) -> Option<ArgMatches> {
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(arguments).ok()?;
    matches.subcommand_matches("serve").cloned()
}

fn named_file(arguments: &[OsString]) -> Option<PathBuf> {
    looked_at(arguments)?.get_one::<PathBuf>("config").cloned()
}

/// Puts a file's words behind those of the command line.
pub(crate) fn layered(mut arguments: Vec<OsString>, path: &Path, keys: &[Key]) -> Layered {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let fault = Fault { line: None, text: format!("it cannot be read: {error}") };
            return Layered { arguments, from_file: Vec::new(), faults: vec![fault] };
        }
    };
    let (given, faults) = file::read(&text, keys);
    let found = looked_at(&arguments);
    let is_said = |key: &Key| {
        let source = found.as_ref().and_then(|found| found.value_source(key.id()));
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let from_file: Vec<Given> = given.into_iter().filter(|given| !is_said(&keys[given.key])).collect();
    for given in &from_file {
        arguments.extend(flags(&keys[given.key], &given.values));
    }
    Layered { arguments, from_file, faults }
}

fn flags(key: &Key, values: &[String]) -> Vec<OsString> {
    if key.kind() == super::keys::Kind::Switch {
        let on = values.iter().any(|value| value == "true");
        return on.then(|| format!("--{}", key.name).into()).into_iter().collect();
    }
    values.iter().map(|value| format!("--{}={value}", key.name).into()).collect()
}
