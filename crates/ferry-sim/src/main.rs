//! `ferry-sim`: the simulator as a program of its own.
#![allow(clippy::print_stdout, reason = "a command line program speaks by printing")]

use clap::{Parser, Subcommand};
use ferry_sim::{AccountConfig, Report, SimConfig};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A simulator of ActiveCampaign's API, for development and tests.
#[derive(Parser)]
#[command(name = "ferry-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Listen until stopped.
    Serve {
        /// Where: loopback alone.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// The account's host name.
        #[arg(long, default_value = "demo.ferry-sim.test")]
        host: String,
        /// The account's API key.
        #[arg(long)]
        key: String,
        /// What it accepts is written here.
        #[arg(long)]
        journal: PathBuf,
        /// How many times faster than real its clock runs.
        #[arg(long, default_value_t = 1.0)]
        time_scale: f64,
        /// The authority of its certificate is written here.
        #[arg(long)]
        ca_out: PathBuf,
        /// Its address is written here, once it listens.
        #[arg(long)]
        addr_out: Option<PathBuf>,
    },
    /// Say what a journal holds.
    Report {
        /// The journal.
        #[arg(long)]
        journal: PathBuf,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Serve { listen, host, key, journal, time_scale, ca_out, addr_out } => {
            let accounts = vec![AccountConfig::new(&host, &key)];
            let sim = ferry_sim::start(SimConfig { listen, accounts, journal, time_scale }).await?;
            std::fs::write(&ca_out, sim.ca_pem())?;
            if let Some(path) = addr_out {
                let temporary = path.with_extension("new");
                std::fs::write(&temporary, sim.addr().to_string())?;
                std::fs::rename(temporary, path)?;
            }
            println!("simulating {host} on https://{}", sim.addr());
            tokio::signal::ctrl_c().await?;
            Ok(())
        }
        Command::Report { journal } => {
            println!("{}", serde_json::to_string_pretty(&Report::from_journal(&journal)?)?);
            Ok(())
        }
    }
}
