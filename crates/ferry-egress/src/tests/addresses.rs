use crate::address::is_public;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IANA's special-purpose ranges and what else is no host of its own: first and last address, written out. A second
/// statement beside the networks in the code.
const SPECIAL: [(&str, &str, &str); 45] = [
    ("this network", "0.0.0.0", "0.255.255.255"),
    ("private", "10.0.0.0", "10.255.255.255"),
    ("shared between carriers", "100.64.0.0", "100.127.255.255"),
    ("loopback", "127.0.0.0", "127.255.255.255"),
    ("link-local, metadata services", "169.254.0.0", "169.254.255.255"),
    ("private", "172.16.0.0", "172.31.255.255"),
    ("protocol assignments", "192.0.0.0", "192.0.0.255"),
    ("documentation", "192.0.2.0", "192.0.2.255"),
    ("AS112", "192.31.196.0", "192.31.196.255"),
    ("AMT", "192.52.193.0", "192.52.193.255"),
    ("6to4 relays", "192.88.99.0", "192.88.99.255"),
    ("private", "192.168.0.0", "192.168.255.255"),
    ("AS112", "192.175.48.0", "192.175.48.255"),
    ("benchmarks", "198.18.0.0", "198.19.255.255"),
    ("documentation", "198.51.100.0", "198.51.100.255"),
    ("documentation", "203.0.113.0", "203.0.113.255"),
    ("multicast", "224.0.0.0", "239.255.255.255"),
    ("reserved and broadcast", "240.0.0.0", "255.255.255.255"),
    ("unspecified", "::", "::"),
    ("loopback", "::1", "::1"),
    ("embedded IPv4", "::", "::ffff:ffff"),
    ("mapped IPv4", "::ffff:0.0.0.0", "::ffff:255.255.255.255"),
    ("translated IPv4 (SIIT)", "::ffff:0:0:0", "::ffff:0:ffff:ffff"),
    ("NAT64", "64:ff9b::", "64:ff9b::ffff:ffff"),
    ("NAT64, local", "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
    ("discard", "100::", "100::ffff:ffff:ffff:ffff"),
    ("dummy prefix", "100:0:0:1::", "100::1:ffff:ffff:ffff:ffff"),
    ("protocol assignments", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("Teredo", "2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("PCP, TURN, DNS-SD anycast", "2001:1::1", "2001:1::3"),
    ("benchmarks", "2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"),
    ("AMT", "2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("AS112", "2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff"),
    ("ORCHID", "2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("ORCHIDv2", "2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("drone identities", "2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("documentation", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("6to4", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("AS112", "2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"),
    ("documentation", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("segment routing", "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("unique local", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("link-local", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("site-local", "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("multicast", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
];

#[test]
fn both_ends_and_the_middle_of_every_special_range_are_refused() {
    for (what, first, last) in SPECIAL {
        let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
        let middle = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() + (last.to_bits() - first.to_bits()) / 2))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() + (last.to_bits() - first.to_bits()) / 2))
            }
            _ => panic!("{what} mixes families"),
        };
        for address in [first, middle, last] {
            assert!(!is_public(address), "{what}: {address}");
        }
    }
}

/// A guard that refuses everything would pass the test above.
#[test]
fn the_neighbours_of_special_ranges_are_taken() {
    let public = [
        "1.0.0.0",
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.31.195.255",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "192.175.47.255",
        "192.175.49.0",
        "198.17.255.255",
        "198.20.0.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2001:200::",
        "2001:db7:ffff::1",
        "2001:db9::",
        "2003::",
        "2606:4700::1111",
        "2a00:1450::1",
        "3ffe:ffff::1",
    ];
    for address in public {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
}
