//! Made-up profiles for a large demo: the same number always gives the same file.

use std::io::{BufWriter, Write};
use std::path::Path;

const FIRST: [&str; 12] =
    ["Ada", "Björn", "Chloé", "Dmitri", "Élodie", "Fatima", "Grace", "Hiro", "Inês", "João", "Klara", "Luís"];
const LAST: [&str; 10] =
    ["Almeida", "Bauer", "Costa", "Dubois", "Eriksen", "Fernández", "García", "Hansen", "Ito", "O'Neill"];

/// What the file holds besides good rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mixture {
    /// All rows.
    pub(crate) members: u64,
    /// Rows without a usable address.
    pub(crate) rejected: u64,
    /// Rows with the address of another row.
    pub(crate) twins: u64,
}

/// One row in 200 has a bad address, one in 100 repeats the row before it in capitals.
pub(crate) fn write(path: &Path, members: u64) -> anyhow::Result<Mixture> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    writeln!(file, "customer_id,first_name,last_name,email,phone,lifetime_value")?;
    let mut mixture = Mixture { members, rejected: 0, twins: 0 };
    for number in 0..members {
        let email = match number % 200 {
            150 => {
                mixture.rejected += 1;
                format!("customer {number} at example")
            }
            50 | 100 => {
                mixture.twins += 1;
                format!("CUSTOMER.{}@PROFILES.EXAMPLE.COM", number - 1)
            }
            _ => format!("customer.{number}@profiles.example.com"),
        };
        let first = FIRST[index(number, FIRST.len())];
        let last = LAST[index(number / 7, LAST.len())];
        let value = number % 1_000;
        writeln!(file, "{number},{first},{last},{email},+351 21 {:07},{value}.50", number % 10_000_000)?;
    }
    file.flush()?;
    Ok(mixture)
}

fn index(number: u64, length: usize) -> usize {
    usize::try_from(number % length as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn the_mixture_is_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profiles.csv");
        let mixture = write(&path, 1_000).unwrap();
        assert_eq!(mixture, Mixture { members: 1_000, rejected: 5, twins: 10 });
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1_001);
    }
}
