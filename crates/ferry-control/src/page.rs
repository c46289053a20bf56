//! Page tokens: sealed, so that nobody can read or make one, and bound to the list, its arguments and the tenant.

use crate::Control;
use ferry_domain::violation::Violation;
use ferry_domain::{Error, Reason, Result, hex, limits};
use ferry_store::{Listed, Page};

const LABEL: &str = "page-token";

/// What a caller asks of a list.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct PageRequest {
    /// Entries at most; 0 for the default.
    pub size: i32,
    /// Where to go on.
    pub token: String,
}

/// The list that a token belongs to: method, parent and every argument that shapes it.
pub(crate) struct Query<'a> {
    pub(crate) method: &'static str,
    pub(crate) parent: &'a str,
    pub(crate) arguments: &'a [&'a str],
}

impl Query<'_> {
    fn context(&self) -> Vec<u8> {
        let mut context = Vec::new();
        for part in [self.method, self.parent].iter().chain(self.arguments) {
            context.extend_from_slice(&(part.len() as u64).to_be_bytes());
            context.extend_from_slice(part.as_bytes());
        }
        context
    }
}

impl Control {
    /// The page that is asked for.
    pub(crate) fn page(&self, query: &Query<'_>, request: &PageRequest) -> Result<Page> {
        let size = match u32::try_from(request.size) {
            Ok(0) => limits::PAGE_SIZE_DEFAULT,
            Ok(size) => size.min(limits::PAGE_SIZE_MAX),
            Err(_) => return Err(Error::invalid("page_size", "must not be negative")),
        };
        if request.token.is_empty() {
            return Ok(Page { after: None, size });
        }
        let opened = hex::decode(&request.token)
            .and_then(|sealed| self.vault().unseal_token(LABEL, &query.context(), &sealed).ok())
            .and_then(|key| String::from_utf8(key.to_vec()).ok());
        match opened {
            Some(after) => Ok(Page { after: Some(after), size }),
            None => Err(Error::InvalidArgument(vec![Violation {
                field: "page_token".to_owned(),
                description: "is not a token of this list with these arguments; begin again without one".to_owned(),
                reason: Reason::PageTokenInvalid,
            }])),
        }
    }

    /// The token of the next page; empty after the last.
    pub(crate) fn next_token<T>(&self, query: &Query<'_>, listed: &Listed<T>) -> Result<String> {
        let Some(next) = &listed.next else { return Ok(String::new()) };
        let sealed =
            self.vault().seal_token(LABEL, &query.context(), next.as_bytes()).map_err(crate::control::vault_failure)?;
        Ok(hex::encode(&sealed))
    }
}
