//! Who calls, with the rights that hold now, and the end of somebody's rights.

use crate::Control;
use crate::tenant::parse_tenant;
use ferry_domain::authz::action::RevokePrincipal;
use ferry_domain::authz::{Actor, Token, permit};
use ferry_domain::{Error, Result, Timestamp};

/// Bytes of a token's `sub`.
const SUBJECT_BYTES: usize = 255;

impl Control {
    /// The caller behind a verified token. Asked for each request, so that a revocation holds from the next one on.
    pub async fn admit(&self, token: Token) -> Result<Actor> {
        let standing = self.store().admit(&token, self.now()).await?;
        Ok(Actor::admit(token, &standing))
    }

    /// Ends a person's rights in a tenant, and what runs in their name.
    pub async fn revoke_principal(
        &self,
        actor: &Actor,
        name: &str,
        subject: &str,
        request_id: &str,
    ) -> Result<Timestamp> {
        let name = parse_tenant("name", name)?;
        permit::<RevokePrincipal>(actor, name.clone())?.spend();
        if subject.is_empty() || subject.len() > SUBJECT_BYTES || subject.chars().any(char::is_control) {
            let text = format!("must be the `sub` of their tokens: 1 to {SUBJECT_BYTES} bytes, no control characters");
            return Err(Error::invalid("subject", text));
        }
        let write = self.write(request_id, &(name.to_string(), subject))?;
        let subject = subject.to_owned();
        self.granted(|store| Ok(store.principal_revoke(permit::<RevokePrincipal>(actor, name)?, subject, write)))?.await
    }
}
