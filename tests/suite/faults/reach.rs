//! F42: the way to the account. F20 has no row: Ferry speaks no HTTP/2 (`ferry-egress`, `src/tests/http2.rs`).

use super::play::{accepted, start};
use ferry_proto::v1::run::State;
use ferry_sim::{AccountConfig, Certificate, SimConfig};
use ferry_testkit::canary::people;
use ferry_testkit::judge::Judge;
use ferry_testkit::{Stage, StageOptions, canary};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_certificate_that_is_not_right_gets_no_request() {
    for certificate in [Certificate::Expired, Certificate::OtherHost, Certificate::OtherCa] {
        let stage = Stage::with_sim(StageOptions { time_scale: 1_000.0 }, |config| {
            config.options.certificate = certificate;
        })
        .await;
        let run = start(&stage, &people(250)).await;
        let run = stage.ended(&run.name, SOON).await;
        assert!(super::has_stopped(&run, "HOST_UNREACHABLE", "CULPRIT_DESTINATION"), "{certificate:?}: {run:?}");
        assert!(stage.sim.report().requests.is_empty(), "{certificate:?}");
    }
}

/// The simulator starts again at the same address, with an authority that Ferry does not know.
async fn impostor(stage: &mut Stage, config: SimConfig) {
    let listen = stage.sim.addr();
    let nobody = SimConfig::new(AccountConfig::new("nobody.test", "none"), stage.path("nobody.jsonl"));
    let nobody = ferry_sim::start(nobody).await.unwrap();
    std::mem::replace(&mut stage.sim, nobody).stop().await;
    let impostor = ferry_sim::start(SimConfig { listen, ..config }).await.unwrap();
    std::mem::replace(&mut stage.sim, impostor).stop().await;
}

#[tokio::test]
async fn a_certificate_that_changes_on_the_way_stops_the_run_and_what_went_is_unknown_at_worst() {
    const PEOPLE: usize = 10_000;
    let mut kept = None;
    let options = StageOptions { time_scale: 100.0 };
    let mut stage = Stage::with_sim(options, |config| kept = Some(config.clone())).await;
    let run = start(&stage, &people(PEOPLE)).await;
    accepted(&stage, 3).await;
    impostor(&mut stage, kept.unwrap()).await;
    let before = stage.sim.report().requests;
    let run = stage.ended(&run.name, Duration::from_secs(120)).await;
    assert!(super::has_stopped(&run, "HOST_UNREACHABLE", "CULPRIT_DESTINATION"), "{run:?}");
    assert_eq!(stage.sim.report().requests, before, "somebody else was told something");
    let verdict = Judge::of(&stage, &run.name, (0..PEOPLE).map(canary::email)).verdict().await;
    verdict.holds("a changed certificate");
    assert!(verdict.counts.not_sent > 0 && verdict.counts.refused == 0, "{:?}", verdict.counts);
}

/// A name server that answers every question for an address with this one; nothing means that there is no such name.
pub(crate) async fn name_server(address: Option<Ipv4Addr>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query).await {
            let name = query[12..length].iter().position(|byte| *byte == 0).unwrap() + 1;
            let question = &query[12..12 + name + 4];
            let wants_address = question[name..name + 2] == [0, 1];
            let answer = address.filter(|_| wants_address);
            let code = if address.is_some() { 0x80 } else { 0x83 };
            let mut reply = vec![query[0], query[1], 0x81, code, 0, 1, 0, u8::from(answer.is_some()), 0, 0, 0, 0];
            reply.extend_from_slice(question);
            if let Some(address) = answer {
                // The name of the question, type A, class IN, no time to live, four bytes.
                reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                reply.extend_from_slice(&address.octets());
            }
            let _gone = socket.send_to(&reply, from).await;
        }
    });
    at
}

async fn cannot_be_found(address: Option<Ipv4Addr>) {
    // Without a simulated account there is no development destination, so names are resolved as in production.
    let mut stage = Stage::with_sim(StageOptions { time_scale: 1.0 }, |config| config.accounts.clear()).await;
    let name_server = format!("--name-server={}", name_server(address).await);
    stage.restart_and(&["--allow-suffix=.ferry-sim.test".to_owned(), name_server], &[]).await;
    let run = start(&stage, &people(250)).await;
    let run = stage.ended(&run.name, Duration::from_secs(400)).await;
    assert!(super::has_stopped(&run, "HOST_UNREACHABLE", "CULPRIT_DESTINATION"), "{address:?}: {run:?}");
    assert_eq!((run.state(), run.counts.unwrap().confirmed), (State::Failed, 0));
    let log = std::fs::read_to_string(stage.log()).unwrap();
    let guarded = log.contains("the name resolves to an address that is not public");
    assert_eq!(guarded, address.is_some(), "{address:?}");
}

/// In real time, since names are resolved for real destinations alone; the forms of addresses have tests in
/// `ferry-egress`.
#[tokio::test(flavor = "multi_thread")]
async fn long_a_name_that_is_gone_or_leads_to_a_private_address_is_a_host_that_cannot_be_reached() {
    if ferry_testkit::asked() {
        let addresses = [None, Some(Ipv4Addr::new(10, 0, 0, 7)), Some(Ipv4Addr::LOCALHOST)];
        let tests: Vec<_> = addresses.into_iter().map(|address| tokio::spawn(cannot_be_found(address))).collect();
        for test in tests {
            test.await.unwrap();
        }
    }
}
