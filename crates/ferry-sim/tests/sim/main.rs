//! The simulator over real sockets: each documented behaviour, asked with a raw HTTP/1.1 client.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod client;
mod contacts;
mod faults;
mod import;
mod journal;
mod limits;
mod tls;
