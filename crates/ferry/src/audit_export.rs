//! `ferry audit export`: the audit log of a tenant, from the service into a file for the verifier.

use crate::client::ConnectArgs;
use anyhow::{Context as _, bail};
use clap::Args;
use ferry_ledger::Hash;
use ferry_ledger::file::{FileCheckpoint, FileEntry, FileLog, FileWriter};
use ferry_proto::v1 as pb;
use ferry_proto::v1::export_audit_log_response::Item;
use std::io::{BufWriter, Write};

/// What is exported.
#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The tenant's id. The token must be that of an administrator there.
    #[arg(long, env = "FERRY_TENANT")]
    tenant: String,
    /// Go on behind this entry: what is written then belongs behind a file that ends with it, and has no head.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: u64,
    /// The size of a checkpoint that you kept, to be in the file; may be given more than once.
    #[arg(long = "pin", value_name = "SIZE")]
    pins: Vec<u64>,
    #[command(flatten)]
    service: ConnectArgs,
}

/// Writes the log to standard output. What is written before a failure is not the whole, and the exit code says so.
pub(crate) async fn run(args: ExportArgs) -> anyhow::Result<()> {
    let service = args.service;
    let mut client = service.connect().await?;
    let number = |value: u64| i64::try_from(value).with_context(|| format!("{value} is too great"));
    let request = pb::ExportAuditLogRequest {
        parent: format!("tenants/{}", args.tenant),
        after_number: number(args.after)?,
        pinned_sizes: args.pins.into_iter().map(number).collect::<Result<_, _>>()?,
    };
    let mut items = service.ask(client.audit.export_audit_log(request)).await?;
    let mut file = FileWriter::new(BufWriter::new(std::io::stdout().lock()));
    while let Some(response) = items.message().await.map_err(|status| service.explain(&status))? {
        match response.item {
            Some(Item::Log(_)) if args.after > 0 => {}
            Some(item) => write(&mut file, &item)?,
            None => bail!("the service sent something that this version does not know; use a newer one"),
        }
    }
    Ok(file.into_inner().flush()?)
}

fn write(file: &mut FileWriter<impl Write>, item: &Item) -> anyhow::Result<()> {
    let positive = |value: i64| u64::try_from(value).with_context(|| format!("the service sent the number {value}"));
    match item {
        Item::Log(log) => {
            file.log(&FileLog { tenant: &log.tenant, tenant_uid: &log.tenant_uid, origin: &log.origin })?;
        }
        Item::Entry(entry) => file.entry(&FileEntry {
            chain: &entry.chain,
            number: positive(entry.number)?,
            encoded: Some(&*entry.encoded).filter(|encoded| !encoded.is_empty()),
            body_hash: &hash(&entry.body_hash)?,
            hash: &hash(&entry.hash)?,
        })?,
        Item::Checkpoint(checkpoint) => file.checkpoint(&FileCheckpoint {
            note: &checkpoint.note,
            public_key: &checkpoint.public_key.parse().context("the service sent no verifier key")?,
            leaf_index: positive(checkpoint.leaf_index)?,
            entries: positive(checkpoint.entries)?,
            inclusion_proof: &hashes(&checkpoint.inclusion_proof)?,
            consistency_proof: &hashes(&checkpoint.consistency_proof)?,
        })?,
    }
    Ok(())
}

fn hash(bytes: &[u8]) -> anyhow::Result<Hash> {
    bytes.try_into().context("the service sent a hash of another length than 32 bytes")
}

fn hashes(all: &[Vec<u8>]) -> anyhow::Result<Vec<Hash>> {
    all.iter().map(|bytes| hash(bytes)).collect()
}
