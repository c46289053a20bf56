//! Measures the whole of Ferry: the real service as a process, real files, real sockets, against another process that
//! only counts. Nothing here is a timed test: it prints what it saw, and fails only where a count is wrong.
#![allow(clippy::print_stdout, reason = "a measurement is for whoever asked for it")]

mod changed;
mod data;
mod measure;
mod service;
mod sink;
mod tenants;
mod unthrottled;
mod watch;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Measures Ferry. Build it in release mode together with the service, as `tests/run --bench` does:
///
///     cargo build --locked --release -p ferry -p ferry-bench
///
/// Profiles come from a zstd Parquet file: e-mail, first and last name, phone and one custom field, 1 % twins, 0.5 %
/// invalid addresses. They go over HTTP on loopback to a process that counts and answers. The database commits with
/// synchronous=FULL, as always; the destination's limits are lifted with --development-unlimited. Files are made beside
/// this program, so the disk that is measured is the one that it lies on.
///
/// The run at the documented limits, by a scaled clock, is one of the long tests: `tests/run --long`.
#[derive(Parser)]
#[command(name = "ferry-bench", version, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One run of all profiles, as fast as this machine can.
    Unthrottled(Size),
    /// A run of all profiles, and a second one after every hundredth was changed.
    Changed(Size),
    /// The same number of profiles as runs of many tenants at once, each to an account of its own.
    Tenants(TenantsArgs),
    /// Many who watch runs that move, and some of them who read nothing.
    Watch(WatchArgs),
    /// The destination that only counts; the others start it.
    Sink {
        /// Where its address is written.
        #[arg(long)]
        addr_out: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct Size {
    /// Profiles in all, a multiple of 200.
    #[arg(long, default_value_t = 1_000_000)]
    profiles: u64,
    /// Imports that may be on their way to one account at once.
    #[arg(long, default_value_t = 32)]
    unanswered: u16,
}

#[derive(Args)]
pub(crate) struct TenantsArgs {
    #[command(flatten)]
    size: Size,
    /// Tenants, each with one connection, one export and one run.
    #[arg(long, default_value_t = 200)]
    tenants: u64,
}

#[derive(Args)]
pub(crate) struct WatchArgs {
    /// Open streams, the same number for each run.
    #[arg(long, default_value_t = 1_000)]
    watchers: u64,
    /// Runs that move, each of a tenant of its own.
    #[arg(long, default_value_t = 20)]
    runs: u64,
    /// Profiles in all runs together.
    #[arg(long, default_value_t = 2_000_000)]
    profiles: u64,
    /// Streams beside these that are never read.
    #[arg(long, default_value_t = 100)]
    deaf: u64,
    /// How long is measured, once without those and once with them.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Unthrottled(size) => unthrottled::run(&size).await,
        Command::Changed(size) => changed::run(&size).await,
        Command::Tenants(args) => tenants::run(&args).await,
        Command::Watch(args) => watch::run(&args).await,
        Command::Sink { addr_out } => sink::serve(&addr_out).await,
    }
}
