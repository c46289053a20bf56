//! Against real sockets: what leaves, and what is certain when it fails. Nothing but loopback is ever connected to.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod addresses;
mod guard;
mod hosts;
mod http2;
mod key_before_tls;
mod operator;
mod proxy;
mod send;
mod support;
mod traces;
