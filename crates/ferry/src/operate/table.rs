//! Tables for people: aligned, and never wider than the terminal.

use console::{Term, measure_text_width, pad_str, truncate_str};
use std::io::IsTerminal;

const BETWEEN: &str = "  ";

/// A column.
pub(super) struct Column {
    head: &'static str,
    is_number: bool,
    /// It may be cut down to this width.
    least: Option<usize>,
    /// Where the width does not do, columns with the lowest rank are left out first; those without one stay.
    rank: Option<u8>,
}

impl Column {
    pub(super) const fn new(head: &'static str) -> Self {
        Self { head, is_number: false, least: None, rank: None }
    }

    pub(super) const fn number(self) -> Self {
        Self { is_number: true, ..self }
    }

    pub(super) const fn at_least(self, width: usize) -> Self {
        Self { least: Some(width), ..self }
    }

    pub(super) const fn rank(self, rank: u8) -> Self {
        Self { rank: Some(rank), ..self }
    }
}

/// How wide a line may be: as the terminal; without one, as wide as it gets.
pub(super) fn width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    Term::stdout().size_checked().map(|(_, columns)| usize::from(columns))
}

/// The lines of a table, its head first.
pub(super) fn lines(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    let cell = |row: &[String], at: usize| row.get(at).cloned().unwrap_or_default();
    let natural = |at: usize, column: &Column| {
        let widest = rows.iter().map(|row| measure_text_width(&cell(row, at))).max().unwrap_or(0);
        widest.max(measure_text_width(column.head))
    };
    let mut widths: Vec<usize> = columns.iter().enumerate().map(|(at, column)| natural(at, column)).collect();
    let kept = fit(columns, &mut widths, width.unwrap_or(usize::MAX));
    let line = |cells: &dyn Fn(usize) -> String| {
        let mut line = String::new();
        for (place, at) in kept.iter().enumerate() {
            let align = if columns[*at].is_number { console::Alignment::Right } else { console::Alignment::Left };
            let text = cells(*at);
            let text = truncate_str(&text, widths[*at], "…");
            line.push_str(if place > 0 { BETWEEN } else { "" });
            line.push_str(&pad_str(&text, widths[*at], align, None));
        }
        line.trim_end().to_owned()
    };
    let head = line(&|at| columns[at].head.to_owned());
    std::iter::once(head).chain(rows.iter().map(|row| line(&|at| cell(row, at)))).collect()
}

/// Which columns are shown; their widths are cut where they must be.
fn fit(columns: &[Column], widths: &mut [usize], width: usize) -> Vec<usize> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let natural = widths.to_vec();
    loop {
        let total = kept.iter().map(|at| natural[*at]).sum::<usize>() + BETWEEN.len() * kept.len().saturating_sub(1);
        let mut over = total.saturating_sub(width);
        for at in &kept {
            let least = columns[*at].least.map_or(natural[*at], |least| least.min(natural[*at]));
            let cut = over.min(natural[*at] - least);
            widths[*at] = natural[*at] - cut;
            over -= cut;
        }
        let ranked = kept.iter().enumerate().filter_map(|(place, at)| columns[*at].rank.map(|rank| (rank, place)));
        match ranked.min() {
            Some((_, place)) if over > 0 => {
                kept.remove(place);
            }
            _ => return kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("RUN"),
            Column::new("EXPORT").at_least(6),
            Column::new("COUNT").number().rank(2),
            Column::new("TOOK").rank(1),
        ]
    }

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        vec![row(["a", "a-very-long-name", "1", "2m"]), row(["bb", "short", "12,345", ""])]
    }

    #[test]
    fn columns_are_aligned() {
        let lines = lines(&columns(), &rows(), None);
        assert_eq!(
            lines,
            [
                "RUN  EXPORT             COUNT  TOOK",
                "a    a-very-long-name       1  2m",
                "bb   short             12,345",
            ]
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 11..60 {
            for line in lines(&columns(), &rows(), Some(width)) {
                assert!(measure_text_width(&line) <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn what_matters_least_goes_first() {
        assert_eq!(lines(&columns(), &rows(), Some(27))[1], "a    a-very-…       1  2m");
        assert_eq!(lines(&columns(), &rows(), Some(20))[1], "a    a-very…       1");
        assert_eq!(lines(&columns(), &rows(), Some(12))[1], "a    a-very…");
    }
}
