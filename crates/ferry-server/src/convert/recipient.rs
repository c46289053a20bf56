//! Where a person's data has gone.

use super::time;
use ferry_control::audit::recipients::Recipient;
use ferry_proto::v1 as pb;

/// A recipient.
pub(crate) fn recipient(recipient: Recipient) -> pb::Recipient {
    pb::Recipient {
        connection: recipient.connection,
        host: recipient.host,
        list_id: recipient.list.to_string(),
        fields: recipient.fields,
        purpose: recipient.purpose,
        first_time: Some(time(recipient.first_time)),
        last_time: Some(time(recipient.last_time)),
        removed: recipient.removed,
    }
}
