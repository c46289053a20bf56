//! `ferry config check`: all that is wrong with a configuration, or what it comes to.

use super::file::{Given, Located};
use super::keys::{Key, keys};
use super::layers::{Layered, layered};
use crate::{Cli, Command, serve};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

pub(crate) async fn run(file: &Path, flags: &[String]) -> ExitCode {
    match checked(file, flags).await {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(faults) => {
            for fault in faults {
                eprintln!("{fault}");
            }
            ExitCode::FAILURE
        }
    }
}

/// What the service would run with.
async fn checked(file: &Path, flags: &[String]) -> Result<String, Vec<String>> {
    let keys = keys();
    let begin = ["ferry".into(), "serve".into(), "--config".into(), file.as_os_str().to_owned()];
    let arguments = begin.into_iter().chain(flags.iter().map(OsString::from)).collect();
    let Layered { arguments, from_file, faults } = layered(arguments, file, &keys);
    let mut faults: Vec<String> = faults.iter().map(|fault| Located(file, fault).to_string()).collect();
    let parsed = Cli::command().color(clap::ColorChoice::Never).try_get_matches_from(arguments);
    let matches = match parsed {
        Ok(matches) => matches,
        Err(error) => {
            let text = error.to_string();
            let told = text.split("\n\nUsage:").next().unwrap_or_default().trim_start_matches("error: ");
            faults.push(format!("{}: {}", file.display(), told.trim()));
            return Err(faults);
        }
    };
    if let Ok(Cli { command: Command::Serve(args), .. }) = Cli::from_arg_matches(&matches) {
        faults.extend(serve::faults(&args).await.iter().map(|fault| format!("{}: {fault:#}", file.display())));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(matches.subcommand_matches("serve").map(|found| effective(&keys, found, &from_file)).unwrap_or_default())
}

/// Every key with its value and where that comes from, as a file that would say the same.
fn effective(keys: &[Key], matches: &ArgMatches, from_file: &[Given]) -> String {
    let (mut text, mut section) = (String::new(), "");
    for (place, key) in keys.iter().enumerate() {
        if key.section != section {
            section = &key.section;
            let line = if text.is_empty() { format!("[{section}]\n") } else { format!("\n[{section}]\n") };
            text.push_str(&line);
        }
        let source = match matches.value_source(key.id()) {
            Some(ValueSource::EnvVariable) => format!("environment, {}", key.variable().unwrap_or_default()),
            Some(ValueSource::CommandLine) => match from_file.iter().find(|given| given.key == place) {
                Some(given) => format!("file, line {}", given.line),
                None => "flag".to_owned(),
            },
            _ => match from_file.iter().find(|given| given.key == place) {
                Some(given) => format!("file, line {}", given.line),
                None => "default".to_owned(),
            },
        };
        let raw = matches.get_raw(key.id()).into_iter().flatten();
        let values: Vec<String> = raw.map(|value| without_credentials(&value.to_string_lossy())).collect();
        let line = if values.is_empty() && !key.is_list() {
            format!("# {} is not set\n", key.name)
        } else {
            format!("{} = {}  # {source}\n", key.name, key.written(&values))
        };
        text.push_str(&line);
    }
    text
}

/// An address without what stands before its host: no key is a secret, but a name and a password may be in one.
fn without_credentials(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://(redacted)@{host}{path}"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_credentials;

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        assert_eq!(without_credentials("https://ada:pass@host/x@y"), "https://(redacted)@host/x@y");
        for plain in ["https://host/a@b", "/a/path", "127.0.0.1:4317"] {
            assert_eq!(without_credentials(plain), plain);
        }
    }
}
