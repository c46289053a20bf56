//! A stream over gRPC-Web: the watch, as the dashboard keeps it open.

use super::{Answer, Frame, LISTEN, Reader, SOON, asking, reason, status, watch, with_export};
use ferry_proto::v1 as pb;
use ferry_proto::v1::watch_runs_response::Event;
use ferry_testkit::{Stage, canary};
use prost::Message;
use std::collections::BTreeMap;
use tonic::Code;
use tonic_types::StatusExt;

pub(super) async fn open(stage: &Stage, token: &str, request: &pb::WatchRunsRequest) -> Reader {
    let call = asking(stage, "RunService/WatchRuns", request).bearer_auth(token);
    // A stream lasts longer than a call.
    let mut call = call.build().unwrap();
    *call.timeout_mut() = None;
    Reader::new(super::browser().execute(call).await.unwrap())
}

pub(super) async fn message(reader: &mut Reader) -> pb::WatchRunsResponse {
    match reader.next().await {
        Some(Frame::Message(bytes)) => pb::WatchRunsResponse::decode(&*bytes).unwrap(),
        Some(Frame::Trailers(trailers)) => panic!("it has ended: {trailers:?}"),
        None => panic!("it was cut"),
    }
}

/// What it ends with; what comes before is taken.
pub(super) async fn end(reader: &mut Reader) -> tonic::Status {
    loop {
        match reader.next().await.expect("it is ended, and not cut") {
            Frame::Message(_) => {}
            Frame::Trailers(trailers) => {
                assert!(reader.next().await.is_none(), "trailers are the last");
                return told(&trailers);
            }
        }
    }
}

fn told(trailers: &BTreeMap<String, String>) -> tonic::Status {
    status(|name| trailers.get(name).cloned())
}

#[tokio::test]
async fn a_page_watches_a_run_to_its_end_and_goes_on_where_it_broke_off() {
    let (stage, export) = with_export().await;
    let token = stage.token("viewer");
    let mut reader = open(&stage, &token, &watch()).await;
    assert!(!reader.head.contains_key("grpc-status"), "it has only begun");
    let first = message(&mut reader).await;
    assert_eq!(first.event, Some(Event::SnapshotComplete(true)));
    let run = stage.run(&export).await;
    let last = loop {
        let next = message(&mut reader).await;
        let Some(Event::Run(seen)) = next.event else { continue };
        if seen.end_time.is_some() {
            break (seen, next.resume_token);
        }
    };
    assert_eq!((last.0.name.as_str(), last.0.counts.unwrap().confirmed), (run.name.as_str(), 5));
    drop(reader);
    // From the first token all of it comes again, from the last nothing.
    let again = pb::WatchRunsRequest { resume_token: first.resume_token, ..watch() };
    let mut reader = open(&stage, &token, &again).await;
    assert!(matches!(message(&mut reader).await.event, Some(Event::Run(seen)) if seen.name == run.name));
    let again = pb::WatchRunsRequest { resume_token: "nonsense".to_owned(), ..watch() };
    let refused = asking(&stage, "RunService/WatchRuns", &again).bearer_auth(&token);
    assert_eq!(Answer::of(refused).await.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_stop_ends_the_streams_of_pages_with_a_token_and_waits_for_no_idle_one() {
    let (mut stage, _) = with_export().await;
    let token = stage.token("viewer");
    let mut readers = Vec::new();
    for _ in 0..10 {
        let mut reader = open(&stage, &token, &watch()).await;
        message(&mut reader).await;
        readers.push(reader);
    }
    // Kept alive by a browser, and a request that never comes whole.
    let idle = super::browser();
    assert!(idle.get(super::at(&stage, "/")).send().await.unwrap().status().is_success());
    let mut half = tokio::net::TcpStream::connect(stage.addr()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut half, b"GET / HTTP/1.1\r\nhost: f").await.unwrap();
    let ending = stage.stop();
    let mut resume = String::new();
    for reader in &mut readers {
        let status = end(reader).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "UNAVAILABLE"));
        resume.clone_from(&status.get_details_error_info().unwrap().metadata["resume_token"]);
    }
    assert_eq!(tokio::time::timeout(SOON, ending).await.unwrap().unwrap(), Some(0));
    drop((idle, half));
    stage.start().await;
    let on = pb::WatchRunsRequest { resume_token: resume, ..watch() };
    let mut reader = open(&stage, &token, &on).await;
    stage.run("tenants/acme/exports/weekly").await;
    assert!(matches!(message(&mut reader).await.event, Some(Event::Run(_))), "no snapshot: it goes on");
}

#[tokio::test]
async fn a_page_that_goes_away_gives_its_place_back() {
    let (mut stage, _) = with_export().await;
    stage.restart_with(&[LISTEN, "--max-streams-per-caller=1"]).await;
    let token = stage.token("viewer");
    let mut reader = open(&stage, &token, &watch()).await;
    message(&mut reader).await;
    let full = asking(&stage, "RunService/WatchRuns", &watch()).bearer_auth(&token);
    assert_eq!(Answer::of(full).await.code(), Code::ResourceExhausted);
    drop(reader);
    ferry_testkit::eventually(SOON, || async {
        let mut reader = open(&stage, &token, &watch()).await;
        match reader.head.get("grpc-status") {
            None => {
                message(&mut reader).await;
                Ok(())
            }
            Some(code) => Err(format!("{code:?}")),
        }
    })
    .await;
}

/// What is read of people over gRPC-Web is what a client reads: nothing in a run's list.
#[tokio::test]
async fn no_person_is_in_what_a_page_watches() {
    let stage = Stage::new().await;
    let run = stage.run_csv(&canary::people(40)).await;
    let request = pb::WatchRunsRequest { run: run.name, ..watch() };
    let mut reader = open(&stage, &stage.token("viewer"), &request).await;
    loop {
        match reader.next().await.unwrap() {
            Frame::Message(bytes) => assert_eq!(canary::first_in(&bytes), None),
            Frame::Trailers(trailers) => {
                assert_eq!(told(&trailers).code(), Code::Ok);
                return;
            }
        }
    }
}
