//! What is wrong with a configuration, and where: file, line, column, TOML path, what, and what to do about it.
//!
//! Invariant: a problem never quotes a line of the file and never holds a secret, so it may be logged, printed and shown
//! on `/ready`. It deliberately does not know what a right configuration looks like; [`super::compile`] does.

use std::cell::OnceCell;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// One thing that is wrong, or (as a warning) odd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Counted from 1; 0 where no line is to blame.
    pub line: usize,
    /// Characters, counted from 1; 0 where no line is to blame.
    pub column: usize,
    /// As in `provider[1].base_url`, counted from 0; empty where the file as a whole is to blame.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem with the file as a whole.
    #[must_use]
    pub fn with_file(file: &Path, message: impl Into<String>) -> Self {
        let (path, message) = (String::new(), message.into());
        Self { file: file.to_owned(), line: 0, column: 0, path, message, hint: None }
    }

    /// Says what to do about it.
    pub fn hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }
}

/// `file:line:column: path: message`, and the hint on a line of its own.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", self.path)?;
        }
        write!(f, " {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything that keeps a configuration from becoming rules; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// In the order of the file.
    pub list: Vec<Problem>,
    /// The files that were read or looked for: when one of them changes, loading is worth another try.
    pub watched: Vec<PathBuf>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The text that offsets point into.
#[derive(Debug)]
pub struct Source<'t> {
    /// How problems name it.
    pub file: &'t Path,
    /// Its content.
    pub text: &'t str,
    // Only a file with a problem needs it.
    lines: OnceCell<Vec<usize>>,
}

impl<'t> Source<'t> {
    /// A text under a name.
    #[must_use]
    pub fn new(file: &'t Path, text: &'t str) -> Self {
        Self { file, text, lines: OnceCell::new() }
    }

    /// A problem at a byte offset.
    #[must_use]
    pub fn problem(&self, at: usize, path: String, message: String) -> Problem {
        let (line, column) = self.position(at);
        Problem { file: self.file.to_owned(), line, column, path, message, hint: None }
    }

    /// Line and column of a byte offset, counted from 1, the column in characters.
    #[must_use]
    pub fn position(&self, at: usize) -> (usize, usize) {
        let lines = self.lines.get_or_init(|| {
            let ends = memchr::memchr_iter(b'\n', self.text.as_bytes());
            std::iter::once(0).chain(ends.map(|end| end + 1)).collect()
        });
        let line = lines.partition_point(|&start| start <= at);
        let start = lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..at).unwrap_or("");
        (line, before.chars().count() + 1)
    }
}

/// The candidate that was probably meant.
#[must_use]
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let distance = |c: &str| strsim::damerau_levenshtein(&word.to_lowercase(), &c.to_lowercase());
    let (best, candidate) = candidates.into_iter().map(|c| (distance(c), c)).min_by_key(|(d, _)| *d)?;
    // A third of the letters wrong is still a slip; more is another word.
    (best <= (word.chars().count() / 3).max(1)).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_counts_lines_and_characters_from_one() {
        let source = Source::new(Path::new("f"), "ab\nüx\n\nlast");
        for (name, at, want) in [
            ("first byte", 0, (1, 1)),
            ("line end", 2, (1, 3)),
            ("second line", 3, (2, 1)),
            ("after a two-byte character", 5, (2, 2)),
            ("empty line", 7, (3, 1)),
            ("end of text", 12, (4, 5)),
        ] {
            assert_eq!(source.position(at), want, "{name}");
        }
    }

    #[test]
    fn nearest_takes_slips_and_leaves_other_words() {
        let known = ["base_url", "name", "credential"];
        for (word, want) in [
            ("baseurl", Some("base_url")),
            ("bsae_url", Some("base_url")),
            ("Name", Some("name")),
            ("credentials", Some("credential")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), want, "{word}");
        }
    }

    #[test]
    fn a_problem_reads_like_a_compiler_message() {
        let mut problem = Source::new(Path::new("t.toml"), "a = 1\n").problem(4, "a".into(), "no".into());
        assert_eq!(problem.to_string(), "t.toml:1:5: a: no");
        problem.hint("yes");
        assert_eq!(problem.to_string(), "t.toml:1:5: a: no\n  hint: yes");
        assert_eq!(Problem::with_file(Path::new("t.toml"), "gone").to_string(), "t.toml: gone");
    }
}
