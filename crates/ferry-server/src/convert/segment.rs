//! Segments.

use super::{count, time};
use ferry_domain::segment::{Column, Segment, SegmentKind, SegmentState};
use ferry_proto::v1 as pb;

/// A segment.
pub(crate) fn segment(segment: Segment) -> pb::Segment {
    pb::Segment {
        name: segment.name.to_string(),
        display_name: segment.display_name,
        kind: match segment.kind {
            SegmentKind::Profile => pb::segment::Kind::Profile,
            SegmentKind::Account => pb::segment::Kind::Account,
        }
        .into(),
        state: match segment.state {
            SegmentState::Active => pb::segment::State::Active,
            SegmentState::Inactive => pb::segment::State::Inactive,
            SegmentState::Failed => pb::segment::State::Failed,
        }
        .into(),
        source: segment.source,
        columns: segment.columns.into_iter().map(column).collect(),
        member_count: segment.member_count.map(count),
        last_refresh_time: segment.last_refresh_time.map(time),
    }
}

/// A column.
pub(crate) fn column(column: Column) -> pb::Column {
    pb::Column { name: column.name, r#type: column.data_type, mappable: column.mappable }
}
