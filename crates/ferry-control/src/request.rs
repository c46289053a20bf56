//! What each write carries: a time, and a request id with a keyed digest of the request.

use crate::Control;
use aws_lc_rs::hmac;
use ferry_domain::{Result, Violations};
use ferry_store::{RequestKey, Write};
use serde::Serialize;

impl Control {
    /// The write of a command. The digest is keyed, since a command may hold an API key.
    pub(crate) fn write(&self, request_id: &str, command: &impl Serialize) -> Result<Write> {
        let mut violations = Violations::new();
        let request = if request_id.is_empty() {
            None
        } else {
            match uuid::Uuid::parse_str(request_id) {
                Ok(id) => Some(RequestKey { id: id.to_string(), fingerprint: self.fingerprint(command)? }),
                Err(_) => {
                    violations.add("request_id", "must be a UUID");
                    None
                }
            }
        };
        violations.into_result()?;
        Ok(Write { now: self.now(), request })
    }

    fn fingerprint(&self, command: &impl Serialize) -> Result<[u8; 32]> {
        let key = self.vault().derive("request-fingerprint").map_err(crate::control::vault_failure)?;
        let text = serde_json::to_vec(command)
            .map_err(|error| ferry_domain::Error::internal("a request cannot be digested", error))?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), &text);
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(tag.as_ref());
        Ok(fingerprint)
    }
}
