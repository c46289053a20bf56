//! From the plan file to batches that can be sent.

use super::RunContext;
use super::plan::blocking;
use crate::failure::{self, Stop};
use bytes::Bytes;
use ferry_destinations::activecampaign;
use ferry_domain::ExportSettings;
use ferry_segments::layout::RunFile;
use ferry_segments::{PlanReader, PlanRow};
use ferry_store::BatchKey;
use std::collections::HashSet;
use std::sync::Arc;

/// A batch that is to be sent, for the first time or again.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) key: BatchKey,
    /// Attempts on record.
    pub(super) attempts: u32,
}

/// The identity of each row of a batch, by offset.
pub(super) type Identities = Arc<Vec<[u8; 16]>>;

/// A batch with the bytes of its request: the same rows always make the same bytes.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) job: Job,
    pub(super) body: Bytes,
    pub(super) digest: [u8; 32],
    pub(super) identities: Identities,
}

impl Prepared {
    /// Rows in the request.
    pub(super) fn rows(&self) -> usize {
        self.job.key.rows as usize - self.job.key.removed.len()
    }
}

/// Reads batches; sequential reads stay on one open file.
pub(super) struct Feed {
    context: Arc<RunContext>,
    reader: Option<(PlanReader, u64)>,
}

impl Feed {
    pub(super) fn new(context: Arc<RunContext>) -> Self {
        Self { context, reader: None }
    }

    pub(super) async fn prepare(&mut self, job: Job) -> Result<Prepared, Stop> {
        let rows = self.read(job.key.first, job.key.rows).await?;
        let removed: HashSet<u32> = job.key.removed.iter().copied().collect();
        let kept = (0_u32..).zip(&rows).filter(|(offset, _)| !removed.contains(offset)).map(|(_, row)| &row.body[..]);
        let ExportSettings::Activecampaign { exclude_automations, .. } = self.context.export.settings;
        let body = activecampaign::assemble(kept, exclude_automations);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body);
        let digest = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let identities = Arc::new(rows.iter().map(|row| row.identity).collect());
        Ok(Prepared { job, body, digest, identities })
    }

    /// The identities of a batch that an earlier process queued.
    pub(super) async fn identities(&mut self, key: &BatchKey) -> Result<Identities, Stop> {
        let rows = self.read(key.first, key.rows).await?;
        Ok(Arc::new(rows.iter().map(|row| row.identity).collect()))
    }

    async fn read(&mut self, first: u64, rows: u32) -> Result<Vec<PlanRow>, Stop> {
        let path = self.context.file_path(RunFile::Plan);
        let (key, aad) = (self.context.file_key(), self.context.file_aad(RunFile::Plan));
        let open = self.reader.take();
        let read = blocking(move || {
            let mut reader = match open {
                Some((reader, position)) if position == first => reader,
                Some((mut reader, _)) => {
                    reader.seek(first)?;
                    reader
                }
                None => {
                    let mut reader = PlanReader::open(&path, &key, &aad)?;
                    reader.seek(first)?;
                    reader
                }
            };
            let found = reader.read(rows as usize)?;
            Ok::<_, ferry_segments::PlanError>((reader, found))
        });
        match read.await? {
            Ok((reader, found)) if found.len() == rows as usize => {
                self.reader = Some((reader, first + u64::from(rows)));
                Ok(found)
            }
            Ok(_) => Err(failure::internal("the plan of this run is shorter than recorded; nothing more is sent")),
            Err(error) => {
                tracing::error!(%error, "a plan file cannot be read");
                Err(failure::internal("the plan of this run cannot be read; nothing more is sent"))
            }
        }
    }
}
