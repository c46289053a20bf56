//! Who calls: from the text of an access token to a [`ferry_domain::authz::Token`].
//!
//! The library checks signatures and nothing else: header and claims are read once, strictly, and every time is held
//! against one clock, the configured one. The algorithm must be one of four and the one the key is for, issuer and
//! audience must be there and fit, a name that stands twice is refused, and a token longer than 8 KiB is not even
//! decoded. Every refusal looks the same outside.
//!
//! `aud` may be a list that contains our name (RFC 7519). A token of another environment of the same issuer is told by
//! its `aud`, so each environment needs a name of its own. There is no list of revoked token ids: a revocation refuses
//! every token of the principal that was issued before it.

mod claims;
mod dev;
mod jwk;
mod keys;
mod strict;
#[cfg(test)]
mod tests;
mod verify;

pub use dev::DevelopmentIssuer;
pub use keys::KeySource;
pub use verify::{AuthnConfig, Clock, Refused, Verifier};
