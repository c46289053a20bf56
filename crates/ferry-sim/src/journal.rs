//! The journal: a JSON object a line, durable before the answer goes. Several requests share one fsync.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use tokio::sync::{mpsc, oneshot};

/// One fact.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fact")]
pub(crate) enum Fact {
    /// An import was queued.
    Accepted {
        at: f64,
        account: String,
        batch: String,
        attempt: Option<String>,
        bytes: usize,
        contacts: Vec<serde_json::Value>,
    },
    /// An import was refused for a limit.
    Limited { at: f64, account: String, class: String },
}

type Job = (Vec<u8>, oneshot::Sender<()>);

/// Appends facts.
#[derive(Clone)]
pub(crate) struct Journal(mpsc::Sender<Job>);

impl Journal {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(path).context("the journal cannot be opened")?;
        let (jobs, waiting) = mpsc::channel(1_024);
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || write(file, waiting))?;
        Ok(Self(jobs))
    }

    /// Returns once the fact is on the disk.
    pub(crate) async fn write(&self, fact: &Fact) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(fact)?;
        line.push(b'\n');
        let (done, durable) = oneshot::channel();
        self.0.send((line, done)).await.context("the journal has ended")?;
        durable.await.context("the journal cannot be written")
    }
}

fn write(mut file: File, mut waiting: mpsc::Receiver<Job>) {
    while let Some(first) = waiting.blocking_recv() {
        let mut group = vec![first];
        while let Ok(next) = waiting.try_recv() {
            group.push(next);
        }
        let bytes: Vec<u8> = group.iter().flat_map(|(line, _)| line.iter().copied()).collect();
        if file.write_all(&bytes).and_then(|()| file.sync_data()).is_err() {
            // Nobody is answered: what cannot be recorded was not accepted.
            return;
        }
        for (_, done) in group {
            let _gone = done.send(());
        }
    }
}

/// Reads the facts of a journal; a line that a crash cut is left out.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Fact>> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut facts = Vec::new();
    for line in BufReader::new(file).lines() {
        if let Ok(fact) = serde_json::from_str(&line?) {
            facts.push(fact);
        }
    }
    Ok(facts)
}
