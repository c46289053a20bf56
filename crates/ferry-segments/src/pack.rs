//! Rows into batches, by count and by bytes.
//!
//! A batch is filled until the next row does not fit. A batch of one row would fall into the destination's slow class
//! for single contacts, so it takes over the last row of the batch before it. Where that would leave one row there, that
//! batch in turn takes one from its own predecessor. A batch of one remains only where no such chain fits.

/// What a batch may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackLimits {
    /// Rows; at least one.
    pub max_rows: usize,
    /// Bytes of the rows with one byte between two of them.
    pub max_bytes: usize,
}

/// Packs rows in order. Keeps four bytes a row, so that a border between two batches can still be moved.
#[derive(Debug)]
pub struct Packer {
    limits: PackLimits,
    lengths: Vec<u32>,
    /// The first row of each batch.
    starts: Vec<usize>,
    /// Bytes of the last batch.
    bytes: usize,
}

impl Packer {
    /// Nothing packed yet.
    #[must_use]
    pub fn new(limits: PackLimits) -> Self {
        let max_bytes = limits.max_bytes.min(u32::MAX as usize);
        let limits = PackLimits { max_rows: limits.max_rows.max(1), max_bytes };
        Self { limits, lengths: Vec::new(), starts: Vec::new(), bytes: 0 }
    }

    /// Whether a row of this length fits into any batch.
    #[must_use]
    pub fn fits(&self, row_bytes: usize) -> bool {
        row_bytes <= self.limits.max_bytes
    }

    /// Adds the next row, which [`Packer::fits`].
    pub fn push(&mut self, row_bytes: usize) {
        debug_assert!(self.fits(row_bytes), "a row that fits nowhere is rejected before");
        let row = self.lengths.len();
        let rows = self.starts.last().map(|start| row - start);
        match rows {
            Some(rows) if rows < self.limits.max_rows && self.bytes + 1 + row_bytes <= self.limits.max_bytes => {
                self.bytes += 1 + row_bytes;
            }
            Some(_) | None => {
                self.join_single();
                self.starts.push(row);
                self.bytes = row_bytes;
            }
        }
        self.lengths.push(u32::try_from(row_bytes).unwrap_or(u32::MAX));
    }

    /// Rows of each batch, in order.
    #[must_use]
    pub fn finish(mut self) -> Vec<u32> {
        self.join_single();
        let ends = self.starts.iter().skip(1).copied().chain([self.lengths.len()]);
        let rows = self.starts.iter().zip(ends).map(|(start, end)| end - start);
        rows.map(|rows| u32::try_from(rows).unwrap_or(u32::MAX)).collect()
    }

    /// Gives the last batch, if it has one row, the last row of the batch before it; the borders before that move along
    /// as far as they must.
    fn join_single(&mut self) {
        let Some(mut batch) = self.starts.len().checked_sub(1) else { return };
        if self.lengths.len() - self.starts[batch] != 1 || self.limits.max_rows < 2 {
            return;
        }
        while batch > 0 {
            let border = self.starts[batch];
            let pair_bytes = self.lengths[border - 1] as usize + 1 + self.lengths[border] as usize;
            if pair_bytes > self.limits.max_bytes {
                return;
            }
            batch -= 1;
            match border - self.starts[batch] {
                0 | 1 => return,
                2 => {}
                _ => {
                    self.starts[batch + 1..].iter_mut().for_each(|start| *start -= 1);
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(limits: PackLimits, rows: &[usize]) -> Vec<u32> {
        let mut packer = Packer::new(limits);
        for row in rows {
            packer.push(*row);
        }
        packer.finish()
    }

    #[test]
    fn a_single_row_left_over_gets_company() {
        let limits = PackLimits { max_rows: 250, max_bytes: 100_000 };
        assert_eq!(pack(limits, &[10; 251]), [249, 2]);
        assert_eq!(pack(limits, &[10; 250]), [250]);
        assert_eq!(pack(limits, &[10; 1]), [1]);
        assert_eq!(pack(limits, &[]), [0_u32; 0]);
    }

    #[test]
    fn a_single_row_gets_company_through_batches_of_two() {
        let limits = PackLimits { max_rows: 250, max_bytes: 21 };
        assert_eq!(pack(limits, &[6, 6, 6, 10, 10, 10]), [2, 2, 2]);
        assert_eq!(pack(limits, &[10, 10, 10]), [2, 1], "two rows have none to spare");
        assert_eq!(pack(limits, &[6, 6, 6, 15]), [3, 1], "a pair that does not fit stays apart");
        assert_eq!(pack(limits, &[6, 6, 6, 14, 20]), [2, 2, 1], "in the middle too");
    }

    #[test]
    fn separators_count() {
        let limits = PackLimits { max_rows: 250, max_bytes: 11 };
        assert_eq!(pack(limits, &[5, 5]), [2]);
        assert_eq!(pack(limits, &[5, 6]), [1, 1]);
        assert_eq!(pack(limits, &[11]), [1]);
        assert!(!Packer::new(limits).fits(12));
    }

    /// Whether a batch of one could have had company: some batch before it can spare a row, and every pair that the
    /// moved borders would make fits.
    fn is_needless(limits: PackLimits, rows: &[usize], batches: &[u32], single: usize) -> bool {
        let start = |batch: usize| batches[..batch].iter().sum::<u32>() as usize;
        let pair_fits = |batch: usize| {
            let border = start(batch);
            rows[border - 1] + 1 + rows[border] <= limits.max_bytes
        };
        let giver = (0..single).rev().find(|batch| batches[*batch] != 2);
        let spares = giver.filter(|giver| batches[*giver] > 2);
        limits.max_rows > 1 && spares.is_some_and(|giver| (giver + 1..=single).all(pair_fits))
    }

    proptest! {
        #[test]
        fn batches_hold_all_rows_in_order_within_the_limits(
            max_rows in 1_usize..12,
            max_bytes in 20_usize..120,
            rows in proptest::collection::vec(1_usize..20, 0..200),
        ) {
            let limits = PackLimits { max_rows, max_bytes };
            let batches = pack(limits, &rows);
            let mut rest = &rows[..];
            for (index, count) in batches.iter().enumerate() {
                let (batch, after) = rest.split_at(*count as usize);
                prop_assert!(!batch.is_empty() && batch.len() <= max_rows);
                prop_assert!(batch.iter().sum::<usize>() + batch.len() - 1 <= max_bytes);
                if batch.len() == 1 {
                    prop_assert!(!is_needless(limits, &rows, &batches, index), "a needless batch of one in {:?}", batches);
                }
                rest = after;
            }
            prop_assert!(rest.is_empty());
        }
    }
}
