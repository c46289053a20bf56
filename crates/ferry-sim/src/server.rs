//! The server: listens on loopback, speaks HTTP/1.1, and ends a connection by hand when a fault wants that.
//!
//! Owner of all tasks is one supervisor task; it ends, and ends them, when [`Sim::stop`] is called or the [`Sim`] is
//! dropped. A request under way then gets no answer; what was decided is in the journal all the same.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::clock::{Clock, unix_ms};
use crate::config::{AccountConfig, Protocol, SimConfig};
use crate::control;
use crate::delivery::{Delivery, Tracked};
use crate::faults::{FaultKind, Faults, Stage};
use crate::journal::{Decision, Journal, Record, StartAccount, StartRecord, replay};
use crate::limits::Limits;
use crate::lock;
use crate::report::{Report, Tally};
use crate::script::Script;
use crate::simulator::{Head, Inner, Simulator};
use crate::store::{ContactView, State};
use crate::tls::Tls;

pub(crate) use crate::socket::Socket;

/// The largest body that is read at all; one over the API's own limit is answered, one over this is cut off.
const MAX_READ_BYTES: usize = 8 << 20;

/// A running simulator; dropped, it stops too, without waiting for it.
pub struct Sim {
    simulator: Arc<Simulator>,
    addr: SocketAddr,
    ca_pem: String,
    stop: watch::Sender<()>,
    supervisor: JoinHandle<()>,
}

/// Starts a simulator: replays the journal, listens, and answers until it is stopped.
///
/// # Errors
///
/// The address is not a loopback one, the journal cannot be read or written, or the socket cannot be opened.
pub async fn start(config: SimConfig) -> anyhow::Result<Sim> {
    ensure!(config.listen.ip().is_loopback(), "`{}` is not a loopback address", config.listen);
    ensure!(config.time_scale.is_finite() && config.time_scale > 0.0, "the time scale must be above 0");
    let hosts: Vec<String> = config.accounts.iter().map(|account| account.host.to_lowercase()).collect();
    let tls = Tls::new(&hosts, config.options.certificate)?;
    let acceptor = match config.options.protocol {
        Protocol::Tls => Some(tls.acceptor),
        Protocol::Plain => None,
    };
    let simulator = awaken(&config)?;
    let listener = TcpListener::bind(config.listen).await.context("the simulator cannot listen")?;
    let addr = listener.local_addr().context("the simulator's address is unknown")?;
    let (stop, stopped) = watch::channel(());
    let supervisor = tokio::spawn(supervise(Arc::clone(&simulator), listener, acceptor, stopped));
    Ok(Sim { simulator, addr, ca_pem: tls.ca_pem, stop, supervisor })
}

impl Sim {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The certificate of the CA that a client must trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The switchboard of faults.
    pub fn faults(&self) -> &Faults {
        &self.simulator.faults
    }

    /// The figures up to now.
    pub fn report(&self) -> Report {
        self.simulator.report()
    }

    /// The subscribed contacts of a list, by id.
    pub fn contacts(&self, host: &str, list: u32) -> Vec<ContactView> {
        self.simulator.look(|state| state.contacts(&host.to_lowercase(), list, usize::MAX))
    }

    /// A contact by its address, in any letter case, with all its memberships.
    pub fn contact(&self, host: &str, email: &str) -> Option<ContactView> {
        self.simulator.look(|state| {
            let account = state.account(&host.to_lowercase())?;
            account.by_address(email).map(|contact| account.view(contact))
        })
    }

    /// Stops, and waits until the journal is closed.
    pub async fn stop(self) {
        let Self { simulator, stop, supervisor, .. } = self;
        drop(stop);
        // The supervisor can only end by itself; a panic of it has ended everything anyway.
        let _ = supervisor.await;
        // The last owner closes the journal and waits for its thread.
        let _ = tokio::task::spawn_blocking(move || drop(simulator)).await;
    }
}

/// Builds the state from the journal and notes the new start in it.
fn awaken(config: &SimConfig) -> anyhow::Result<Arc<Simulator>> {
    let host = |account: &AccountConfig| account.host.to_lowercase();
    let (mut state, mut tally) = (State::empty(), Tally::default());
    let mut limits: std::collections::HashMap<String, Limits> =
        config.accounts.iter().map(|account| (host(account), Limits::new(&config.options))).collect();
    let mut last_start = None;
    replay(&config.journal, |record| {
        tally.count(&record);
        match &record {
            Record::Start(start) => last_start = Some((start.at, start.unix_ms, start.time_scale)),
            Record::Request(request) => {
                let limits = request.account.as_ref().and_then(|account| limits.get_mut(account));
                let counted = !matches!(request.decision, Decision::RateLimited) && request.status != 403;
                limits.into_iter().filter(|_| counted).for_each(|limits| limits.replay(request.class, request.at));
            }
            Record::Finished(_) | Record::Answered(_) => {}
        }
        state.replay(record);
    })?;
    state.drop_finished_due();
    let now_ms = unix_ms();
    let (origin, epoch_ms) = last_start.map_or((0, now_ms), |(at, started_ms, scale)| {
        let passed_us = now_ms.saturating_sub(started_ms) as f64 * 1_000.0 * scale;
        (state.latest().max(at + passed_us as u64), started_ms.saturating_sub(at / 1_000))
    });
    let clock = Clock::new(config.time_scale, origin, epoch_ms);
    let accounts = config.accounts.iter().map(|account| StartAccount {
        host: host(account),
        lists: account.lists.clone(),
        fields: account.fields.clone(),
        opted_out: account.opted_out.clone(),
    });
    let started = || StartRecord {
        seq: 0,
        at: origin,
        unix_ms: now_ms,
        time_scale: config.time_scale,
        accounts: accounts.clone().collect(),
    };
    let journal = Journal::open(&config.journal)?;
    let seq = state.next_seq();
    journal.append(&Record::Start(StartRecord { seq, ..started() }));
    state.replay(Record::Start(StartRecord { seq, ..started() }));
    let inner = Inner::new(state, tally, limits, config.options.seed);
    Ok(Simulator::new(clock, config.options.clone(), &config.accounts, inner, journal))
}

async fn supervise(
    simulator: Arc<Simulator>,
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    mut stopped: watch::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    let processing = simulator.process();
    tokio::pin!(processing);
    loop {
        tokio::select! {
            // The sender only ever goes away.
            _ = stopped.changed() => break,
            () = &mut processing => break,
            accepted = listener.accept() => {
                // An error belongs to one connection, or to a lack of descriptors that passes.
                if let Ok((tcp, _)) = accepted {
                    connections.spawn(connect(Arc::clone(&simulator), tcp, acceptor.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

/// A place where a request leaves the script that its connection shall end with.
#[derive(Default)]
struct Handover {
    script: Mutex<Option<(Script, Option<Delivery>)>>,
    left: Notify,
}

/// The life of a connection: requests one after another, until it is closed or handed over to a script.
async fn connect(simulator: Arc<Simulator>, tcp: TcpStream, acceptor: Option<TlsAcceptor>) {
    let _ = tcp.set_nodelay(true);
    let socket = match acceptor {
        Some(acceptor) => match acceptor.accept(tcp).await {
            Ok(stream) => Socket::Tls(Box::new(stream)),
            Err(_) => return,
        },
        None => Socket::Plain(tcp),
    };
    let handover = Arc::new(Handover::default());
    let service = service_fn(|request| {
        let (simulator, handover) = (Arc::clone(&simulator), Arc::clone(&handover));
        async move {
            match serve(&simulator, request).await {
                Served::Answer(response) => Ok::<_, std::convert::Infallible>(response),
                Served::Script(script, delivery) => {
                    *lock(&handover.script) = Some((script, delivery));
                    handover.left.notify_one();
                    // The connection is taken away while this waits.
                    std::future::pending().await
                }
            }
        }
    });
    let mut connection = http1::Builder::new().max_buf_size(1 << 20).serve_connection(TokioIo::new(socket), service);
    tokio::select! {
        _ = &mut connection => return,
        () = handover.left.notified() => {}
    }
    let taken = lock(&handover.script).take();
    if let Some((script, delivery)) = taken {
        let socket = connection.into_parts().io.into_inner();
        let whole = script.play(socket).await;
        if let Some(mut delivery) = delivery {
            delivery.set(whole);
        }
    }
}

enum Served {
    Answer(Response<Tracked>),
    Script(Script, Option<Delivery>),
}

async fn serve(simulator: &Arc<Simulator>, request: Request<Incoming>) -> Served {
    let head = head(simulator, &request);
    if control::is_control(&head.path) {
        let body = read(request).await.unwrap_or_default();
        return Served::Answer(Tracked::response(&control::answer(simulator, &head, &body), None));
    }
    let fault = simulator.draw(&head);
    match &fault {
        Some(FaultKind::StopReading) => return Served::Script(Script::deaf(), None),
        Some(FaultKind::HoldBefore) => simulator.faults.held().await,
        // A wildcard, because all other kinds wait for the body.
        _ => {}
    }
    let Some(body) = read(request).await else {
        return Served::Script(Script::reset(), None);
    };
    let decided = simulator.decide(&head, &body, fault.as_ref());
    // From here on a client that goes away makes this an answer that was not delivered.
    let delivery = Delivery::new(Arc::clone(simulator), decided.seq);
    if simulator.on_disk(decided.ticket).await.is_err() {
        return Served::Script(Script::reset(), Some(delivery));
    }
    let answer = decided.answer;
    // Status 0 is a fault that answers nothing.
    if answer.status == 0 {
        return Served::Script(Script::reset(), Some(delivery));
    }
    if let Some(fault) = fault.filter(|fault| fault.stage() == Stage::Delivery) {
        match fault {
            FaultKind::DelayAnswer { delay_ms } => {
                tokio::time::sleep(std::time::Duration::from_millis(delay_ms)).await;
            }
            FaultKind::HoldAnswer => simulator.faults.held().await,
            // A wildcard, because all other kinds of this stage are scripts.
            fault => {
                if let Some(script) = Script::deliver(&fault, &answer) {
                    return Served::Script(script, Some(delivery));
                }
            }
        }
    }
    Served::Answer(Tracked::response(&answer, Some(delivery)))
}

/// Stamps a request and takes from its head what matters.
fn head(simulator: &Simulator, request: &Request<Incoming>) -> Head {
    let at = simulator.clock.now();
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("host").or_else(|| request.uri().host()).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name).to_lowercase();
    Head {
        at,
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        host,
        api_token: text("api-token").map(str::to_owned),
        attempt: attempt(headers),
    }
}

/// The sender's own name for the request: `x-request-id`, or the last of several words of its user agent.
fn attempt(headers: &HeaderMap) -> Option<String> {
    let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
    headers.get("x-request-id").and_then(text).or_else(|| {
        let agent = headers.get(header::USER_AGENT).and_then(text)?;
        agent.rsplit_once(' ').map(|(_, last)| last.to_owned())
    })
}

/// Reads a body; none, when the client went away or sends without end.
async fn read(request: Request<Incoming>) -> Option<Bytes> {
    Limited::new(request.into_body(), MAX_READ_BYTES).collect().await.ok().map(http_body_util::Collected::to_bytes)
}
