//! `Debug` of messages with a secret or a person's data: the name alone, so that no log can show what is inside.
//!
//! `build.rs` keeps prost from deriving it for the same messages. One that is named only here has two implementations
//! and does not compile; one that is named only there cannot be printed at all.

use crate::v1;
use std::fmt;

macro_rules! hide {
    ($($message:ident),+ $(,)?) => {
        $(impl fmt::Debug for v1::$message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message)).finish_non_exhaustive()
            }
        })+
    };
}

hide!(
    ActiveCampaignConnection,
    CreateWebhookResponse,
    ErasePersonRequest,
    FindRecipientsRequest,
    PlanField,
    PlanSample,
    PreviewRow,
    RejectedProfile,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_a_key_can_be_printed_without_it() {
        let settings = v1::ActiveCampaignConnection { api_key: "canary".to_owned(), ..Default::default() };
        let settings = v1::connection_settings::Settings::Activecampaign(settings);
        let connection = v1::Connection {
            settings: Some(v1::ConnectionSettings { settings: Some(settings) }),
            display_name: "News".to_owned(),
            ..Default::default()
        };
        let request = v1::CreateConnectionRequest { connection: Some(connection), ..Default::default() };
        let printed = format!("{request:?}");
        assert!(printed.contains("News") && !printed.contains("canary"), "{printed}");
    }

    #[test]
    fn rows_of_people_can_be_printed_without_them() {
        let profile = v1::RejectedProfile { email: "canary@example.com".to_owned(), ..Default::default() };
        let row = v1::PreviewRow { cells: vec!["canary".to_owned()] };
        let rejected = v1::ListRejectedProfilesResponse { rejected_profiles: vec![profile], ..Default::default() };
        let preview = v1::PreviewSegmentResponse { rows: vec![row], ..Default::default() };
        assert!(!format!("{rejected:?}{preview:?}").contains("canary"));
    }
}
