//! What differs from method to method: how large a request may be, and whether the answer is a stream.

use http::Request;
use prost::Message;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{FileDescriptorSet, MethodOptions};
use std::collections::HashSet;
use std::convert::Infallible;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// Bytes of a request. Protobuf can unfold to a hundred times its size, so this is the limit on memory too.
const USUAL: usize = 64 * 1024;
/// For an export: 100 mappings of two names of 255 bytes and 50 segments are 60 KiB, and an update has a mask beside.
const EXPORT: usize = 128 * 1024;
/// For a refresh: 2,000 names of segments are 300 KiB. Texts do not unfold.
const REFRESH: usize = 512 * 1024;

/// A watch is many small messages to many readers: packing each costs more memory than it saves.
const UNPACKED: &str = "/ferry.v1.RunService/WatchRuns";

fn request_bytes(path: &str) -> usize {
    match path {
        "/ferry.v1.ExportService/CreateExport" | "/ferry.v1.ExportService/UpdateExport" => EXPORT,
        "/ferry.v1.RefreshService/StartRefresh" => REFRESH,
        _ => USUAL,
    }
}

/// The methods whose answer is a stream, by path, and those of our own that change nothing. They are read from the
/// descriptors, so none can be forgotten.
pub(crate) struct Streaming {
    streaming: HashSet<String>,
    reading: HashSet<String>,
}

/// What changes nothing and yet is not marked so, since clients could send it as a GET then.
const ASKING: [&str; 1] = ["/ferry.v1.ExportService/ValidateExport"];

impl Streaming {
    pub(crate) fn read() -> Result<Self, prost::DecodeError> {
        let sets = [
            ferry_proto::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let mut streaming = HashSet::new();
        let mut reading: HashSet<String> = ASKING.map(str::to_owned).into();
        for set in sets {
            for file in FileDescriptorSet::decode(set)?.file {
                for service in &file.service {
                    for method in &service.method {
                        let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                        let level = method.options.as_ref().map(MethodOptions::idempotency_level);
                        if level == Some(IdempotencyLevel::NoSideEffects) {
                            reading.insert(path.clone());
                        }
                        if method.server_streaming() {
                            streaming.insert(path);
                        }
                    }
                }
            }
        }
        Ok(Self { streaming, reading })
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.streaming.contains(path)
    }

    /// Whether a call of it changes nothing, however it ends.
    pub(crate) fn only_reads(&self, path: &str) -> bool {
        self.reading.contains(path)
    }
}

/// A service that takes of each method's requests as much as the table says. tonic knows one limit for a whole
/// service; a service is a handle, so each call gets a copy with the limit of its method. Both walls are tonic's: the
/// length that a message declares, and what comes out when it is unpacked.
#[derive(Clone)]
pub(crate) struct BySize<S> {
    service: S,
    limited: fn(S, usize) -> S,
}

impl<S> BySize<S> {
    pub(crate) fn new(service: S, limited: fn(S, usize) -> S) -> Self {
        Self { service, limited }
    }
}

impl<S: NamedService> NamedService for BySize<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for BySize<S>
where
    S: Service<Request<Body>, Error = Infallible> + Clone,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        if request.uri().path() == UNPACKED {
            request.headers_mut().remove("grpc-accept-encoding");
        }
        (self.limited)(self.service.clone(), request_bytes(request.uri().path())).call(request)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn streams_are_known_by_the_descriptors() {
        let streaming = Streaming::read().unwrap();
        for path in [
            "/ferry.v1.RunService/WatchRuns",
            "/ferry.v1.AuditService/ExportAuditLog",
            "/grpc.health.v1.Health/Watch",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert!(streaming.contains(path), "{path}");
        }
        assert!(!streaming.contains("/ferry.v1.RunService/GetRun"));
        assert!(!streaming.contains("/grpc.health.v1.Health/Check"));
        assert!(streaming.only_reads("/ferry.v1.RunService/GetRun"));
        assert!(streaming.only_reads("/ferry.v1.AuditService/ExportAuditLog"));
        for path in ["RunService/CancelRun", "AuditService/FindRecipients", "ConnectionService/VerifyConnection"] {
            assert!(!streaming.only_reads(&format!("/ferry.v1.{path}")), "{path}");
        }
    }

    #[test]
    fn every_line_of_the_table_is_a_method() {
        let set = FileDescriptorSet::decode(ferry_proto::FILE_DESCRIPTOR_SET).unwrap();
        let file = set.file.iter().find(|file| file.name().ends_with("export_service.proto")).unwrap();
        let methods: Vec<&str> = file.service[0].method.iter().map(|method| method.name()).collect();
        for method in ["CreateExport", "UpdateExport"] {
            assert!(methods.contains(&method));
            assert_eq!(request_bytes(&format!("/ferry.v1.ExportService/{method}")), EXPORT);
        }
    }
}
