//! Tokens that must not be believed, and those that must. The numbers are those of the list of attacks.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod attacks_claims;
mod attacks_header;
mod attacks_signature;
mod bench;
mod keys;
mod properties;
