//! What is wrong with a manifest, told all at once.

use std::fmt;

/// One thing that is wrong, where it stands, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, such as `spec.rules[2].drop.percent`. Empty: the document as a whole.
    pub path: String,
    /// Line in the text, from 1; `None` when the manifest did not come from a text.
    pub line: Option<u32>,
    /// What is wrong and the remedy; lower case. Never holds a secret.
    pub message: String,
}

impl Problem {
    /// A problem whose line is not known (yet).
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { path: path.into(), line: None, message: message.into() }
    }

    /// The same with a line.
    pub fn on_line(mut self, line: u32) -> Problem {
        self.line = Some(line);
        self
    }
}

impl fmt::Display for Problem {
    /// `spec.rules[2].drop.percnt: unknown field, did you mean `percent`?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with one text, in the order of its lines; never empty.
///
/// Its `Display` has one line for each problem: `<origin>:<line>: <path>: <message>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// Where the text came from: a file name, or words such as `standard input`.
    pub origin: String,
    /// The problems.
    pub list: Vec<Problem>,
}

impl Problems {
    /// Sorts by line, then by path.
    pub fn new(origin: impl Into<String>, mut list: Vec<Problem>) -> Problems {
        list.sort_by(|a, b| (a.line, &a.path, &a.message).cmp(&(b.line, &b.path, &b.message)));
        list.dedup();
        Problems { origin: origin.into(), list }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.list.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:", self.origin)?;
            if let Some(line) = problem.line {
                write!(f, "{line}:")?;
            }
            write!(f, " {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
