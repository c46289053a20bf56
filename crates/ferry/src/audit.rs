//! `ferry audit`: the record of what was done, exported, and checked without the service.

use crate::{audit_export, audit_key, audit_restore};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use ferry_ledger::checkpoint::{VerifierKey, split_notes};
use ferry_ledger::verify::{Report, verify};
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Bytes that are read at once.
const BUFFER: usize = 256 * 1024;

/// Exports and checks the audit log.
#[derive(Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Check an exported audit log, without network and database: exits with 0 if it is good, 1 if it is bad, 2 if it
    /// cannot be checked.
    Verify(VerifyArgs),
    /// Write the audit log of a tenant to standard output, for `ferry audit verify`.
    Export(audit_export::ExportArgs),
    /// Show the keys that check the log's signatures; a verifier is given the first.
    Key(audit_key::KeyArgs),
    /// Make the next signing key; the old one signs a last checkpoint that names it. The service must be stopped.
    RotateKey(audit_key::RotateKeyArgs),
    /// Take up a database that was put back from a backup; the service must be stopped, and says when this is needed.
    AcknowledgeRestore(audit_restore::RestoreArgs),
}

#[derive(Args)]
struct VerifyArgs {
    /// The export to check; `-` reads standard input.
    file: PathBuf,
    /// The key that you trust: a verifier key (`<name>+<8 hex digits>+<base64>`), or a file that holds one.
    #[arg(long)]
    key: String,
    /// Checkpoints that you kept elsewhere, to hold against the file: what `GetCheckpoint` answered, as JSON, or signed
    /// notes, which do not say what they cover. May be given more than once.
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
}

/// Runs one of the commands.
pub(crate) async fn run(args: AuditArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        AuditCommand::Verify(args) => return Ok(run_verify(&args)),
        AuditCommand::Export(args) => audit_export::run(args).await?,
        AuditCommand::Key(args) => audit_key::show(&args)?,
        AuditCommand::RotateKey(args) => audit_key::rotate(args).await?,
        AuditCommand::AcknowledgeRestore(args) => audit_restore::acknowledge(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn run_verify(args: &VerifyArgs) -> ExitCode {
    match verified(args) {
        Ok(report) => {
            print!("{report}");
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("ferry: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn verified(args: &VerifyArgs) -> anyhow::Result<Report> {
    let key = key(&args.key)?;
    let mut kept = Vec::new();
    for path in &args.checkpoints {
        kept.extend(checkpoints(path)?);
    }
    if args.file == Path::new("-") {
        let input = BufReader::with_capacity(BUFFER, io::stdin().lock());
        return verify(input, &key, &kept).context("cannot read standard input");
    }
    let why = || format!("cannot read the export {}", args.file.display());
    let file = File::open(&args.file).with_context(why)?;
    verify(BufReader::with_capacity(BUFFER, file), &key, &kept).with_context(why)
}

/// A verifier key, or what is in the file of that name.
fn key(given: &str) -> anyhow::Result<VerifierKey> {
    let as_key = given.parse::<VerifierKey>();
    if as_key.is_ok() || !Path::new(given).exists() {
        let why = || format!("--key {given:?} is neither a verifier key nor a file that is there");
        return as_key.with_context(why);
    }
    let why = || format!("cannot read a verifier key from {given}");
    let mut text = String::new();
    File::open(given).with_context(why)?.take(4096).read_to_string(&mut text).with_context(why)?;
    text.trim().parse().with_context(why)
}

/// The checkpoints of a file: JSON objects one after the other, or notes, as the service keeps them outside of its
/// database.
fn checkpoints(path: &Path) -> anyhow::Result<Vec<String>> {
    let why = || format!("cannot read checkpoints from {}", path.display());
    let mut text = String::new();
    File::open(path).with_context(why)?.read_to_string(&mut text).with_context(why)?;
    if text.trim_start().starts_with('{') {
        let objects = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
        let objects: Result<Vec<_>, _> = objects.map(|object| object.map(|object| object.to_string())).collect();
        return objects.with_context(why);
    }
    let (notes, torn) = split_notes(&text);
    if notes.is_empty() {
        bail!("{} holds no signed checkpoint", path.display());
    }
    if !torn.trim().is_empty() {
        eprintln!("ferry: the last checkpoint in {} is not whole and is passed over", path.display());
    }
    Ok(notes.into_iter().map(str::to_owned).collect())
}
