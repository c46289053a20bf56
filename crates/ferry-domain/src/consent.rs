//! What an administrator agrees to before a connection may carry data out.

/// Refusal to take a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
    /// `accepted` is not set.
    #[error("the data privacy and compliance text must be accepted")]
    NotAccepted,
    /// The version agreed to is not the one in force.
    #[error(
        "the text agreed to is not the one in force; read `consent_text` of `ListDestinationTypes` and agree to its version"
    )]
    Stale,
}

/// Checks that the text in force was agreed to. Nothing is stored where this fails.
pub fn check(accepted: bool, text_version: &str, version_in_force: &str) -> Result<(), ConsentError> {
    if !accepted {
        return Err(ConsentError::NotAccepted);
    }
    if text_version != version_in_force {
        return Err(ConsentError::Stale);
    }
    Ok(())
}
