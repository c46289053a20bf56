//! Bounds that the API promises. Each is stated in `proto/` and tested.

use std::time::Duration;

/// Profiles an export may carry in one run (Dynamics 365 Customer Insights, ActiveCampaign export page).
pub const PROFILES_PER_RUN: u64 = 1_000_000;
/// Characters of a display name.
pub const DISPLAY_NAME_CHARS: usize = 200;
/// Segments of one export.
pub const SEGMENTS_PER_EXPORT: usize = 50;
/// Field mappings of one export, e-mail included.
pub const FIELD_MAPPINGS_PER_EXPORT: usize = 100;
/// Exports that one batch call names.
pub const NAMES_PER_BATCH: usize = 100;
/// Bytes of an API key.
pub const API_KEY_BYTES: usize = 1_024;
/// Bytes of a column's name.
pub const COLUMN_NAME_BYTES: usize = 255;
/// Entries of a page when the caller names none.
pub const PAGE_SIZE_DEFAULT: u32 = 50;
/// Entries of a page at most; a larger wish is cut.
pub const PAGE_SIZE_MAX: u32 = 500;
/// Rows of a preview.
pub const PREVIEW_ROWS: u32 = 100;
/// How long a request id is remembered.
pub const REQUEST_ID_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How old a dry run may be whose plan is carried out.
pub const PLAN_STANDS: Duration = Duration::from_secs(24 * 3_600);
/// How long a held run waits for its approval.
pub const APPROVAL_WAITS: Duration = Duration::from_secs(24 * 3_600);
/// Characters of a custom field's value in a leave policy.
pub const LEAVE_VALUE_CHARS: usize = 255;
/// Days that bodies of audit entries are kept, at most; longer is for ever.
pub const AUDIT_RETENTION_DAYS_MAX: u32 = 36_500;
/// Segments that one call names as refreshed, or as failed.
pub const SEGMENTS_PER_REFRESH: usize = 1_000;
/// Webhooks of one tenant: each fact is sent to each of them.
pub const WEBHOOKS_PER_TENANT: u64 = 20;
/// Bytes of a webhook's URL.
pub const WEBHOOK_URL_BYTES: usize = 2_048;
/// How long notifications are kept.
pub const NOTIFICATIONS_KEPT: Duration = Duration::from_secs(90 * 24 * 3_600);
/// Characters of the cause of a failed refresh.
pub const CAUSE_CHARS: usize = 500;
