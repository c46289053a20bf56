//! Who calls: from an access token to an [`Actor`].
//!
//! The library checks signatures and times; what it leaves open by default is closed here: issuer and audience must be
//! there and fit, be strings, the algorithm must be one of four, the key must be of that algorithm's kind, a claim that
//! stands twice is refused, and a token longer than 8 KiB is not even decoded. Every refusal looks the same outside.

mod dev;
mod keys;
mod strict;
mod verify;

pub use dev::DevelopmentIssuer;
pub use keys::KeySource;
pub use verify::{AuthnConfig, Refused, Verifier};
