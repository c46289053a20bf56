//! Pages in the order (create time, id): stable while rows are added.

use ferry_domain::{Error, Result, Timestamp};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, Condition};

/// Which part of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// Where the page before ended, as [`Listed::next`] said.
    pub after: Option<String>,
    /// Rows at most.
    pub size: u32,
}

/// A page.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; nothing after the last.
    pub next: Option<String>,
}

/// The key of the last row of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) time: Timestamp,
    pub(crate) id: String,
}

impl Cursor {
    /// The rows behind this one, in ascending order.
    pub(crate) fn after<C: ColumnTrait>(&self, time: C, id: C) -> Condition {
        let same_time = time.eq(self.time.as_millis());
        Condition::any().add(time.gt(self.time.as_millis())).add(same_time.and(id.gt(self.id.as_str())))
    }

    /// The rows behind this one, in descending order.
    pub(crate) fn before<C: ColumnTrait>(&self, time: C, id: C) -> Condition {
        let same_time = time.eq(self.time.as_millis());
        Condition::any().add(time.lt(self.time.as_millis())).add(same_time.and(id.lt(self.id.as_str())))
    }
}

impl Page {
    /// One row more than asked for tells whether there is a next page.
    pub(crate) fn limit(&self) -> u64 {
        u64::from(self.size) + 1
    }

    pub(crate) fn cursor(&self) -> Result<Option<Cursor>> {
        let Some(after) = &self.after else { return Ok(None) };
        let parsed = after.split_once(':').and_then(|(millis, id)| {
            let time = Timestamp::from_millis(millis.parse().ok()?);
            Some(Cursor { time, id: id.to_owned() })
        });
        parsed.map(Some).ok_or_else(|| Error::invalid("page_token", "is not a token of this list"))
    }

    pub(crate) fn cut<T>(&self, mut items: Vec<T>, key: impl Fn(&T) -> Cursor) -> Listed<T> {
        let size = self.size as usize;
        let more = items.len() > size;
        items.truncate(size);
        let last = items.last().filter(|_| more).map(key);
        Listed { items, next: last.map(|cursor| format!("{}:{}", cursor.time.as_millis(), cursor.id)) }
    }
}
