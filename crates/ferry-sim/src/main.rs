//! The simulator as a program.
#![allow(clippy::print_stdout, reason = "a command line program answers on its standard output")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use ferry_sim::{AccountConfig, Options, Protocol, SimConfig, Window, read_contacts, read_journal, start};

/// A simulator of ActiveCampaign's API v3.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until interrupted.
    Serve(Box<Serve>),
    /// Print the figures of a journal as JSON.
    Report {
        /// The journal.
        #[arg(long)]
        journal: PathBuf,
    },
    /// Print the subscribed contacts of a list, one JSON object a line.
    Contacts {
        /// The journal.
        #[arg(long)]
        journal: PathBuf,
        /// The list's id.
        #[arg(long)]
        list: u32,
    },
}

#[derive(Args)]
struct Serve {
    /// Where to listen; loopback only, port 0 for a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The account's host name; give it again, with a key each, for more accounts.
    #[arg(long = "host", required = true)]
    hosts: Vec<String>,
    /// The account's API key.
    #[arg(long = "key", required = true)]
    keys: Vec<String>,
    /// A list of every account, as ID=NAME.
    #[arg(long = "list", value_parser = id_and_name)]
    lists: Vec<(u32, String)>,
    /// A custom field of every account, as ID=TITLE.
    #[arg(long = "field", value_parser = id_and_name)]
    fields: Vec<(u32, String)>,
    /// The plan's number of contacts.
    #[arg(long, default_value_t = 10_000_000)]
    contact_limit: u64,
    /// The journal; an existing one is gone on with.
    #[arg(long)]
    journal: PathBuf,
    /// Simulated seconds in a real one.
    #[arg(long, default_value_t = 1.0)]
    time_scale: f64,
    /// Where to write the CA's certificate.
    #[arg(long)]
    ca_out: Option<PathBuf>,
    /// Where to write the address.
    #[arg(long)]
    addr_out: Option<PathBuf>,
    /// Speak plain HTTP, for benchmarks.
    #[arg(long)]
    plain_http: bool,
    /// Lift the limits, for benchmarks.
    #[arg(long)]
    unlimited: bool,
    /// Count the limits in fixed windows instead of sliding ones.
    #[arg(long)]
    fixed_window: bool,
    /// The seed of faults drawn by chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Serve(arguments) => serve(*arguments).await,
        Command::Report { journal } => {
            println!("{}", serde_json::to_string_pretty(&read_journal(&journal)?)?);
            Ok(())
        }
        Command::Contacts { journal, list } => {
            for (host, contacts) in read_contacts(&journal, list)? {
                for contact in contacts {
                    println!("{}", serde_json::json!({"host": host, "contact": contact}));
                }
            }
            Ok(())
        }
    }
}

async fn serve(arguments: Serve) -> anyhow::Result<()> {
    anyhow::ensure!(arguments.hosts.len() == arguments.keys.len(), "give one --key for each --host");
    let mut options = if arguments.unlimited { Options::unlimited() } else { Options::default() };
    options.seed = arguments.seed;
    if arguments.plain_http {
        options.protocol = Protocol::Plain;
    }
    if arguments.fixed_window {
        options.window = Window::Fixed;
    }
    let accounts = arguments.hosts.into_iter().zip(arguments.keys).map(|(host, key)| AccountConfig {
        lists: arguments.lists.clone(),
        fields: arguments.fields.clone(),
        contact_limit: arguments.contact_limit,
        ..AccountConfig::new(host, key)
    });
    let config = SimConfig {
        listen: arguments.listen,
        accounts: accounts.collect(),
        journal: arguments.journal,
        time_scale: arguments.time_scale,
        options,
    };
    let sim = start(config).await?;
    if let Some(path) = &arguments.ca_out {
        write_whole(path, sim.ca_pem())?;
    }
    if let Some(path) = &arguments.addr_out {
        write_whole(path, &sim.addr().to_string())?;
    }
    let scheme = if arguments.plain_http { "http" } else { "https" };
    println!("listening on {scheme}://{}", sim.addr());
    tokio::signal::ctrl_c().await.context("the interrupt cannot be awaited")?;
    sim.stop().await;
    Ok(())
}

/// Writes a file that is never seen half written, as others wait for it.
fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let half = path.with_extension("part");
    std::fs::write(&half, text)
        .and_then(|()| std::fs::rename(&half, path))
        .with_context(|| format!("`{}` cannot be written", path.display()))
}

fn id_and_name(text: &str) -> Result<(u32, String), String> {
    let (id, name) = text.split_once('=').ok_or("expected ID=NAME")?;
    let id = id.parse().map_err(|_| format!("`{id}` is no id"))?;
    Ok((id, name.to_owned()))
}
