//! The ways to destination accounts. Whoever asks or sends anything takes a slot of the account's lane first: a run,
//! and a question of the control plane alike.
//!
//! A lane keeps the account's documented limits and the waits that the destination asks for, gives equal turns to all
//! who share it, and knows who is on the way there, so that no two batches with one person are.
//!
//! Its account is the host of a connection. A connection that was never verified may name any allowed host, so it too
//! gets turns there, and no more than turns.

mod hold;
mod lane;
mod learn;
mod limiter;
mod pace;
mod people;
mod registry;
mod turns;
mod window;

#[cfg(test)]
mod tests;

pub use lane::{Lane, Slot};
pub use limiter::Class;
pub use pace::{AccountLimits, TimeScale};
pub use people::{Mark, OnTheWay, Recovering, Wish};
pub use registry::Lanes;

/// The longest that a request takes, its answer included; whoever sends one keeps to it. Real time, whatever the scale.
pub const REQUEST_DEADLINE: std::time::Duration = std::time::Duration::from_secs(8);
/// The type of the destinations that these limits are of.
pub const DESTINATION: &str = "activecampaign";
/// Imports that may be on their way to an account at once, where its limits are kept. A crash can repeat at most these.
pub const UNANSWERED_IMPORTS: usize = 4;
/// Batches of one run that may wait for their result at once.
pub const UNSETTLED_BATCHES: usize = 400;
