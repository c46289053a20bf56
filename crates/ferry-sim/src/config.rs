//! What a simulator is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Everything a simulator needs to start. It holds API keys, so it has no `Debug`.
#[derive(Clone)]
pub struct SimConfig {
    /// Where to listen; only loopback addresses are taken. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// The accounts, told apart by the `Host` header.
    pub accounts: Vec<AccountConfig>,
    /// The append-only journal; an existing one is replayed.
    pub journal: PathBuf,
    /// How many simulated seconds pass in one real second; 1.0 is real time.
    pub time_scale: f64,
    /// How the undocumented and the switchable parts behave.
    pub options: Options,
}

impl SimConfig {
    /// A simulator on a free loopback port with one account, in real time, with the default options.
    pub fn new(account: AccountConfig, journal: impl Into<PathBuf>) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            accounts: vec![account],
            journal: journal.into(),
            time_scale: 1.0,
            options: Options::default(),
        }
    }
}

/// One customer's account. It holds an API key, so it has no `Debug`.
#[derive(Clone)]
pub struct AccountConfig {
    /// The host name that selects it, without a port.
    pub host: String,
    /// The only key it takes in `Api-Token`.
    pub api_key: String,
    /// Its lists: id and name.
    pub lists: Vec<(u32, String)>,
    /// Its custom fields: id and title.
    pub fields: Vec<(u32, String)>,
    /// The plan's number of contacts; what happens beyond is [`Options::contact_limit`].
    pub contact_limit: u64,
    /// Addresses on the exclusion list.
    pub excluded: Vec<String>,
    /// Addresses on the bounced list.
    pub bounced: Vec<String>,
    /// Addresses that unsubscribed from a list before the simulator started.
    pub opted_out: Vec<(String, u32)>,
}

impl AccountConfig {
    /// An account without lists, fields and exclusions, and with room for ten million contacts.
    pub fn new(host: impl Into<String>, api_key: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            api_key: api_key.into(),
            lists: Vec::new(),
            fields: Vec::new(),
            contact_limit: 10_000_000,
            excluded: Vec::new(),
            bounced: Vec::new(),
            opted_out: Vec::new(),
        }
    }

    /// The same account with one more list.
    #[must_use]
    pub fn with_list(mut self, id: u32, name: impl Into<String>) -> Self {
        self.lists.push((id, name.into()));
        self
    }

    /// The same account with one more custom field.
    #[must_use]
    pub fn with_field(mut self, id: u32, title: impl Into<String>) -> Self {
        self.fields.push((id, title.into()));
        self
    }
}

/// The behaviours that the contract leaves open or that a test wants to choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the limits' windows move.
    pub window: Window,
    /// Requests a second for the whole account; `None` lifts the limit.
    pub requests_per_second: Option<u32>,
    /// Whether imports count for the limit per second too.
    pub imports_count_per_second: bool,
    /// Imports of two contacts and more in a minute; `None` lifts the limit.
    pub imports_per_minute: Option<u32>,
    /// Imports of one contact in a minute; `None` lifts the limit.
    pub single_imports_per_minute: Option<u32>,
    /// How the answer of an import says that it went well.
    pub success: SuccessSpelling,
    /// Simulated seconds from a batch's arrival to its end.
    pub batch_latency_s: f64,
    /// Contacts the account processes in a simulated second; `None` is without bound.
    pub contacts_per_second: Option<u32>,
    /// The order in which batches are processed.
    pub order: Order,
    /// What happens to clearly malformed addresses.
    pub malformed: MalformedAddress,
    /// What happens when the plan's contacts are used up.
    pub contact_limit: ContactLimit,
    /// What an import for a list that does not exist does.
    pub unknown_list: UnknownList,
    /// Whether excluded addresses are missing from `queued_contacts`.
    pub excluded_not_queued: bool,
    /// TLS or plain HTTP.
    pub protocol: Protocol,
    /// The certificate shown over TLS.
    pub certificate: Certificate,
    /// Seed of everything drawn by chance: faults and the order of batches.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            window: Window::Sliding,
            requests_per_second: Some(5),
            imports_count_per_second: true,
            imports_per_minute: Some(100),
            single_imports_per_minute: Some(20),
            success: SuccessSpelling::Lower,
            batch_latency_s: 6.0,
            contacts_per_second: Some(2_000),
            order: Order::Arrival,
            malformed: MalformedAddress::RefuseRequest,
            contact_limit: ContactLimit::FailContacts,
            unknown_list: UnknownList::Ignore,
            excluded_not_queued: false,
            protocol: Protocol::Tls,
            certificate: Certificate::Valid,
            seed: 1,
        }
    }
}

impl Options {
    /// The default options without any limit on the number of requests, for benchmarks.
    pub fn unlimited() -> Self {
        Self {
            requests_per_second: None,
            imports_per_minute: None,
            single_imports_per_minute: None,
            contacts_per_second: None,
            ..Self::default()
        }
    }
}

/// How a limit's window moves; the service does not document which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Any span of the window's length holds at most the limit: the stricter one.
    Sliding,
    /// The count starts again at each multiple of the window's length.
    Fixed,
}

/// The spellings of an import's success that were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuccessSpelling {
    /// `"success":1`, as the live service answers.
    Lower,
    /// `"Success":1`, as the documentation writes.
    Capital,
    /// `"success":5`, as one documented example shows.
    Five,
}

/// The order in which an account's batches are processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// First come, first served.
    Arrival,
    /// Each batch takes between half and two and a half times the latency.
    Shuffled,
}

/// What happens to an address that is clearly no address. Those the documentation shows failing later (no dot in the
/// domain, an apostrophe) always fail later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedAddress {
    /// The whole request is refused with 400.
    RefuseRequest,
    /// The request is taken and the address ends in `failure`.
    FailLater,
}

/// What happens to contacts beyond the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactLimit {
    /// Each new contact beyond the limit ends in `failure`.
    FailContacts,
    /// Imports are refused with 403 once the limit is reached.
    Refuse403,
    /// Imports are refused with 402 once the limit is reached.
    Refuse402,
}

/// What an import for a list that does not exist does; the service does not document it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownList {
    /// The contact is imported and the list left out.
    Ignore,
    /// The request is refused with 400 and a reason for each contact.
    Refuse,
}

/// What is spoken on the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 over TLS, signed by a throw-away CA.
    Tls,
    /// Plain HTTP/1.1, for benchmarks.
    Plain,
}

/// The certificate shown over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Signed by the simulator's CA for the accounts' hosts.
    Valid,
    /// Signed by the simulator's CA, ended in 2020.
    Expired,
    /// Signed by the simulator's CA for another host.
    OtherHost,
    /// Signed by a CA that is not the one in [`crate::Sim::ca_pem`].
    OtherCa,
}
