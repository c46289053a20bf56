//! A few rows of each action of a plan, sealed, for whoever decides whether it is to run.

use crate::preview::shown;
use crate::sealed::{self, Form, Place, PlanError, SealedFile, SealedWriter};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use std::sync::Arc;

/// Rows of each action, at most.
pub const SAMPLE_ROWS: usize = 20;
/// Values of a row, at most.
const VALUES: usize = 50;
const COLUMNS: [&str; 4] = ["action", "email", "values", "reason"];

/// What a plan does with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// They are new to the destination.
    Add,
    /// Their values change, or are made sure of.
    Change,
    /// They left.
    Remove,
    /// They are kept from going, by a rule.
    Refuse,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::Add, Self::Change, Self::Remove, Self::Refuse];

    fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Change => "change",
            Self::Remove => "remove",
            Self::Refuse => "refuse",
        }
    }
}

/// A row that is shown. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Sample {
    /// What is done with it.
    pub action: Action,
    /// The address.
    pub email: String,
    /// The values by the name of their destination field; long ones end with an ellipsis.
    pub values: Vec<(String, String)>,
    /// Why it is kept from going; empty for others.
    pub reason: String,
}

/// The samples of a plan that is being made.
#[derive(Default)]
pub(crate) struct Samples {
    rows: Vec<Sample>,
    /// How many there are of each action, in the order of [`Action::ALL`].
    kept: [usize; 4],
}

impl Samples {
    /// These, which are already few.
    pub(crate) fn of(rows: Vec<Sample>) -> Self {
        Self { rows, kept: [SAMPLE_ROWS; 4] }
    }

    /// Keeps a row, unless there are enough of its action.
    pub(crate) fn offer<'a>(
        &mut self,
        action: Action,
        email: &str,
        values: impl Iterator<Item = (&'a str, Option<&'a str>)>,
        reason: impl FnOnce() -> String,
    ) {
        let kept = &mut self.kept[action as usize];
        if *kept >= SAMPLE_ROWS {
            return;
        }
        *kept += 1;
        let present = values.filter_map(|(name, value)| Some((name.to_owned(), shown(value?)))).take(VALUES);
        self.rows.push(Sample { action, email: email.to_owned(), values: present.collect(), reason: reason() });
    }

    /// Puts the file into place, durably.
    pub(crate) fn write(mut self, place: &Place) -> Result<(), PlanError> {
        self.rows.sort_by_key(|row| Action::ALL.iter().position(|action| *action == row.action));
        let values = |row: &Sample| serde_json::to_string(&row.values).unwrap_or_default();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(self.rows.iter().map(|row| row.action.word()))),
            Arc::new(StringArray::from_iter_values(self.rows.iter().map(|row| &row.email))),
            Arc::new(StringArray::from_iter_values(self.rows.iter().map(values))),
            Arc::new(StringArray::from_iter_values(self.rows.iter().map(|row| &row.reason))),
        ];
        let mut file = SealedWriter::create(&place.path, &place.key, &place.aad, &form())?;
        if !self.rows.is_empty() {
            file.write(&RecordBatch::try_new(form().schema, columns)?)?;
        }
        file.finish()
    }
}

fn form() -> Form {
    let fields: Vec<Field> = COLUMNS.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect();
    Form { version: "samples 1", schema: Arc::new(Schema::new(fields)), incompressible: &[] }
}

/// Reads all samples of a plan, action by action.
pub fn read_samples(place: &Place) -> Result<Vec<Sample>, PlanError> {
    let file = SealedFile::open(&place.path, &place.key, &place.aad, &form())?;
    let mut rows = Vec::new();
    for batch in file.read_from(0, &COLUMNS)? {
        let batch = batch?;
        let text = |name| sealed::column::<StringArray>(&batch, name);
        let (actions, emails, values, reasons) = (text("action")?, text("email")?, text("values")?, text("reason")?);
        for row in 0..batch.num_rows() {
            let action = Action::ALL.into_iter().find(|action| action.word() == actions.value(row));
            rows.push(Sample {
                action: action.ok_or_else(sealed::other_columns)?,
                email: emails.value(row).to_owned(),
                values: serde_json::from_str(values.value(row)).map_err(|_| sealed::other_columns())?,
                reason: reasons.value(row).to_owned(),
            });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::file_key::FileKey;

    #[test]
    fn a_few_of_each_action_are_kept_and_none_is_large() {
        let folder = tempfile::tempdir().unwrap();
        let place =
            Place { path: folder.path().join("samples.parquet"), key: FileKey::new([3; 32]), aad: b"a".to_vec() };
        let mut samples = Samples::default();
        let long = "ã".repeat(1_000_000);
        for number in 0..100 {
            let email = format!("x{number}@y.zz");
            let values = (0..1_000).map(|_| ("7", Some(long.as_str())));
            samples.offer(Action::Refuse, &email, values, || "PREVIOUSLY_REMOVED".to_owned());
            samples.offer(Action::Add, &email, [("a", None), ("b", Some("B"))].into_iter(), String::new);
        }
        samples.write(&place).unwrap();
        let found = read_samples(&place).unwrap();
        assert_eq!(found.len(), 2 * SAMPLE_ROWS);
        assert!(found[0].action == Action::Add && found[0].values == [("b".to_owned(), "B".to_owned())]);
        let refused = &found[SAMPLE_ROWS];
        assert!(refused.reason == "PREVIOUSLY_REMOVED" && refused.email == "x0@y.zz");
        assert!(refused.values.len() == VALUES && refused.values[0].1.len() < 1_100);
        assert!(!std::fs::read(&place.path).unwrap().windows(5).any(|window| window == b"@y.zz"));
    }

    #[test]
    fn no_samples_are_a_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { path: folder.path().join("s"), key: FileKey::new([3; 32]), aad: Vec::new() };
        Samples::default().write(&place).unwrap();
        assert!(read_samples(&place).unwrap().is_empty());
    }
}
