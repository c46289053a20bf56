//! What the verifiers say of a file: the crate's, its command, and `tests/verify.py`, which was written apart from them.

use ferry_ledger::verify::{Place, Report, verify};
use ferry_testkit::binary;
use std::fmt::Display;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// One file, and what is said of it.
pub(super) struct Case {
    what: String,
    file: Vec<u8>,
    key: String,
    kept: Vec<String>,
    pub(super) report: Report,
}

impl Case {
    #[track_caller]
    pub(super) fn is_good(&self) -> &Report {
        assert!(self.report.is_good(), "{}: {}", self.what, self.report);
        &self.report
    }

    /// The first bad entry is this one.
    #[track_caller]
    pub(super) fn names(&self, chain: &str, number: usize) {
        self.says(&Place::Entry(chain.to_owned(), u64::try_from(number).unwrap()), "");
    }

    #[track_caller]
    pub(super) fn says(&self, place: &Place, what: &str) {
        let Some(bad) = &self.report.bad else { panic!("{}: not found\n{}", self.what, self.report) };
        assert!(bad.place == *place && bad.what.contains(what), "{}: not at {place}\n{}", self.what, self.report);
    }

    /// `ferry audit verify` exits and prints by the same verdict.
    #[track_caller]
    pub(super) fn is_told_by_the_command(&self) {
        let folder = tempfile::tempdir().unwrap();
        let line = self.written(&folder, 0);
        let words: Vec<&str> = line.split('\t').collect();
        let mut command = Command::new(binary("ferry"));
        command.args(["audit", "verify", words[0], "--key", words[1]]);
        command.args(words[2..].iter().flat_map(|notes| ["--checkpoint", notes]));
        let output = command.output().unwrap();
        let (said, complained) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        let code = i32::from(!self.report.is_good());
        assert_eq!(output.status.code(), Some(code), "{}: {said}{complained}", self.what);
        assert_eq!(said.lines().next(), Some(&*self.report.verdict()), "{}: {said}{complained}", self.what);
    }

    /// Writes the file and the notes. Returns their paths with the key between, as the script reads them.
    fn written(&self, folder: &TempDir, place: usize) -> String {
        let written = |name: String, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let mut line = format!("{}\t{}", written(format!("{place}.json"), &self.file), self.key);
        if !self.kept.is_empty() {
            line += &format!("\t{}", written(format!("{place}.notes"), self.kept.concat().as_bytes()));
        }
        line
    }
}

/// The files of one test.
pub(super) struct Cases {
    key: String,
    all: Vec<Case>,
}

impl Cases {
    /// All are verified by this key.
    pub(super) fn new(key: &str) -> Self {
        Self { key: key.to_owned(), all: Vec::new() }
    }

    pub(super) fn judge(&mut self, what: impl Display, file: impl Into<Vec<u8>>) -> &Case {
        self.judge_with(what, file, &[])
    }

    /// The same, held against checkpoints that somebody kept.
    pub(super) fn judge_with(&mut self, what: impl Display, file: impl Into<Vec<u8>>, kept: &[String]) -> &Case {
        let (file, key) = (file.into(), self.key.clone());
        self.judge_by(&key, what, file, kept)
    }

    /// The same, by another key.
    pub(super) fn judge_by(&mut self, key: &str, what: impl Display, file: Vec<u8>, kept: &[String]) -> &Case {
        let report = verify(&*file, &key.parse().unwrap(), kept).unwrap();
        let case = Case { what: what.to_string(), file, key: key.to_owned(), kept: kept.to_vec(), report };
        self.all.push(case);
        self.all.last().unwrap()
    }

    /// The script, over all of them at once, must say the same of each.
    pub(super) fn agree(self) {
        let folder = tempfile::tempdir().unwrap();
        let list: String =
            (0..).zip(&self.all).map(|(place, case)| case.written(&folder, place) + "\n").collect::<Vec<_>>().concat();
        let path = folder.path().join("list");
        std::fs::write(&path, list).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("verify.py");
        let output = Command::new("python3").arg(script).arg("--batch").arg(&path).output();
        let output = output.unwrap_or_else(|error| panic!("this test needs python3, which cannot be started: {error}"));
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.lines().count(), self.all.len(), "{}", String::from_utf8_lossy(&output.stderr));
        for (verdict, case) in said.lines().zip(&self.all) {
            assert_eq!(verdict, case.report.verdict(), "{}: {}", case.what, case.report);
        }
    }
}
