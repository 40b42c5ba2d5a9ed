//! What an audit found, for people and programs.

use serde::Serialize;

use crate::exit::Result;
use crate::out::say;

/// Places that are named of a finding; the rest is counted.
const EXAMPLES: usize = 10;

/// One kind of thing that is not as it should be.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// A word for programs: `missing_row`, `doubled_event` ...
    pub(super) what: &'static str,
    /// How often.
    pub(super) count: u64,
    /// A sentence for people.
    pub(super) means: &'static str,
    /// The first places.
    pub(super) examples: Vec<String>,
}

impl Finding {
    /// Not found yet.
    pub(super) fn new(what: &'static str, means: &'static str) -> Finding {
        Finding { what, count: 0, means, examples: Vec::new() }
    }

    /// Found once more.
    pub(super) fn add(&mut self, place: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(place());
        }
    }
}

/// What an audit of one monitor came to.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Its id.
    pub(super) monitor: String,
    /// Nothing was found.
    pub(super) clean: bool,
    /// What was compared, a sentence each.
    pub(super) compared: Vec<String>,
    /// What is no mistake, but good to know: what is still on its way, what retention has deleted.
    pub(super) notes: Vec<String>,
    /// What is wrong.
    pub(super) findings: Vec<Finding>,
}

impl Report {
    /// Of a monitor of which nothing is known yet.
    pub(super) fn new(monitor: &str) -> Report {
        let monitor = monitor.to_owned();
        Report { monitor, clean: true, compared: Vec::new(), notes: Vec::new(), findings: Vec::new() }
    }

    /// Takes a finding over, if it was found. One of the same kind is added to.
    pub(super) fn take(&mut self, finding: Finding) {
        if finding.count == 0 {
            return;
        }
        self.clean = false;
        match self.findings.iter_mut().find(|known| known.what == finding.what) {
            Some(known) => {
                known.count += finding.count;
                let room = EXAMPLES.saturating_sub(known.examples.len());
                known.examples.extend(finding.examples.into_iter().take(room));
            }
            None => self.findings.push(finding),
        }
    }

    /// Something that is wrong once.
    pub(super) fn wrong(&mut self, what: &'static str, means: &'static str, place: String) {
        let mut finding = Finding::new(what, means);
        finding.add(|| place);
        self.take(finding);
    }

    /// Says something that is no mistake.
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// For people.
    pub(super) fn say(&self, name: &str) -> Result<()> {
        say!("{name}: {}", if self.clean { "clean" } else { "not clean" })?;
        self.compared.iter().try_for_each(|line| say!("  compared  {line}"))?;
        self.notes.iter().try_for_each(|line| say!("  note      {line}"))?;
        for finding in &self.findings {
            say!("  WRONG     {}: {}, {}", finding.what, finding.count, finding.means)?;
            let more = if finding.count > finding.examples.len() as u64 { ", ..." } else { "" };
            say!("            {}{more}", finding.examples.join(", "))?;
        }
        Ok(())
    }
}

/// The sum of it, as part of a sentence.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
