//! The configuration of `ferry serve`: one file, the environment over it, flags over both.
//!
//! The flags are the only place where a setting is defined. A key of the file is a flag's long name, in the section that
//! is the flag's heading; its values are read by the flag's own parser, its text is the flag's help. So help,
//! environment and file cannot differ, and a new flag is a new key.

mod check;
mod file;
mod keys;
mod layers;
#[cfg(test)]
mod tests;

pub(crate) use file::alike;
pub(crate) use layers::parse;

use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Looks at a configuration.
#[derive(Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say all that is wrong with a file; if nothing is, print what `ferry serve --config FILE` would run with here, and
    /// where each value comes from. Exits with 1 if anything is wrong.
    Check(CheckArgs),
    /// Print every key with its type, its flag, its variable and its default: a file to begin with.
    Reference,
}

#[derive(Args)]
struct CheckArgs {
    /// The file.
    file: PathBuf,
    /// Flags that `ferry serve` would be given besides.
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

/// Runs one of the commands.
pub(crate) async fn run(args: ConfigArgs) -> ExitCode {
    match args.command {
        ConfigCommand::Check(args) => check::run(&args.file, &args.flags).await,
        ConfigCommand::Reference => {
            print!("{}", keys::reference());
            ExitCode::SUCCESS
        }
    }
}
