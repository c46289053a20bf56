//! Lines of the two streams that an operator may send on: audit and operational, each a JSON object.
//!
//! They are for whoever watches, and may lack a line after a crash; the record is the audit log itself. No line holds
//! personal data of profiles or a secret; the operational stream does not say who called either, only in which role.

use crate::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The target of events of the audit stream. Their field `line` is the line.
pub const AUDIT: &str = "ferry::audit";
/// The target of events of the operational stream, likewise.
pub const OPERATIONAL: &str = "ferry::operational";

/// How something ended, in the words of both streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As it was asked.
    Success,
    /// By a fault of whoever asked.
    ClientError,
    /// By a fault of the service, or of what it relies on.
    Failure,
}

impl Ended {
    fn word(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::ClientError => "ClientError",
            Self::Failure => "Failure",
        }
    }

    fn level(self) -> &'static str {
        match self {
            Self::Success => "Informational",
            Self::ClientError => "Warning",
            Self::Failure => "Error",
        }
    }
}

/// An entry of a tenant's own chain, copied.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields of an entry")]
pub struct AuditEvent<'a> {
    pub time: Timestamp,
    pub tenant: &'a str,
    pub number: u64,
    pub kind: &'a str,
    pub actor: &'a str,
    pub role: &'a str,
    pub required: &'a str,
    pub object: &'a str,
    pub ended: Ended,
    pub reason: &'a str,
    pub correlation_id: &'a str,
    pub origin: &'a str,
    pub hash: &'a str,
    pub details: &'a BTreeMap<String, String>,
}

impl AuditEvent<'_> {
    /// The line, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        json!({
            "time": self.time.to_rfc3339(),
            "category": "Audit",
            "resourceId": self.object,
            "operationName": self.kind,
            "resultType": self.ended.word(),
            "resultSignature": if self.reason.is_empty() { "OK" } else { self.reason },
            "callerIpAddress": self.origin,
            "identity": {
                "Authorization": { "UserRole": self.role, "RequiredRoles": roles(self.required) },
                "Claims": { "sub": self.actor },
            },
            "level": self.ended.level(),
            "correlationId": self.correlation_id,
            "properties": {
                "eventType": "ApiEvent",
                "tenantId": self.tenant,
                "number": self.number,
                "hash": self.hash,
                "details": self.details,
            },
        })
        .to_string()
    }
}

/// A call that changed nothing.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields of a call")]
pub struct ApiEvent<'a> {
    pub time: Timestamp,
    /// `Service/Method`.
    pub method: &'a str,
    pub resource: &'a str,
    pub tenant: &'a str,
    pub ended: Ended,
    /// The gRPC code.
    pub code: &'a str,
    pub duration_ms: u64,
    pub origin: &'a str,
    pub role: &'a str,
    pub required: &'a str,
    pub correlation_id: &'a str,
}

impl ApiEvent<'_> {
    /// The line, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        json!({
            "time": self.time.to_rfc3339(),
            "category": "Operational",
            "resourceId": self.resource,
            "operationName": self.method,
            "resultType": self.ended.word(),
            "resultSignature": self.code,
            "durationMs": self.duration_ms,
            "callerIpAddress": self.origin,
            "identity": { "Authorization": { "UserRole": self.role, "RequiredRoles": roles(self.required) } },
            "level": self.ended.level(),
            "correlationId": self.correlation_id,
            "properties": { "eventType": "ApiEvent", "method": self.method, "tenantId": self.tenant },
        })
        .to_string()
    }
}

/// A run, or a part of one, that begins or ends.
#[derive(Debug, Clone, Copy)]
pub struct WorkflowEvent<'a> {
    /// When.
    pub time: Timestamp,
    /// The run's name.
    pub run: &'a str,
    /// The part; nothing for the run as a whole.
    pub task: Option<&'a str>,
    /// How it ended, as `Skipped`, `Successful` or `Failure`; nothing if it begins.
    pub ended: Option<&'a str>,
    /// What else there is to say.
    pub more: &'a [(&'a str, &'a str)],
}

impl WorkflowEvent<'_> {
    /// The line, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        let mut parts = self.run.split('/');
        let (tenant, export, job) = (parts.nth(1), parts.nth(1), parts.nth(1));
        let what = if self.task.is_some() { "Task" } else { "Workflow" };
        let when = if self.ended.is_some() { "Completed" } else { "Started" };
        let result = self.ended.unwrap_or("Running");
        let mut properties = Map::new();
        let mut say = |key: &str, value: &str| properties.insert(key.to_owned(), Value::from(value));
        say("eventType", "WorkflowEvent");
        say("operationType", "Export");
        say("workflowJobId", job.unwrap_or_default());
        say("workflowStatus", result);
        say("identifier", export.unwrap_or_default());
        say("tenantId", tenant.unwrap_or_default());
        if let Some(task) = self.task {
            say("friendlyName", task);
        }
        for (key, value) in self.more {
            say(key, value);
        }
        json!({
            "time": self.time.to_rfc3339(),
            "category": "Operational",
            "resourceId": self.run,
            "operationName": format!("Export.{what}{when}"),
            "resultType": result,
            "level": if result == "Failure" { "Error" } else { "Informational" },
            "properties": properties,
        })
        .to_string()
    }
}

fn roles(required: &str) -> Vec<&str> {
    Some(required).filter(|role| !role.is_empty()).into_iter().collect()
}
