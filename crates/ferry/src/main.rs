//! `ferry`: the service and its tools in one binary.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program speaks by printing")]

mod audit;
mod audit_export;
mod audit_key;
mod audit_restore;
mod checkpoints;
mod client;
mod demo;
#[cfg(debug_assertions)]
mod failpoint;
mod key_keeper;
mod keys;
mod listen;
mod no_dumps;
mod secrets;
mod serve;
mod streams;
mod telemetry;
mod token;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Carries segments of customer profiles into a marketing tool, and accounts for every profile.
#[derive(Parser)]
#[command(name = "ferry", version, propagate_version = true)]
struct Cli {
    /// Which log lines are written, like `info,ferry_engine=debug`.
    #[arg(long, global = true, env = "FERRY_LOG", default_value = "warn,ferry=info,ferry_engine=info")]
    log: String,
    /// How log lines look; they go to standard error.
    #[arg(long, global = true, env = "FERRY_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: telemetry::LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show a real export on this machine: server, simulator and data, nothing to install.
    Demo(demo::DemoArgs),
    /// Run the service.
    Serve(Box<serve::ServeArgs>),
    /// Bring the database of a data directory to this version's schema.
    Migrate(serve::MigrateArgs),
    /// Make, show, rotate and retire the keys that the service seals secrets with.
    Keys(keys::KeysArgs),
    /// Export the audit log, and check an export; change its signing key; take up a database that was put back from a
    /// backup.
    Audit(audit::AuditArgs),
    /// Make an access token for development, and the key set that verifies it.
    Token(token::TokenArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let run = || -> anyhow::Result<ExitCode> {
        no_dumps::forbid()?;
        let streams = match &cli.command {
            Command::Serve(args) => &args.streams,
            _ => &streams::StreamArgs::default(),
        };
        telemetry::start(cli.log_format, &cli.log, streams)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            match cli.command {
                // It has an exit code of its own for a log that is bad.
                Command::Audit(args) => return audit::run(args).await,
                Command::Demo(args) => demo::run(args).await,
                Command::Serve(args) => serve::run(*args).await,
                Command::Migrate(args) => serve::migrate(args).await,
                Command::Keys(args) => keys::run(args).await,
                Command::Token(args) => token::run(args),
            }
            .map(|()| ExitCode::SUCCESS)
        })
    };
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ferry: {error:#}");
            ExitCode::FAILURE
        }
    }
}
