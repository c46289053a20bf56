//! From the plan file to batches that can be sent.

use super::RunContext;
use crate::failure::{self, Stop};
use bytes::Bytes;
use ferry_destinations::activecampaign;
use ferry_domain::ExportSettings;
use ferry_lanes::{Mark, OnTheWay};
use ferry_segments::layout::RunFile;
use ferry_segments::{PlanError, PlanReader, PlanRow};
use ferry_store::{BatchKey, CountsDelta};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use tokio::task::{JoinError, JoinHandle};

/// A batch that is to be sent, for the first time or again.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) key: BatchKey,
    /// Attempts on record.
    pub(super) attempts: u32,
    /// Whether an attempt without an answer may have brought its rows there.
    pub(super) may_have_arrived: bool,
    /// Its people, once it has taken them: it keeps them over all its attempts, until it is settled or given up.
    pub(super) people: Option<OnTheWay>,
    /// Whether its rows are of those who left. A batch has only the one kind or the other.
    pub(super) removal: bool,
}

impl Job {
    /// A batch of which nothing was sent.
    pub(super) fn new(key: BatchKey, removal: bool) -> Self {
        Self { key, attempts: 0, may_have_arrived: false, removal, people: None }
    }

    /// The change of the account, on the side of the account that the batch is on.
    pub(super) fn counted(&self, delta: CountsDelta) -> CountsDelta {
        if !self.removal {
            return delta;
        }
        CountsDelta {
            removals_confirmed: delta.confirmed,
            removals_refused: delta.refused,
            removals_unknown: delta.unknown,
            // A removal that is queued has no bucket of its own: until its result it counts as not sent.
            removals_not_sent: delta.not_sent + delta.queued,
            batches_settled: delta.batches_settled,
            ..CountsDelta::default()
        }
    }
}

/// The child that carries what is left of a batch of which these rows were refused; nothing if none is left.
pub(super) fn rest_of(parent: &BatchKey, refused: impl IntoIterator<Item = u32>, seq: u32) -> Option<BatchKey> {
    let mut removed = parent.removed.clone();
    removed.extend(refused);
    removed.sort_unstable();
    removed.dedup();
    let (first, rows) = (parent.first, parent.rows);
    (removed.len() < rows as usize).then_some(BatchKey { seq, parent: Some(parent.seq), first, rows, removed })
}

/// The identity of each row of a batch, by offset.
pub(super) type Identities = Arc<Vec<[u8; 16]>>;

/// A batch with the bytes of its request: the same rows always make the same bytes.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) job: Job,
    pub(super) body: Bytes,
    pub(super) digest: [u8; 32],
    /// Over `digest`, by the tenant's identity key.
    pub(super) keyed_digest: [u8; 32],
    pub(super) identities: Identities,
    /// Who is in it, where it has not taken them yet.
    pub(super) marks: Vec<Mark>,
}

impl Prepared {
    /// Rows in the request.
    pub(super) fn rows(&self) -> usize {
        self.job.key.rows as usize - self.job.key.removed.len()
    }

    /// The batch with its people, from now until it is settled or given up.
    pub(super) fn with(mut self, people: OnTheWay) -> Self {
        self.job.people = Some(people);
        self
    }
}

/// The rows of a batch that are in its request.
fn kept<'a>(key: &BatchKey, rows: &'a [PlanRow]) -> impl Iterator<Item = &'a PlanRow> + Clone + use<'a> {
    let removed: HashSet<u32> = key.removed.iter().copied().collect();
    (0_u32..).zip(rows).filter(move |(offset, _)| !removed.contains(offset)).map(|(_, row)| row)
}

/// Reads batches. Those that were never sent are read in their order and ahead, while others are being sent; any other
/// is read from its place.
pub(super) struct Feed {
    context: Arc<RunContext>,
    /// The open plan, unless it is being read just now.
    plan: Option<OpenPlan>,
    /// Still to be read ahead.
    ahead: VecDeque<Job>,
    /// Read ahead, and not asked for yet.
    ready: VecDeque<Prepared>,
    /// The next ones, being read.
    reading: Option<JoinHandle<Result<Chunk, Stop>>>,
    /// How many are read at once.
    at_once: usize,
}

/// Batches that were read in one go, and where to go on.
struct Chunk {
    plan: OpenPlan,
    batches: Vec<Prepared>,
}

struct OpenPlan {
    reader: PlanReader,
    /// The ordinal of the row that is read next.
    position: u64,
}

impl Feed {
    pub(super) fn new(context: Arc<RunContext>) -> Self {
        let at_once = (context.lane.most_unanswered() / 2).max(1);
        let (ahead, ready) = (VecDeque::new(), VecDeque::new());
        Self { context, plan: None, ahead, ready, reading: None, at_once }
    }

    /// These are read ahead. They are asked for in this order, whatever is asked for in between.
    pub(super) fn read_ahead(self, jobs: VecDeque<Job>) -> Self {
        Self { ahead: jobs, ..self }
    }

    pub(super) async fn prepare(&mut self, job: Job) -> Result<Prepared, Stop> {
        self.catch_up(&job).await?;
        match self.ready.pop_front_if(|ready| ready.job.key == job.key) {
            Some(ready) => {
                self.start_reading();
                Ok(Prepared { job, ..ready })
            }
            None => self.one(move |context, plan| prepare(context, plan, job)).await,
        }
    }

    /// A batch that an earlier process began, with its people, who may be on the way; and their identities.
    pub(super) async fn take_up(&mut self, job: Job) -> Result<(Job, Identities), Stop> {
        let taken = self.one(move |context, plan| {
            let rows = rows(context, plan, &job.key)?;
            let people = Some(context.lane.take_up(marks(context, &job.key, &rows)));
            Ok((Job { people, ..job }, identities(&rows)))
        });
        taken.await
    }

    /// Waits for what is being read, if the job is the next of what is read ahead.
    async fn catch_up(&mut self, job: &Job) -> Result<(), Stop> {
        if !self.ready.is_empty() {
            return Ok(());
        }
        if self.ahead.front().is_some_and(|next| next.key == job.key) {
            self.start_reading();
        }
        self.take_in().await
    }

    fn start_reading(&mut self) {
        if self.reading.is_some() || self.ready.len() >= self.at_once || self.ahead.is_empty() {
            return;
        }
        let jobs: Vec<Job> = self.ahead.drain(..self.at_once.min(self.ahead.len())).collect();
        let (context, mut plan) = (Arc::clone(&self.context), self.plan.take());
        self.reading = Some(tokio::task::spawn_blocking(move || {
            let batches = jobs.into_iter().map(|job| prepare(&context, &mut plan, job)).collect::<Result<_, _>>()?;
            plan.map(|plan| Chunk { plan, batches }).ok_or_else(unreadable)
        }));
    }

    async fn take_in(&mut self) -> Result<(), Stop> {
        let Some(reading) = self.reading.take() else { return Ok(()) };
        let Chunk { plan, batches } = reading.await.map_err(panicked)??;
        self.plan = Some(plan);
        self.ready.extend(batches);
        Ok(())
    }

    /// Reads something out of the order.
    async fn one<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&RunContext, &mut Option<OpenPlan>) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, Stop> {
        self.take_in().await?;
        let (context, mut plan) = (Arc::clone(&self.context), self.plan.take());
        let reading = tokio::task::spawn_blocking(move || {
            let found = read(&context, &mut plan);
            (plan, found)
        });
        let (plan, found) = reading.await.map_err(panicked)?;
        self.plan = plan;
        found
    }
}

fn prepare(context: &RunContext, plan: &mut Option<OpenPlan>, job: Job) -> Result<Prepared, Stop> {
    let rows = rows(context, plan, &job.key)?;
    let bodies = kept(&job.key, &rows).map(|row| &row.body[..]);
    let ExportSettings::Activecampaign { exclude_automations, .. } = context.export.settings;
    let body = activecampaign::assemble(bodies, exclude_automations);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body);
    let digest: [u8; 32] = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
    let keyed_digest = context.files.keyed(&digest);
    let identities = identities(&rows);
    let marks = if job.people.is_some() { Vec::new() } else { marks(context, &job.key, &rows) };
    Ok(Prepared { job, body, digest, keyed_digest, identities, marks })
}

fn identities(rows: &[PlanRow]) -> Identities {
    Arc::new(rows.iter().map(|row| row.identity).collect())
}

/// The people of a batch that is to be sent.
fn marks(context: &RunContext, key: &BatchKey, rows: &[PlanRow]) -> Vec<Mark> {
    let addresses = kept(key, rows).filter_map(|row| activecampaign::address_of(&row.body));
    addresses.map(|address| context.lane.mark(&address)).collect()
}

fn rows(context: &RunContext, plan: &mut Option<OpenPlan>, key: &BatchKey) -> Result<Vec<PlanRow>, Stop> {
    match read(context, plan, key) {
        Ok(found) if found.len() == key.rows as usize => Ok(found),
        Ok(_) => Err(failure::internal("the plan of this run is shorter than recorded; nothing more is sent")),
        Err(error) => {
            tracing::error!(%error, "a plan file cannot be read");
            Err(unreadable())
        }
    }
}

/// A read that follows the last one stays on the open file.
fn read(context: &RunContext, plan: &mut Option<OpenPlan>, key: &BatchKey) -> Result<Vec<PlanRow>, PlanError> {
    let plan = match plan {
        Some(plan) => plan,
        none => {
            let place = context.files.of_run(RunFile::Plan);
            let reader = PlanReader::open(&place.path, &place.key, &place.aad)?;
            none.insert(OpenPlan { reader, position: 0 })
        }
    };
    if plan.position != key.first {
        plan.reader.seek(key.first)?;
    }
    plan.position = key.first + u64::from(key.rows);
    plan.reader.read(key.rows as usize)
}

fn unreadable() -> Stop {
    failure::internal("the plan of this run cannot be read; nothing more is sent")
}

fn panicked(error: JoinError) -> Stop {
    tracing::error!(%error, "the reading of a plan panicked");
    unreadable()
}
