//! Rows into batches, by count and by bytes.
//!
//! A left-over batch of one row would fall into the destination's slow class for single contacts, so the last batch
//! takes a row from the one before it.

/// What a batch may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackLimits {
    /// Rows.
    pub max_rows: usize,
    /// Bytes of the rows with one byte between two of them.
    pub max_bytes: usize,
}

/// Packs rows in order. Only the last two batches are held back.
#[derive(Debug)]
pub struct Packer {
    limits: PackLimits,
    done: Vec<u32>,
    /// Length of the last row of the batch that was closed last.
    closed_last_row: usize,
    rows: usize,
    bytes: usize,
    last_row: usize,
}

impl Packer {
    /// Nothing packed yet.
    #[must_use]
    pub fn new(limits: PackLimits) -> Self {
        Self { limits, done: Vec::new(), closed_last_row: 0, rows: 0, bytes: 0, last_row: 0 }
    }

    /// Whether a row of this length fits into any batch.
    #[must_use]
    pub fn fits(&self, row_bytes: usize) -> bool {
        row_bytes <= self.limits.max_bytes
    }

    /// Adds the next row, which [`Packer::fits`].
    pub fn push(&mut self, row_bytes: usize) {
        debug_assert!(self.fits(row_bytes), "a row that fits nowhere is rejected before");
        let with_it = self.bytes + 1 + row_bytes;
        if self.rows == self.limits.max_rows || (self.rows > 0 && with_it > self.limits.max_bytes) {
            self.done.push(u32::try_from(self.rows).unwrap_or(u32::MAX));
            self.closed_last_row = self.last_row;
            (self.rows, self.bytes) = (0, 0);
        }
        self.bytes += row_bytes + usize::from(self.rows > 0);
        self.rows += 1;
        self.last_row = row_bytes;
    }

    /// Rows of each batch, in order.
    #[must_use]
    pub fn finish(mut self) -> Vec<u32> {
        if self.rows == 0 {
            return self.done;
        }
        let pair_fits = self.limits.max_rows > 1 && self.closed_last_row + 1 + self.last_row <= self.limits.max_bytes;
        // A batch of two would only hand the single row on.
        if let Some(before) = self.done.last_mut().filter(|before| **before > 2)
            && self.rows == 1
            && pair_fits
        {
            *before -= 1;
            self.rows = 2;
        }
        self.done.push(u32::try_from(self.rows).unwrap_or(u32::MAX));
        self.done
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

    proptest! {
        #[test]
        fn batches_hold_all_rows_in_order_within_the_limits(
            max_rows in 1_usize..12,
            max_bytes in 20_usize..120,
            rows in proptest::collection::vec(1_usize..20, 0..200),
        ) {
            let batches = pack(PackLimits { max_rows, max_bytes }, &rows);
            let mut rest = &rows[..];
            for (index, count) in batches.iter().enumerate() {
                let (batch, after) = rest.split_at(*count as usize);
                prop_assert!(!batch.is_empty() && batch.len() <= max_rows);
                prop_assert!(batch.iter().sum::<usize>() + batch.len() - 1 <= max_bytes);
                let last = index + 1 == batches.len();
                if last && batch.len() == 1 && index > 0 && batches[index - 1] > 2 && max_rows > 1 {
                    let before = rows[rows.len() - 2];
                    prop_assert!(before + 1 + batch[0] > max_bytes, "a needless batch of one");
                }
                rest = after;
            }
            prop_assert!(rest.is_empty());
        }
    }
}
