//! One watch that goes on over cut connections, restarts and tokens that are too old.

use super::super::{names::Name, phrases, shown};
use crate::client::{ConnectArgs, Problem, reason};
use ferry_proto::v1 as pb;
use ferry_proto::v1::watch_runs_response::Event;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The service sends a heartbeat after 15 s of quiet. Whoever says nothing for so long is not there any more.
const SILENCE: Duration = Duration::from_secs(40);
/// The first wait before a new connection, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// So many runs that have ended are remembered, so that a repeat is known as one.
const REMEMBERED: usize = 10_000;
const RESUME_TOKEN: &str = "resume_token";

/// What one who watches is told.
pub(super) enum Told {
    /// Something that was not told before, or a heartbeat.
    Event(Box<pb::WatchRunsResponse>),
    /// How the connection is, for people.
    Note(String),
    /// It cannot be watched any more.
    Failed(Problem),
}

/// How a stream ended.
enum End {
    /// The watched run is over.
    Over,
    /// The connection; it may be made anew, after so long at least.
    Cut(Problem, Duration),
    /// The resume token is of no use.
    Stale(String),
    Refused(Problem),
}

/// What is known of a run.
struct Known {
    etag: String,
    run: pb::Run,
}

/// See the module.
pub(super) struct Follower {
    service: ConnectArgs,
    name: Name,
    resume_token: String,
    /// For how long a new connection is tried.
    patience: Duration,
    known: HashMap<String, Known>,
    /// The runs of the snapshot that is being read.
    snapshot: Option<HashSet<String>>,
    /// A snapshot has been read to its end.
    is_complete: bool,
    /// Since when nothing has come; set while the connection is cut.
    cut: Option<Instant>,
    tries: u32,
    has_begun: bool,
    /// The access token of the connection.
    access: String,
    out: Sender<Told>,
}

impl Follower {
    pub(super) fn new(
        service: ConnectArgs,
        name: Name,
        resume_token: String,
        patience: Duration,
        out: Sender<Told>,
    ) -> Self {
        let is_complete = !resume_token.is_empty();
        Self {
            service,
            name,
            resume_token,
            is_complete,
            patience,
            known: HashMap::new(),
            snapshot: None,
            cut: None,
            tries: 0,
            has_begun: false,
            access: String::new(),
            out,
        }
    }

    /// Follows until the run that is watched has ended, and returns it; without one, for ever.
    pub(super) async fn follow(mut self) -> Option<pb::Run> {
        loop {
            match self.stream().await {
                End::Over => return self.ended_run().await,
                End::Refused(problem) => {
                    self.tell(Told::Failed(problem)).await;
                    return None;
                }
                End::Stale(why) => {
                    self.tell(Told::Note(format!("{why}; what happened in between is told as it is now"))).await;
                    self.resume_token.clear();
                    self.is_complete = false;
                }
                End::Cut(problem, least) => {
                    if !self.wait(&problem, least).await {
                        self.tell(Told::Failed(self.given_up(problem))).await;
                        return None;
                    }
                }
            }
        }
    }

    fn given_up(&self, problem: Problem) -> Problem {
        if self.has_begun {
            let tried = self.patience.as_secs();
            return problem.todo(format!("a new connection was tried for {tried} s; --reconnect-for says how long"));
        }
        problem
    }

    /// Waits before the next try. False if there is none.
    async fn wait(&mut self, problem: &Problem, least: Duration) -> bool {
        let since = *self.cut.get_or_insert_with(Instant::now);
        // Who cannot be reached from the beginning is told so at once.
        if !self.has_begun || since.elapsed() >= self.patience {
            return false;
        }
        if self.tries == 0 {
            self.tell(Told::Note(format!("{}; connecting again", problem.what()))).await;
        }
        let longest = WAITS.0.saturating_mul(1 << self.tries.min(10)).min(WAITS.1);
        self.tries += 1;
        // Between half and all of it, so that not all come back at once.
        let part = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
        tokio::time::sleep((longest / 2 + longest / 512 * part).max(least)).await;
        true
    }

    async fn stream(&mut self) -> End {
        let request = pb::WatchRunsRequest {
            parent: self.name.parent(),
            run: if matches!(self.name, Name::Run { .. }) { self.name.to_string() } else { String::new() },
            resume_token: self.resume_token.clone(),
        };
        self.snapshot = (!self.is_complete).then(HashSet::new);
        self.access = self.service.token().unwrap_or_default();
        let silent = |service: &ConnectArgs| End::Cut(service.silent(SILENCE), Duration::ZERO);
        let opened = tokio::time::timeout(SILENCE, async {
            let mut client = match self.service.connect().await {
                Ok(client) => client,
                Err(problem) if self.has_begun => return Err(End::Cut(problem, Duration::ZERO)),
                Err(problem) => return Err(End::Refused(problem)),
            };
            client.runs.watch_runs(request).await.map_err(|status| self.end_of(&status))
        });
        let mut stream = match opened.await {
            Err(_) => return silent(&self.service),
            Ok(Err(end)) => return end,
            Ok(Ok(stream)) => stream.into_inner(),
        };
        loop {
            match tokio::time::timeout(SILENCE, stream.message()).await {
                Err(_) => return silent(&self.service),
                Ok(Ok(Some(message))) => {
                    (self.cut, self.tries, self.has_begun) = (None, 0, true);
                    if let Err(end) = self.take(message).await {
                        return end;
                    }
                }
                Ok(Ok(None)) if matches!(self.name, Name::Run { .. }) => return End::Over,
                Ok(Ok(None)) => {
                    return End::Cut(Problem::new("the service has ended the watch".to_owned()), Duration::ZERO);
                }
                Ok(Err(status)) => {
                    // All up to this token has been told, heartbeats or not.
                    let info = status.get_details_error_info();
                    if let Some(token) = info.and_then(|mut info| info.metadata.remove(RESUME_TOKEN)) {
                        self.resume_token = token;
                    }
                    return self.end_of(&status);
                }
            }
        }
    }

    /// Tells a message unless it is a repeat, and keeps its token.
    async fn take(&mut self, mut message: pb::WatchRunsResponse) -> Result<(), End> {
        let is_new = match &mut message.event {
            Some(Event::Run(run)) => {
                *run = shown(std::mem::take(run));
                if let Some(snapshot) = &mut self.snapshot {
                    snapshot.insert(run.name.clone());
                }
                self.is_new(run)
            }
            Some(Event::SnapshotComplete(_) | Event::Heartbeat(_)) => true,
            None => false,
        };
        let is_complete = matches!(message.event, Some(Event::SnapshotComplete(_)));
        let token = message.resume_token.clone();
        if is_complete {
            let snapshot = self.snapshot.take().unwrap_or_default();
            self.tell_ends(&snapshot, &token).await?;
            self.is_complete = true;
        }
        if is_new {
            self.tell(Told::Event(Box::new(message))).await;
        }
        self.resume_token = token;
        Ok(())
    }

    fn is_new(&mut self, run: &pb::Run) -> bool {
        if self.known.get(&run.name).is_some_and(|known| known.etag == run.etag) {
            return false;
        }
        if self.known.len() > REMEMBERED {
            self.known.retain(|_, known| !phrases::has_ended(&known.run));
        }
        self.known.insert(run.name.clone(), Known { etag: run.etag.clone(), run: run.clone() });
        true
    }

    /// A snapshot holds what is not over. What was going on before and is not in it has ended meanwhile.
    async fn tell_ends(&mut self, snapshot: &HashSet<String>, token: &str) -> Result<(), End> {
        let going_on = self.known.values().map(|known| &known.run).filter(|run| !phrases::has_ended(run));
        let gone = going_on.map(|run| run.name.clone()).filter(|name| !snapshot.contains(name));
        for name in gone.collect::<Vec<_>>() {
            let run = match self.read(&name).await {
                Ok(run) => run,
                // With its tenant.
                Err(problem) if problem.reason() == "RESOURCE_NOT_FOUND" => continue,
                Err(problem) => return Err(End::Cut(problem, Duration::ZERO)),
            };
            if self.is_new(&run) {
                let event = Some(Event::Run(run));
                let message = pb::WatchRunsResponse { event, resume_token: token.to_owned() };
                self.tell(Told::Event(Box::new(message))).await;
            }
        }
        Ok(())
    }

    async fn read(&self, name: &str) -> Result<pb::Run, Problem> {
        let mut client = self.service.connect().await?;
        let request = pb::GetRunRequest { name: name.to_owned() };
        Ok(shown(self.service.ask(client.runs.get_run(request)).await?.run.unwrap_or_default()))
    }

    /// The run that was watched, at its end. Who goes on behind the end is not told of it, and asks.
    async fn ended_run(&mut self) -> Option<pb::Run> {
        let name = self.name.to_string();
        if let Some(known) = self.known.remove(&name).filter(|known| phrases::has_ended(&known.run)) {
            return Some(known.run);
        }
        match self.read(&name).await {
            Ok(run) => Some(run),
            Err(problem) => {
                self.tell(Told::Failed(problem)).await;
                None
            }
        }
    }

    fn end_of(&self, status: &Status) -> End {
        let problem = self.service.explain(status);
        let wait = status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or_default();
        let reason = reason(status);
        let about_token = || {
            let request = status.get_details_bad_request();
            request.is_some_and(|request| request.field_violations.iter().any(|found| found.field == RESUME_TOKEN))
        };
        match status.code() {
            Code::OutOfRange if reason == "RESUME_TOKEN_EXPIRED" && !self.resume_token.is_empty() => {
                End::Stale("the resume token is too old".to_owned())
            }
            Code::InvalidArgument if !self.resume_token.is_empty() && about_token() => {
                End::Stale("the resume token is not one of this watch".to_owned())
            }
            // Too slow, or too many: also the watches of connections that the service does not yet know to be cut.
            Code::ResourceExhausted if self.has_begun => End::Cut(problem, wait),
            Code::Unavailable => End::Cut(problem, wait.min(WAITS.1)),
            // Whoever renews tokens has put another one there.
            Code::Unauthenticated if self.service.token().is_ok_and(|token| token != self.access) => {
                End::Cut(Problem::new("the access token is another one now".to_owned()), Duration::ZERO)
            }
            Code::Unknown | Code::Internal | Code::Cancelled | Code::DeadlineExceeded if reason.is_empty() => {
                End::Cut(problem, Duration::ZERO)
            }
            Code::Internal => End::Cut(problem, wait),
            _ => End::Refused(problem),
        }
    }

    async fn tell(&self, told: Told) {
        // Nobody listens any more: the command is ending.
        let _ended = self.out.send(told).await;
    }
}
