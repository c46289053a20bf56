use crate::{HostName, HostNameError};
use proptest::prelude::*;
use std::collections::BTreeSet;
use url::{Host, Url};

/// What may be typed into the field of a host, and the name that it is taken for.
const INPUTS: [(&str, Option<&str>); 212] = [
    // Nothing, or not a name of two labels.
    ("", None),
    (" ", None),
    (".", None),
    ("..", None),
    ("...", None),
    ("localhost", None),
    ("com", None),
    ("metadata", None),
    ("acme", None),
    ("a.", None),
    (".a", None),
    (".com", None),
    ("com.", None),
    // Addresses in every spelling that a URL parser takes.
    ("127.0.0.1", None),
    ("2130706433", None),
    ("0x7f000001", None),
    ("0x7F000001", None),
    ("0X7f.0x0.0x0.0x1", None),
    ("0177.0.0.1", None),
    ("017700000001", None),
    ("127.1", None),
    ("127.0.1", None),
    ("0", None),
    ("0.0.0.0", None),
    ("0x0", None),
    ("0x", None),
    ("00000127.0.0.1", None),
    ("127.0.0.1.", None),
    ("127.1.", None),
    ("127.000.000.001", None),
    ("1.2.3.4.5", None),
    ("256.256.256.256", None),
    ("1.2.3.0x4", None),
    ("acme.1", None),
    ("acme.0x7f", None),
    ("acme.0", None),
    ("api-us1.127", None),
    ("1e1.1", None),
    ("127.0.0.1.0x1", None),
    ("①②⑦.⓪.⓪.①", None),
    ("127。0。0。1", None),
    ("１２７．０．０．１", None),
    ("127．0．0．1", None),
    ("127｡0｡0｡1", None),
    ("%31%32%37.0.0.1", None),
    ("127%2e0%2e0%2e1", None),
    ("127.0.0.1%00.api-us1.com", None),
    // One of every special range, as it would be written.
    ("10.0.0.1", None),
    ("100.64.0.1", None),
    ("169.254.169.254", None),
    ("172.16.0.1", None),
    ("192.0.0.1", None),
    ("192.0.2.1", None),
    ("192.31.196.1", None),
    ("192.52.193.1", None),
    ("192.88.99.1", None),
    ("192.168.0.1", None),
    ("192.175.48.1", None),
    ("198.18.0.1", None),
    ("198.51.100.1", None),
    ("203.0.113.1", None),
    ("224.0.0.1", None),
    ("240.0.0.1", None),
    ("255.255.255.255", None),
    ("8.8.8.8", None),
    ("::", None),
    ("::1", None),
    ("[::]", None),
    ("[::1]", None),
    ("[::ffff:127.0.0.1]", None),
    ("[::ffff:7f00:1]", None),
    ("::ffff:127.0.0.1", None),
    ("[::127.0.0.1]", None),
    ("[64:ff9b::7f00:1]", None),
    ("[64:ff9b:1::1]", None),
    ("[100::1]", None),
    ("[2001::1]", None),
    ("[2001:db8::1]", None),
    ("[2002:7f00:1::]", None),
    ("[3fff::1]", None),
    ("[5f00::1]", None),
    ("[fc00::1]", None),
    ("[fd00:ec2::254]", None),
    ("[fe80::1]", None),
    ("[fe80::1%25eth0]", None),
    ("fe80::1%eth0", None),
    ("[fe80::1%eth0]", None),
    ("[fec0::1]", None),
    ("[ff02::1]", None),
    ("[2606:4700::1111]", None),
    ("[::1].api-us1.com", None),
    ("[v1.x]", None),
    ("::1.ipv6-literal.net:443", None),
    // A name with something around it.
    ("https://acme.api-us1.com", None),
    ("http://acme.api-us1.com", None),
    ("//acme.api-us1.com", None),
    ("acme.api-us1.com/", None),
    ("acme.api-us1.com/x", None),
    ("/acme.api-us1.com", None),
    ("acme.api-us1.com:443", None),
    ("acme.api-us1.com:", None),
    (":443", None),
    ("acme.api-us1.com:80", None),
    ("x@127.0.0.1", None),
    ("x@acme.api-us1.com", None),
    ("user:pw@acme.api-us1.com", None),
    ("acme.api-us1.com@127.0.0.1", None),
    ("@acme.api-us1.com", None),
    ("127.0.0.1#.api-us1.com", None),
    ("127.0.0.1\\.api-us1.com", None),
    ("127.0.0.1/.api-us1.com", None),
    ("127.0.0.1?.api-us1.com", None),
    ("127.0.0.1;.api-us1.com", None),
    ("127.0.0.1,acme.api-us1.com", None),
    ("127.0.0.1&.api-us1.com", None),
    ("127.0.0.1|.api-us1.com", None),
    ("acme.api-us1.com?", None),
    ("acme.api-us1.com#", None),
    ("acme.api-us1.com\\", None),
    ("*.api-us1.com", None),
    ("acme.*.com", None),
    ("$(id).api-us1.com", None),
    ("`id`.api-us1.com", None),
    ("{acme}.api-us1.com", None),
    ("<acme>.api-us1.com", None),
    ("\"acme\".api-us1.com", None),
    ("'acme'.api-us1.com", None),
    ("acme!.api-us1.com", None),
    ("acme+x.api-us1.com", None),
    ("acme=x.api-us1.com", None),
    ("~acme.api-us1.com", None),
    ("javascript:alert.com", None),
    ("gopher://acme.api-us1.com", None),
    ("data:text.html", None),
    // Labels that DNS does not have.
    ("acme.api-us1.com.", None),
    ("acme..api-us1.com", None),
    (".acme.api-us1.com", None),
    ("acme.api-us1.com..", None),
    ("-acme.api-us1.com", None),
    ("acme-.api-us1.com", None),
    ("acme.-api-us1.com", None),
    ("acme.api-us1-.com", None),
    ("acme.api-us1.-com", None),
    ("acme.api-us1.com-", None),
    ("ac_me.api-us1.com", None),
    ("_acme.api-us1.com", None),
    ("-.com", None),
    ("--.com", None),
    ("acme.9com", None),
    // White space and control characters, which URL parsers strip.
    (" acme.api-us1.com", None),
    ("acme.api-us1.com ", None),
    ("acme. api-us1.com", None),
    ("\tacme.api-us1.com", None),
    ("ac\tme.api-us1.com", None),
    ("acme.api-us1.com\n", None),
    ("acme\n.api-us1.com", None),
    ("acme\r.api-us1.com", None),
    ("acme.api-us1.com\r\nhost: x", None),
    ("acme.api\0us1.com", None),
    ("\0", None),
    ("acme\u{7f}.api-us1.com", None),
    ("acme\u{b}.api-us1.com", None),
    ("acme\u{a0}.api-us1.com", None),
    ("acme\u{200b}.api-us1.com", None),
    ("acme\u{200d}.api-us1.com", None),
    ("acme\u{ad}.api-us1.com", None),
    ("\u{feff}acme.api-us1.com", None),
    ("acme\u{202e}.api-us1.com", None),
    ("acme\u{2028}.api-us1.com", None),
    // What looks like the name and is another, or becomes it.
    ("аcme.api-us1.com", None),
    ("acme.api-us1.cоm", None),
    ("acme。api-us1。com", None),
    ("acme․api-us1․com", None),
    ("acme.api‐us1.com", None),
    ("acme.api−us1.com", None),
    ("ａｃｍｅ.api-us1.com", None),
    ("ⓐcme.api-us1.com", None),
    ("acme.api-us1.ⅽom", None),
    ("acme.api-us1.com／", None),
    ("acme.api-us1.com＠evil.test", None),
    ("acme.api-us1.com：443", None),
    ("\u{212a}.api-us1.com", None),
    ("ſ.api-us1.com", None),
    ("ß.api-us1.com", None),
    ("bücher.api-us1.com", None),
    ("☃.api-us1.com", None),
    ("日本.jp", None),
    ("acme.api-us1.com℀", None),
    ("xn--.api-us1.com", None),
    ("xn--a.api-us1.com", None),
    ("xn--a-.api-us1.com", None),
    ("xn--99999999.api-us1.com", None),
    ("xn--www-hoi.xn--", None),
    ("acme.xn--", None),
    // Names. Whether one may be a destination is for the operator's list, and where it leads is for the guard.
    ("acme.api-us1.com", Some("acme.api-us1.com")),
    ("ACME.API-US1.COM", Some("acme.api-us1.com")),
    ("Acme.ActiveHosted.com", Some("acme.activehosted.com")),
    ("a.b", Some("a.b")),
    ("1.example.com", Some("1.example.com")),
    ("127.0.0.1.example.com", Some("127.0.0.1.example.com")),
    ("0x7f.example.com", Some("0x7f.example.com")),
    ("1e100.net", Some("1e100.net")),
    ("a--b.example.com", Some("a--b.example.com")),
    ("ab--c.example.com", Some("ab--c.example.com")),
    ("x-1.y-2.example.co", Some("x-1.y-2.example.co")),
    ("xn--bcher-kva.example.com", Some("xn--bcher-kva.example.com")),
    ("XN--BCHER-KVA.example.com", Some("xn--bcher-kva.example.com")),
    ("www.xn--fiqs8s", Some("www.xn--fiqs8s")),
    ("metadata.google.internal", Some("metadata.google.internal")),
    ("localhost.localdomain", Some("localhost.localdomain")),
    ("acme.api-us1.com.evil.test", Some("acme.api-us1.com.evil.test")),
    ("a.a0", Some("a.a0")),
];

#[test]
fn every_input_of_the_table_is_taken_or_refused_as_it_says() {
    let distinct: BTreeSet<&str> = INPUTS.iter().map(|(input, _)| *input).collect();
    assert!(distinct.len() == INPUTS.len() && INPUTS.len() >= 120);
    for (input, expected) in INPUTS {
        let name = HostName::parse(input).ok();
        assert_eq!(name.as_ref().map(HostName::as_str), expected, "{input:?}");
    }
}

#[test]
fn lengths_are_those_of_dns() {
    let of_labels =
        |count: usize, last: usize| format!("{}.{}", vec!["a".repeat(63); count].join("."), "b".repeat(last));
    assert!(HostName::parse(&format!("{}.com", "a".repeat(63))).is_ok());
    assert_eq!(HostName::parse(&format!("{}.com", "a".repeat(64))), Err(HostNameError::Labels));
    assert_eq!(HostName::parse(&of_labels(3, 61)).map(|name| name.as_str().len()), Ok(253));
    assert_eq!(HostName::parse(&of_labels(3, 62)), Err(HostNameError::Length));
    assert_eq!(HostName::parse(&"a.".repeat(127)), Err(HostNameError::Length));
    assert_eq!(HostName::parse(&"a".repeat(1_000_000)), Err(HostNameError::Length));
}

/// Texts that are near to names, and texts that are not.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9.-]{0,40}",
        "[0-9a-fxX.]{0,20}",
        "(xn--)?[a-z0-9-]{0,12}(\\.(xn--)?[a-z0-9-]{1,8}){1,3}",
        "[a-z0-9.:/@?#%\\\\\\[\\] \t\n-]{0,30}",
        "\\PC{0,20}",
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn what_is_taken_is_what_a_url_parser_reads_back(text in texts()) {
        if let Ok(name) = HostName::parse(&text) {
            prop_assert_eq!(name.as_str(), text.to_ascii_lowercase());
            let url = Url::parse(&format!("https://{name}/api/3?x=1")).unwrap();
            prop_assert_eq!(url.host(), Some(Host::Domain(name.as_str())));
            prop_assert!(url.port().is_none() && url.username().is_empty() && url.path() == "/api/3");
            prop_assert!(name.as_str().parse::<std::net::IpAddr>().is_err());
            prop_assert_eq!(HostName::parse(name.as_str()), Ok(name));
        }
    }
}
