//! Tests over the whole of Ferry: the real binary, real sockets, the simulator. One binary for all.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod access;
mod api;
mod canaries;
mod codec;
mod contract;
mod edge;
mod keys;
mod long;
mod matrix;
mod raw;
mod runs;
mod tokens;
mod tree;
