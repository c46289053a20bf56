//! Tests over the whole of Ferry: the real binary, real sockets, the simulator. One binary for all.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod access;
mod api;
mod apply;
mod attacks;
mod audit;
mod canaries;
mod codec;
mod command_line;
mod configuration;
mod contract;
mod crash;
mod edge;
mod erasure;
mod faults;
mod guards;
mod keys;
mod lanes;
mod long;
mod matrix;
mod notifications;
mod raw;
mod record;
mod restored;
mod rows;
mod rules;
mod runs;
mod schedules;
mod telemetry;
mod tokens;
mod tree;
mod watch;
mod web;
