//! The custom fields of an account, page by page.

use super::answer;
use serde_json::Value;

/// The largest page (list all contacts page).
pub(super) const PAGE: usize = 100;
/// More custom fields than this are not looked at.
const MOST: usize = 5_000;

/// One page, as it was answered.
pub struct FieldsPage {
    entries: usize,
    numbers: Vec<u32>,
}

/// The custom fields that are known so far.
#[derive(Default)]
pub struct Fields {
    numbers: Vec<u32>,
    seen: usize,
    is_whole: bool,
}

impl FieldsPage {
    pub(super) fn read(entries: &[Value]) -> Self {
        let number = |field: &Value| answer::get(field, "id").and_then(answer::number);
        let numbers = entries.iter().filter_map(|field| u32::try_from(number(field)?).ok()).collect();
        Self { entries: entries.len(), numbers }
    }
}

impl Fields {
    /// Where the next page begins; nothing once there is none.
    #[must_use]
    pub fn next_page(&self) -> Option<usize> {
        (!self.is_whole).then_some(self.seen)
    }

    /// Takes in the page that was next.
    pub fn add(&mut self, page: FieldsPage) {
        self.seen += page.entries;
        self.is_whole = page.entries < PAGE || self.seen >= MOST;
        self.numbers.extend(page.numbers);
    }

    /// Whether there is a field with this number.
    #[must_use]
    pub fn have(&self, number: u32) -> bool {
        self.numbers.contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(from: usize, entries: usize) -> FieldsPage {
        let entries: Vec<Value> = (from..from + entries).map(|id| json!({"id": id.to_string()})).collect();
        FieldsPage::read(&entries)
    }

    #[test]
    fn pages_are_asked_for_until_one_is_not_full() {
        let mut fields = Fields::default();
        assert_eq!(fields.next_page(), Some(0));
        fields.add(page(1, PAGE));
        assert_eq!(fields.next_page(), Some(PAGE));
        fields.add(page(PAGE + 1, 3));
        assert_eq!(fields.next_page(), None);
        assert!(fields.have(1) && fields.have(103) && !fields.have(104));
    }

    #[test]
    fn an_endless_list_ends() {
        let mut fields = Fields::default();
        let mut pages = 0;
        while let Some(next) = fields.next_page() {
            fields.add(page(next, PAGE));
            pages += 1;
        }
        assert_eq!(pages, MOST / PAGE);
    }

    #[test]
    fn an_entry_without_a_number_is_left_out_and_counts_for_the_next_page() {
        let mut fields = Fields::default();
        fields.add(FieldsPage::read(&vec![json!({"title": "x"}); PAGE]));
        assert_eq!(fields.next_page(), Some(PAGE));
        assert!(!fields.have(0));
    }
}
