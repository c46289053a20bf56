//! The simulator without its socket: it decides each request under one lock and has it in the journal before the
//! answer goes out.

mod import;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;
use bytes::Bytes;
use http::Method;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::api::import::{Prepared, prepare};
use crate::api::{Answer, Call, Route, Ruling, account, contacts, reply, status};
use crate::clock::{Clock, Micros, SECOND};
use crate::config::{AccountConfig, Options};
use crate::faults::{FaultKind, Faults, RetryAfter, Stage, instead, spoil};
use crate::journal::{AnsweredRecord, Change, Class, Decision, Journal, Record, RequestRecord, Ticket};
use crate::limits::Limits;
use crate::lock;
use crate::report::{Report, Tally};
use crate::rng::Rng;
use crate::store::{NewContact, Rules, State};

/// Everything that a request meets.
pub(crate) struct Simulator {
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    options: Options,
    settings: HashMap<String, Settings>,
    inner: Mutex<Inner>,
    journal: Journal,
    /// Tells the processor that a batch was queued.
    queued: Notify,
}

/// What an account's configuration says, looked up by lower-case addresses.
pub(crate) struct Settings {
    api_key: String,
    contact_limit: u64,
    excluded: HashSet<String>,
    bounced: HashSet<String>,
}

impl Settings {
    pub(crate) fn new(account: &AccountConfig) -> Self {
        let lower = |addresses: &[String]| addresses.iter().map(|address| address.to_lowercase()).collect();
        Self {
            api_key: account.api_key.clone(),
            contact_limit: account.contact_limit,
            excluded: lower(&account.excluded),
            bounced: lower(&account.bounced),
        }
    }
}

/// What is behind the lock.
pub(crate) struct Inner {
    pub(crate) state: State,
    pub(crate) tally: Tally,
    pub(crate) limits: HashMap<String, Limits>,
    /// Until when each account's client was told to keep away.
    keep_away: HashMap<String, Micros>,
    /// Addresses that a fault has refused, with the reason; they stay refused.
    refused: HashMap<String, String>,
    /// Batches whose new contacts find the plan used up.
    without_room: HashSet<Uuid>,
    /// When each account has worked through what is queued.
    busy_until: HashMap<String, Micros>,
    rng: Rng,
}

impl Inner {
    pub(crate) fn new(state: State, tally: Tally, limits: HashMap<String, Limits>, seed: u64) -> Self {
        Self {
            state,
            tally,
            limits,
            keep_away: HashMap::new(),
            refused: HashMap::new(),
            without_room: HashSet::new(),
            busy_until: HashMap::new(),
            // Another sequence than the faults have.
            rng: Rng::new(seed ^ 0x0BAD_5EED),
        }
    }
}

/// The head of a request.
pub(crate) struct Head {
    pub(crate) at: Micros,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) host: String,
    pub(crate) api_token: Option<String>,
    pub(crate) attempt: Option<String>,
}

impl Head {
    fn route(&self) -> Route {
        Route::of(&self.method, &self.path)
    }
}

/// A decided request that waits for its record to be on disk.
pub(crate) struct Decided {
    pub(crate) answer: Answer,
    pub(crate) seq: u64,
    pub(crate) ticket: Ticket,
}

impl Simulator {
    pub(crate) fn new(
        clock: Clock,
        options: Options,
        accounts: &[AccountConfig],
        inner: Inner,
        journal: Journal,
    ) -> Arc<Self> {
        let settings = accounts.iter().map(|account| (account.host.to_lowercase(), Settings::new(account))).collect();
        let faults = Faults::new(options.seed);
        let (inner, queued) = (Mutex::new(inner), Notify::new());
        Arc::new(Self { clock, faults, options, settings, inner, journal, queued })
    }

    /// Draws the fault of a request to a known account.
    pub(crate) fn draw(&self, head: &Head) -> Option<FaultKind> {
        let known = self.settings.contains_key(&head.host);
        known.then(|| self.faults.draw(&head.host, head.route().endpoint(), head.at))?
    }

    /// Decides a request. What it changes is visible from now on; the answer must wait for [`Self::on_disk`].
    pub(crate) fn decide(&self, head: &Head, body: &Bytes, fault: Option<&FaultKind>) -> Decided {
        let route = head.route();
        let mut prepared = (route == Route::Import).then(|| prepare(body, self.options.malformed));
        let class = match (route, &prepared) {
            (_, Some(prepared)) => prepared.class,
            (Route::ImportInfo | Route::ImportTotals, None) => Class::Status,
            _ => Class::Other,
        };
        let sha256 = (!body.is_empty()).then(|| hex(digest::digest(&digest::SHA256, body).as_ref()));
        let api_token = head.api_token.as_deref().unwrap_or_default();
        let call = Call { host: &head.host, query: &head.query, api_token, body, at: head.at, fault };

        let mut inner = lock(&self.inner);
        let inner = &mut *inner;
        self.process_due(inner);
        let early = inner.keep_away.get(&head.host).is_some_and(|until| head.at < *until);
        let mut ruling = self.rule(inner, head, &call, route, prepared.take());
        let seq = inner.state.next_seq();
        let before = |fault: &FaultKind| fault.stage() == Stage::BeforeLimits;
        let injected = fault.filter(|fault| before(fault) || ruling.decision != Decision::RateLimited);
        if let Some(fault) = injected.filter(|fault| fault.stage() == Stage::Body) {
            ruling.answer = spoil(fault, ruling.answer);
        }
        if let Some(seconds) = ruling.answer.keep_away_s {
            let until = self.clock.now() + (seconds * 1e6) as Micros;
            let stored = inner.keep_away.entry(head.host.clone()).or_default();
            *stored = until.max(*stored);
        }
        let (import, contacts) =
            ruling.import.map_or((None, Vec::new()), |(import, contacts)| (Some(import), contacts));
        let record = RequestRecord {
            seq,
            at: head.at,
            class,
            endpoint: route.name().to_owned(),
            account: self.settings.contains_key(&head.host).then(|| head.host.clone()),
            attempt: head.attempt.clone(),
            body_bytes: body.len() as u64,
            body_sha256: sha256,
            decision: ruling.decision,
            status: ruling.answer.status,
            keep_away_s: ruling.answer.keep_away_s,
            text: ruling.text.map(str::to_owned),
            fault: injected.map(FaultKind::name),
            early,
            import,
            changes: ruling.changes,
        };
        let ticket = self.enter(inner, head, record, contacts);
        Decided { answer: ruling.answer, seq, ticket }
    }

    /// Counts and journals a request, and queues its batch.
    fn enter(&self, inner: &mut Inner, head: &Head, record: RequestRecord, contacts: Vec<NewContact>) -> Ticket {
        inner.tally.count_request(&record, &contacts);
        if let Some(import) = &record.import {
            inner.state.queue(&head.host, head.at, import, contacts);
            self.queued.notify_one();
        }
        self.journal.append(&Record::Request(Box::new(record)))
    }

    /// Waits until a decided request is in the journal.
    pub(crate) async fn on_disk(&self, ticket: Ticket) -> anyhow::Result<()> {
        self.journal.synced(ticket).await
    }

    /// Notes whether an answer left.
    pub(crate) fn answered(&self, seq: u64, delivered: bool) {
        let record = Record::Answered(AnsweredRecord { of: seq, at: self.clock.now(), delivered });
        let mut inner = lock(&self.inner);
        inner.tally.count(&record);
        self.journal.note(&record);
    }

    /// The checks that every request passes, in the order of the service: host, key, limit, endpoint.
    fn rule(
        &self,
        inner: &mut Inner,
        head: &Head,
        call: &Call<'_>,
        route: Route,
        prepared: Option<Prepared>,
    ) -> Ruling {
        let Some(settings) = self.settings.get(&head.host) else {
            return Ruling::refused(reply::message(404, "No such account."), "unknown host");
        };
        if head.api_token.as_deref() != Some(settings.api_key.as_str()) {
            return Ruling::refused(Answer::empty(403), "wrong key");
        }
        let meddled = self.meddle(inner, call);
        let (mut ruling, remaining) = match self.pass_second(inner, call, route) {
            Ok(remaining) => (self.rule_in_time(inner, settings, call, route, prepared), remaining),
            Err(ruling) => (*ruling, 0),
        };
        if let Some(limit) = self.options.requests_per_second {
            ruling.answer.header("ratelimit-limit", &limit.to_string());
            ruling.answer.header("ratelimit-remaining", &remaining.min(limit as usize).to_string());
        }
        ruling.changes.extend(meddled);
        ruling
    }

    /// Asks the limit per second.
    fn pass_second(&self, inner: &mut Inner, call: &Call<'_>, route: Route) -> Result<usize, Box<Ruling>> {
        if route == Route::Import && !self.options.imports_count_per_second {
            return Ok(usize::MAX);
        }
        let Some(limits) = inner.limits.get_mut(call.host) else { return Ok(usize::MAX) };
        limits.per_second.admit(call.at).map_err(|wait| {
            let seconds = u32::try_from(wait.div_ceil(SECOND)).unwrap_or(u32::MAX);
            let answer = reply::too_many_requests(RetryAfter::Seconds(seconds));
            Box::new(Ruling::rate_limited(answer, "requests per second"))
        })
    }

    /// What a fault does to the account before the request is looked at, and what the journal has to know of it.
    fn meddle(&self, inner: &mut Inner, call: &Call<'_>) -> Option<Change> {
        match call.fault {
            Some(FaultKind::ForeignTraffic { requests, imports }) => {
                if let Some(limits) = inner.limits.get_mut(call.host) {
                    (0..*requests).for_each(|_| limits.per_second.record(call.at));
                    (0..*imports).for_each(|_| limits.import_many.record(call.at));
                }
                None
            }
            Some(FaultKind::ListDeleted { list }) => {
                let change = Change::DeleteList { list: *list };
                inner.state.account_mut(call.host)?.change(change.clone(), call.at);
                Some(change)
            }
            // A wildcard, because all other kinds strike elsewhere.
            _ => None,
        }
    }

    fn rule_in_time(
        &self,
        inner: &mut Inner,
        settings: &Settings,
        call: &Call<'_>,
        route: Route,
        prepared: Option<Prepared>,
    ) -> Ruling {
        if let Some(fault) = call.fault.filter(|fault| fault.stage() == Stage::Instead) {
            // Status 0 stands for no answer at all.
            return Ruling::faulted(instead(fault, call.api_token).unwrap_or_else(|| Answer::empty(0)));
        }
        if let Some(prepared) = prepared {
            return self.rule_import(inner, settings, call, prepared);
        }
        let Inner { state, .. } = inner;
        match route {
            Route::ImportInfo => return Ruling::read(status::info(state, call, call.at)),
            Route::ImportTotals => return Ruling::read(status::totals(state, call, &self.clock, call.at)),
            _ => {}
        }
        let clock = &self.clock;
        let Some(kept) = state.account_mut(call.host) else {
            return Ruling::refused(reply::message(404, "No such account."), "unknown host");
        };
        match route {
            Route::UsersMe => Ruling::read(account::users_me(call)),
            Route::SettingsAccount => Ruling::read(account::settings(kept, call, settings.contact_limit)),
            Route::Lists => Ruling::read(account::lists(kept, call)),
            Route::List(id) => Ruling::read(account::list(kept, id)),
            Route::CreateList => account::create_list(kept, call),
            Route::DeleteList(id) => account::delete_list(kept, call, id),
            Route::Fields => Ruling::read(account::fields(kept, call)),
            Route::Field(id) => Ruling::read(account::field(kept, id)),
            Route::Contacts => Ruling::read(contacts::search(kept, call, clock)),
            Route::Contact(id) => Ruling::read(contacts::get(kept, call, clock, id)),
            Route::CreateContact => contacts::create(kept, call, clock),
            Route::SyncContact => contacts::sync(kept, call, clock),
            Route::DeleteContact(id) => contacts::delete(kept, call, id),
            Route::SetMembership => contacts::set_membership(kept, call),
            Route::Import | Route::ImportInfo | Route::ImportTotals | Route::Unknown => {
                Ruling::refused(reply::message(404, "No Result found"), "unknown path")
            }
        }
    }

    /// Processes each batch whose time has come.
    fn process_due(&self, inner: &mut Inner) {
        let now = self.clock.now();
        while let Some(id) = inner.state.take_due(now) {
            let Some(host) = inner.state.batch(id).map(|batch| batch.account.clone()) else { continue };
            let Some(settings) = self.settings.get(&host) else { continue };
            let contact_limit = if inner.without_room.remove(&id) { 0 } else { settings.contact_limit };
            let rules = Rules {
                excluded: &|address| settings.excluded.contains(address),
                bounced: &|address| settings.bounced.contains(address),
                contact_limit,
            };
            let seq = inner.state.next_seq();
            let Some(finished) = inner.state.judge(id, &rules, seq, now) else { continue };
            inner.state.finish(&finished);
            inner.tally.count_finished(&finished);
            self.journal.append(&Record::Finished(finished));
        }
    }

    /// Processes batches as they come due, for ever; the owner drops it to stop.
    pub(crate) async fn process(&self) {
        loop {
            let next = {
                let mut inner = lock(&self.inner);
                self.process_due(&mut inner);
                inner.state.next_due()
            };
            match next {
                Some(at) => {
                    tokio::select! {
                        () = tokio::time::sleep(self.clock.until(at)) => {}
                        () = self.queued.notified() => {}
                    }
                }
                None => self.queued.notified().await,
            }
        }
    }

    pub(crate) fn report(&self) -> Report {
        let mut inner = lock(&self.inner);
        self.process_due(&mut inner);
        inner.tally.report()
    }

    /// Looks at the state as it is now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        let mut inner = lock(&self.inner);
        self.process_due(&mut inner);
        look(&inner.state)
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes every write");
        text
    })
}
