//! Tests over the whole of Ferry: the real binary, real sockets, the simulator. One binary for all.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod api;
mod contract;
mod long;
mod runs;
mod tree;
