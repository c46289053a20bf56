//! Names against a real name server. 127.0.0.2 stands for a public address, 127.0.0.1 for a private one.

use super::support::{A, DEADLINE, HOST, OK, Record, Reply, Server, dns, host, request, serve};
use crate::address::is_public;
use crate::client::{Client, Connect};
use crate::resolver::GuardedResolver;
use crate::{Cause, DestinationClient, Egress, EgressConfig, HostName, Request, SendError};
use http::Method;
use reqwest::dns::Resolve;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};

const PUBLIC: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const PRIVATE: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn allowed(address: IpAddr) -> bool {
    address == PUBLIC || is_public(address)
}

/// The addresses that the guard lets through; nothing is connected to.
async fn guarded(name_server: SocketAddr) -> Option<Vec<IpAddr>> {
    let resolver = GuardedResolver::new(vec![name_server]);
    let addresses: Vec<SocketAddr> = resolver.resolve(HOST.parse().unwrap()).await.ok()?.collect();
    assert!(addresses.iter().all(|address| address.port() == 443));
    Some(addresses.iter().map(SocketAddr::ip).collect())
}

async fn guarded_answers(records: &[Record]) -> Option<Vec<IpAddr>> {
    let records = records.to_vec();
    let of_type = move |kind, _| {
        let fits = |record: &&Record| match record {
            Record::A(_) => kind == A,
            Record::Aaaa(_) => kind != A,
            Record::Cname(_) => true,
        };
        records.iter().filter(fits).copied().collect()
    };
    guarded(dns(of_type).await).await
}

#[tokio::test]
async fn public_answers_pass_and_all_of_them() {
    let (v4, v6) = (Ipv4Addr::new(1, 1, 1, 1), "2606:4700::1111".parse::<Ipv6Addr>().unwrap());
    let found = guarded_answers(&[Record::A(v4), Record::Aaaa(v6)]).await.unwrap();
    assert_eq!(found.len(), 2);
    let found = guarded_answers(&[Record::Cname("alias.example.com"), Record::A(v4)]).await.unwrap();
    assert_eq!(found, [IpAddr::V4(v4)]);
}

#[tokio::test]
async fn a_name_with_one_address_that_is_not_public_is_refused_whole() {
    let good = Record::A(Ipv4Addr::new(1, 1, 1, 1));
    let good6 = Record::Aaaa("2606:4700::1111".parse().unwrap());
    let private = ["10.0.0.1", "127.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255"];
    let private6 = ["::1", "fd00:ec2::254", "fe80::1", "::ffff:1.1.1.1", "64:ff9b::a00:1", "2002:a00:1::"];
    let bad: Vec<Record> = private.map(|text| Record::A(text.parse().unwrap())).to_vec();
    let bad6: Vec<Record> = private6.map(|text| Record::Aaaa(text.parse().unwrap())).to_vec();
    for (index, bad) in bad.into_iter().chain(bad6).enumerate() {
        let alias = Record::Cname("inside.example.com");
        for records in [&[bad][..], &[good, bad], &[bad, good], &[good6, bad], &[good, good6, bad], &[alias, bad]] {
            assert_eq!(guarded_answers(records).await, None, "{index}");
        }
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_refused() {
    assert_eq!(guarded_answers(&[]).await, None);
    assert_eq!(guarded_answers(&[Record::Cname("nowhere.example.com")]).await, None);
}

#[tokio::test]
async fn a_silent_name_server_is_a_host_that_cannot_be_reached() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let name_servers = vec![silent.local_addr().unwrap()];
    let egress = Egress::new(EgressConfig { name_servers, ..EgressConfig::default() }).unwrap();
    let client = egress.destination(&HostName::parse("acme.api-us1.com").unwrap()).unwrap();
    let result = client.send(Request::new(Method::GET, "/", DEADLINE)).await;
    assert_eq!(result.err(), Some(SendError::NotSent(Cause::Unreachable)));
}

#[tokio::test]
async fn destinations_and_webhooks_have_the_same_guard() {
    let name_servers = vec![dns(|kind, _| if kind == A { vec![Record::A(PRIVATE)] } else { Vec::new() }).await];
    let egress = Egress::new(EgressConfig { name_servers, ..EgressConfig::default() }).unwrap();
    let name = HostName::parse("hooks.example.com").unwrap();
    assert!(egress.destination(&name).is_err());
    let webhook = egress.webhook(&name).unwrap();
    assert_eq!(webhook.client.origin.as_str(), "https://hooks.example.com/");
    let refused = Some(SendError::NotSent(Cause::Unreachable));
    assert_eq!(webhook.send(request()).await.err(), refused);
    let destination = egress.destination(&HostName::parse("acme.api-us1.com").unwrap()).unwrap();
    assert_eq!(destination.send(request()).await.err(), refused);
}

/// Two servers on one port: the public one, and the one that nothing may reach.
async fn pair() -> (Server, Server) {
    loop {
        let public = TcpListener::bind((PUBLIC, 0)).await.unwrap();
        let port = public.local_addr().unwrap().port();
        if let Ok(private) = TcpListener::bind((PRIVATE, port)).await {
            let reply = Reply::Whole(OK.to_vec());
            return (serve(public, reply.clone()), serve(private, reply));
        }
    }
}

fn client(name_server: SocketAddr, server: &Server) -> DestinationClient {
    let port = server.addr.port();
    let resolver = Arc::new(GuardedResolver::in_test(vec![name_server], port, allowed));
    let connect =
        Connect { user_agent: "test", resolver: Some(resolver), ca_pem: Some(&server.ca_pem), https_only: true };
    let origin = format!("https://{}:{port}/", host()).parse().unwrap();
    DestinationClient(Client { http: connect.client().unwrap(), origin })
}

#[tokio::test]
async fn an_alternating_name_never_leads_inside() {
    let (public, private) = pair().await;
    let alternating = |kind, count: usize| match (kind, count % 2) {
        (A, 0) => vec![Record::A(PUBLIC)],
        (A, _) => vec![Record::A(PRIVATE)],
        _ => Vec::new(),
    };
    let client = client(dns(alternating).await, &public);
    let (mut sent, mut refused) = (0, 0);
    for _ in 0..1_000 {
        match client.send(request()).await {
            Ok(answer) => sent += usize::from(answer.status.is_success()),
            Err(SendError::NotSent(Cause::Unreachable)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((sent + refused, private.connections()), (1_000, 0));
    assert_eq!(public.connections(), sent);
    assert!(sent > 300 && refused > 300, "it did not alternate: {sent} sent, {refused} refused");
}

#[tokio::test]
async fn a_mixed_answer_reaches_neither_address() {
    let (public, private) = pair().await;
    let mixed = |kind, count: usize| match (kind, count % 2) {
        (A, 0) => vec![Record::A(PUBLIC), Record::A(PRIVATE)],
        (A, _) => vec![Record::A(PRIVATE), Record::A(PUBLIC)],
        _ => Vec::new(),
    };
    let client = client(dns(mixed).await, &public);
    for _ in 0..10 {
        assert_eq!(client.send(request()).await.err(), Some(SendError::NotSent(Cause::Unreachable)));
    }
    assert_eq!((public.connections(), private.connections()), (0, 0));
}

#[tokio::test]
async fn a_name_that_moves_inside_after_the_probe_is_not_sent_to() {
    let (public, private) = pair().await;
    let moving = |kind, count: usize| match (kind, count) {
        (A, 0) => vec![Record::A(PUBLIC)],
        (A, _) => vec![Record::Cname("inside.example.com"), Record::A(PRIVATE)],
        _ => Vec::new(),
    };
    let client = client(dns(moving).await, &public);
    assert!(client.send(Request::new(Method::GET, "/probe", DEADLINE)).await.unwrap().status.is_success());
    for _ in 0..10 {
        assert_eq!(client.send(request()).await.err(), Some(SendError::NotSent(Cause::Unreachable)));
    }
    assert_eq!((public.connections(), private.connections()), (1, 0));
    assert!(!public.text().contains("canary"));
}
