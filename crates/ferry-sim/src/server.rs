//! Starting, looking in, stopping.

use crate::account::{Account, ContactView, Fate};
use crate::fault::{Faults, Rule};
use crate::journal::{self, Fact, Journal};
use crate::report::Report;
use crate::tls::{TlsListener, throw_away};
use crate::{api, page};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How a simulator is set up.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Where it listens: loopback alone.
    pub listen: SocketAddr,
    /// Its accounts, told apart by host name.
    pub accounts: Vec<AccountConfig>,
    /// What it accepted; an existing journal is taken up again.
    pub journal: PathBuf,
    /// How many times faster than real its clock runs.
    pub time_scale: f64,
}

/// An account.
#[derive(Debug, Clone)]
pub struct AccountConfig {
    /// Its host name.
    pub host: String,
    /// Its API key.
    pub api_key: String,
    /// Its lists.
    pub lists: Vec<(u32, String)>,
    /// Its custom fields.
    pub fields: Vec<(u32, String)>,
    /// Contacts that its plan allows.
    pub contact_limit: u64,
    /// Addresses on its exclusion list, in lower case.
    pub excluded: Vec<String>,
}

impl AccountConfig {
    /// An account with one list and one custom field.
    #[must_use]
    pub fn new(host: &str, api_key: &str) -> Self {
        Self {
            host: host.to_owned(),
            api_key: api_key.to_owned(),
            lists: vec![(3, "Newsletter".to_owned())],
            fields: vec![(1, "Lifetime value".to_owned())],
            contact_limit: u64::MAX,
            excluded: Vec::new(),
        }
    }
}

pub(crate) struct Shared {
    pub(crate) accounts: Mutex<HashMap<String, Account>>,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    started: Instant,
    scale: f64,
}

impl Shared {
    /// Seconds of the simulator's clock.
    pub(crate) fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * self.scale
    }

    pub(crate) fn accounts(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running simulator.
pub struct Sim {
    addr: SocketAddr,
    ca_pem: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
    accepting: tokio::task::AbortHandle,
}

/// Starts a simulator with TLS.
pub async fn start(config: SimConfig) -> anyhow::Result<Sim> {
    anyhow::ensure!(
        config.listen.ip().is_loopback(),
        "the simulator listens on loopback alone, not on {}",
        config.listen
    );
    let mut accounts = HashMap::new();
    for account in &config.accounts {
        let mut made = Account::new(account.api_key.clone(), account.lists.clone(), account.fields.clone());
        made.contact_limit = account.contact_limit;
        made.excluded.clone_from(&account.excluded);
        accounts.insert(account.host.clone(), made);
    }
    if config.journal.exists() {
        for fact in journal::read(&config.journal)? {
            if let Fact::Accepted { account, batch, contacts, .. } = fact
                && let Some(account) = accounts.get_mut(&account)
            {
                // Long enough ago to be done.
                account.accept(batch, contacts, -1_000.0, Fate::Completes);
            }
        }
    }
    let hosts = config.accounts.iter().map(|account| account.host.clone()).collect();
    let (tls, ca_pem) = throw_away(hosts)?;
    let listener = TcpListener::bind(config.listen).await?;
    let addr = listener.local_addr()?;
    let shared = Arc::new(Shared {
        accounts: Mutex::new(accounts),
        faults: Faults::default(),
        journal: Journal::open(&config.journal)?,
        started: Instant::now(),
        scale: config.time_scale,
    });
    let router = page::routes(api::routes()).with_state(Arc::clone(&shared));
    let (listener, accepting) = TlsListener::new(listener, tls)?;
    let serving = tokio::spawn(async move {
        // The listener never ends by itself, and neither does this.
        let _never = axum::serve(listener, router).await;
    });
    Ok(Sim { addr, ca_pem, shared, serving, accepting })
}

impl Sim {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The authority of its certificate.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Switches a fault on.
    pub fn fault(&self, rule: Rule) {
        self.shared.faults.add(rule);
    }

    /// Switches all faults off.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// Someone opts out of a list.
    pub fn opt_out(&self, host: &str, email: &str, list: u64) {
        if let Some(account) = self.shared.accounts().get_mut(host) {
            account.people.entry(email.to_lowercase()).or_default().lists.insert(list, false);
        }
    }

    /// Changes an account's key.
    pub fn change_key(&self, host: &str, key: &str) {
        if let Some(account) = self.shared.accounts().get_mut(host) {
            key.clone_into(&mut account.key);
        }
    }

    /// What it saw of an account.
    #[must_use]
    pub fn report(&self, host: &str) -> Report {
        let mut accounts = self.shared.accounts();
        let now = self.shared.now();
        accounts.get_mut(host).map_or_else(Report::default, |account| {
            account.work(now);
            Report::of(account)
        })
    }

    /// Who is on a list, by address.
    #[must_use]
    pub fn contacts(&self, host: &str, list: u64) -> Vec<ContactView> {
        let mut accounts = self.shared.accounts();
        let now = self.shared.now();
        accounts.get_mut(host).map_or_else(Vec::new, |account| {
            account.work(now);
            page::on_list(account, list, usize::MAX)
        })
    }

    /// Stops listening; what was recorded can still be read.
    pub fn unplug(&self) {
        self.serving.abort();
        self.accepting.abort();
    }

    /// Ends it.
    pub fn stop(self) {
        self.unplug();
    }
}
