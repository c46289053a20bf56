//! Marketing tools: what each is like, as data, and how to speak to it.

pub mod activecampaign;
mod descriptor;

pub use descriptor::{
    Abilities, DestinationDescriptor, LimitScope, MappableField, RateLimit, Setting, SettingKind, descriptor,
    descriptors,
};
