//! `ferry`: the service and its tools in one binary.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program speaks by printing")]

mod apply;
mod audit;
mod audit_export;
mod audit_key;
mod audit_restore;
mod checkpoints;
mod client;
mod completions;
mod config;
mod demo;
#[cfg(debug_assertions)]
mod failpoint;
mod key_keeper;
mod keys;
mod listen;
mod logging;
mod no_dumps;
mod observe;
mod operate;
mod schedules;
mod secrets;
mod serve;
mod streams;
mod token;
mod web;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Carries segments of customer profiles into a marketing tool, and accounts for every profile.
#[derive(Parser)]
#[command(name = "ferry", version, propagate_version = true)]
struct Cli {
    /// Which log lines are written, like `info,ferry_engine=debug`.
    #[arg(
        long,
        global = true,
        help_heading = "Log",
        env = "FERRY_LOG",
        default_value = "warn,ferry=info,ferry_engine=info"
    )]
    log: String,
    /// How log lines look; they go to standard error.
    #[arg(long, global = true, help_heading = "Log", env = "FERRY_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: logging::LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show a real export on this machine: server, simulator and data, nothing to install.
    Demo(demo::DemoArgs),
    /// Run the service.
    Serve(Box<serve::ServeArgs>),
    /// Check a configuration file, or print every key that it may hold.
    Config(config::ConfigArgs),
    /// Watch, start, cancel and list runs.
    Runs(operate::RunsArgs),
    /// List exports, with how each went last.
    Exports(operate::ExportsArgs),
    /// Bring connections, exports and the refresh schedule of a tenant to what YAML files declare.
    Apply(Box<apply::ApplyArgs>),
    /// Write what a tenant has as a file for `ferry apply`, without secrets.
    ExportConfig(apply::ExportConfigArgs),
    /// Bring the database of a data directory to this version's schema.
    Migrate(serve::MigrateArgs),
    /// Make, show, rotate and retire the keys that the service seals secrets with.
    Keys(keys::KeysArgs),
    /// Export the audit log, and check an export; change its signing key; take up a database that was put back from a
    /// backup.
    Audit(audit::AuditArgs),
    /// Make an access token for development, and the key set that verifies it.
    Token(token::TokenArgs),
    /// Print what a shell completes this command line with.
    Completions(completions::CompletionsArgs),
}

fn main() -> ExitCode {
    let run = || -> anyhow::Result<ExitCode> {
        let cli = config::parse()?;
        no_dumps::forbid()?;
        let streams = match &cli.command {
            Command::Serve(args) => &args.streams,
            _ => &streams::StreamArgs::default(),
        };
        logging::start(cli.log_format, &cli.log, streams)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            match cli.command {
                // It has an exit code of its own for a log that is bad.
                Command::Audit(args) => return audit::run(args).await,
                Command::Config(args) => return Ok(config::run(args).await),
                // How a watched run ended.
                Command::Runs(args) => return operate::run_runs(args).await,
                // Whether there are differences.
                Command::Apply(args) => return apply::run(*args).await,
                Command::ExportConfig(args) => apply::run_export_config(args).await,
                Command::Exports(args) => operate::run_exports(args).await,
                Command::Completions(args) => completions::print(&args),
                Command::Demo(args) => demo::run(args).await,
                Command::Serve(args) => serve::run(*args).await,
                Command::Migrate(args) => serve::migrate(args).await,
                Command::Keys(args) => keys::run(args).await,
                Command::Token(args) => token::run(args),
            }
            .map(|()| ExitCode::SUCCESS)
        })
    };
    run().unwrap_or_else(|error| {
        let is_reader_gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
        if error.downcast_ref().is_some_and(is_reader_gone) {
            // As a shell tells of a program that was ended by SIGPIPE.
            return ExitCode::from(141);
        }
        eprintln!("ferry: {error:#}");
        match error.downcast_ref::<client::Problem>() {
            Some(problem) if problem.is_usage() => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    })
}
