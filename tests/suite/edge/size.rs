//! The size of a request, and what a hostile one costs.

use super::channel;
use crate::codec::Raw;
use ferry_proto::v1 as pb;
use ferry_testkit::{Stage, TENANT};
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request, Status};

/// How a message of ours is answered.
async fn answer(stage: &Stage, method: &str, message: Vec<u8>, packed: bool) -> Status {
    let mut client = tonic::client::Grpc::new(channel(stage.addr()).await);
    if packed {
        client = client.send_compressed(CompressionEncoding::Gzip);
    }
    client.ready().await.unwrap();
    let mut request = Request::new(message);
    let token = stage.token("administrator");
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    client.unary(request, format!("/ferry.v1.{method}").parse().unwrap(), Raw).await.unwrap_err()
}

/// A message of exactly so many bytes, which no handler would take: its name is too long.
fn of_size(bytes: usize) -> Vec<u8> {
    let name = |length: usize| pb::GetRunRequest { name: "x".repeat(length) };
    let frame = name(bytes).encoded_len() - bytes;
    let message = name(bytes - frame).encode_to_vec();
    assert_eq!(message.len(), bytes);
    message
}

#[tokio::test]
async fn one_byte_over_the_limit_of_its_method_is_refused_packed_or_not() {
    let stage = Stage::new().await;
    // In all of these requests, field 1 is a text.
    for (method, limit) in [
        ("RunService/GetRun", 64 * 1024),
        ("ExportService/GetExport", 64 * 1024),
        ("ConnectionService/CreateConnection", 64 * 1024),
        ("ExportService/CreateExport", 128 * 1024),
    ] {
        for packed in [false, true] {
            let taken = answer(&stage, method, of_size(limit), packed).await;
            assert_eq!(taken.code(), Code::InvalidArgument, "{method} {packed}: the handler answers: {taken:?}");
            let refused = answer(&stage, method, of_size(limit + 1), packed).await;
            let expected = if packed { Code::ResourceExhausted } else { Code::OutOfRange };
            assert_eq!(refused.code(), expected, "{method} {packed}");
        }
    }
}

/// 4 MiB of empty mappings would become some 200 MiB. The figure is printed with `--nocapture`.
#[tokio::test]
#[allow(clippy::print_stdout, reason = "a figure for whoever asks")]
async fn a_protobuf_bomb_unfolds_nowhere() {
    let stage = Stage::new().await;
    let mapping = pb::FieldMapping::default();
    let export = pb::Export { field_mappings: vec![mapping; 1], ..pb::Export::default() };
    let empty = export.encode_to_vec();
    let within = |export: Vec<u8>| {
        let parent = pb::CreateExportRequest { parent: format!("tenants/{TENANT}"), ..Default::default() };
        let mut message = parent.encode_to_vec();
        // Field 3, a message, of that length.
        message.push(3 << 3 | 2);
        prost::encode_length_delimiter(export.len(), &mut message).unwrap();
        message.extend(export);
        message
    };
    assert_eq!(
        pb::CreateExportRequest::decode(&*within(empty.clone())).unwrap().export.unwrap().field_mappings.len(),
        1
    );
    answer(&stage, "ExportService/CreateExport", within(empty.clone()), false).await;
    let before = stage.service().peak_memory();
    for packed in [false, true] {
        let bomb = within(empty.repeat(2 * 1024 * 1024));
        let status = answer(&stage, "ExportService/CreateExport", bomb, packed).await;
        assert_ne!(status.code(), Code::InvalidArgument, "no handler saw it: {status:?}");
    }
    let largest = within(empty.repeat(64 * 1024 - 32));
    let status = answer(&stage, "ExportService/CreateExport", largest, false).await;
    assert_eq!(status.code(), Code::InvalidArgument, "the largest that is taken: {:?}", status.code());
    let grown = stage.service().peak_memory() - before;
    println!("the peak grew by {} KiB", grown / 1024);
    assert!(grown < 32 * 1024 * 1024, "{grown}");
}
