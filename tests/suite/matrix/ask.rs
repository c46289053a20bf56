//! What a request is made of, and which RPCs and fields there are.

use super::calls;
use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet, field_descriptor_proto::Type};

/// An RPC out of the descriptors.
#[derive(Debug, Clone)]
pub(super) struct Rpc {
    /// `Service/Method`.
    pub(super) name: String,
    pub(super) is_stream: bool,
    /// The id-typed fields of its request: how many there are.
    pub(super) ids: usize,
}

/// The names in a request, one for each kind of field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// `tenants/{tenant}`: the parent, or the tenant itself.
    pub(super) tenant: String,
    pub(super) connection: String,
    pub(super) export: String,
    pub(super) run: String,
    pub(super) segment: String,
    pub(super) webhook: String,
    pub(super) schedule: String,
    /// `RunExport.plan`.
    pub(super) plan: String,
    /// `WatchRuns.run`.
    pub(super) watched: String,
}

pub(super) const PARTS: usize = 9;
pub(super) const TENANT: usize = 0;
pub(super) const CONNECTION: usize = 1;
pub(super) const EXPORT: usize = 2;
const RUN: usize = 3;
const SEGMENT: usize = 4;
pub(super) const WEBHOOK: usize = 5;
const SCHEDULE: usize = 6;
const PLAN: usize = 7;

impl Names {
    /// One of the names.
    pub(super) fn part(&mut self, part: usize) -> &mut String {
        match part {
            TENANT => &mut self.tenant,
            CONNECTION => &mut self.connection,
            EXPORT => &mut self.export,
            RUN => &mut self.run,
            SEGMENT => &mut self.segment,
            WEBHOOK => &mut self.webhook,
            SCHEDULE => &mut self.schedule,
            PLAN => &mut self.plan,
            _ => &mut self.watched,
        }
    }
}

/// What a request is made of.
pub(super) struct Ask<'a> {
    pub(super) names: &'a Names,
    pub(super) etag: &'a str,
    pub(super) validate_only: bool,
}

impl<'a> Ask<'a> {
    /// Changes nothing where it is let in: it only validates, or its etag is not in force.
    pub(super) fn gently(names: &'a Names) -> Self {
        Self { names, etag: "\"not in force\"", validate_only: true }
    }
}

/// Every RPC of `ferry.v1`.
pub(super) fn rpcs() -> Vec<Rpc> {
    let set = FileDescriptorSet::decode(ferry_proto::FILE_DESCRIPTOR_SET).unwrap();
    let files = || set.file.iter().filter(|file| file.package() == "ferry.v1");
    let messages: Vec<&DescriptorProto> = files().flat_map(|file| &file.message_type).collect();
    let services = files().flat_map(|file| &file.service);
    let mut rpcs = Vec::new();
    for service in services {
        for method in &service.method {
            rpcs.push(Rpc {
                name: format!("{}/{}", service.name(), method.name()),
                is_stream: method.server_streaming(),
                ids: count_ids(method.input_type(), &messages),
            });
        }
    }
    rpcs
}

/// Fields that hold a resource's name, at any depth. A run inside of an export is for reading alone.
fn count_ids(message: &str, messages: &[&DescriptorProto]) -> usize {
    let short = message.trim_start_matches(".ferry.v1.");
    let Some(found) = messages.iter().find(|message| message.name() == short) else { return 0 };
    let mut ids = 0;
    for field in &found.field {
        match (field.r#type(), field.name()) {
            (Type::Message, "latest_run_summary") => {}
            (Type::Message, _) => ids += count_ids(field.type_name(), messages),
            (
                Type::String,
                "name" | "names" | "parent" | "connection" | "segment" | "segments" | "export" | "run" | "plan",
            ) => ids += 1,
            _ => {}
        }
    }
    ids
}

/// Which parts of `Names` stand in the RPC's request, and how many fields they fill.
pub(super) fn parts(rpc: &str) -> (Vec<usize>, usize) {
    let mut names = Names::default();
    for part in 0..PARTS {
        *names.part(part) = format!("tenants/<{part}>");
    }
    let bytes = calls::request(rpc, &Ask::gently(&names)).unwrap_or_default();
    let count = |part: usize| {
        let marker = format!("tenants/<{part}>");
        bytes.windows(marker.len()).filter(|window| *window == marker.as_bytes()).count()
    };
    let used: Vec<usize> = (0..PARTS).filter(|part| count(*part) > 0).collect();
    let fields = used.iter().map(|part| count(*part)).sum();
    (used, fields)
}

/// Whether the call is about a connection, an export or a run.
pub(super) fn names_a_thing(rpc: &str) -> bool {
    parts(rpc).0.iter().any(|part| [CONNECTION, EXPORT, RUN].contains(part))
}
