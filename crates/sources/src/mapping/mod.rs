//! Mappings: a jq filter over any JSON or CSV.
//!
//! The filter sees the document (JSON as it is, CSV as an array of objects with text values) and
//! yields one object for each price. A document is taken as a whole or not at all: one object that
//! is wrong refuses it, with up to five problems named.
//!
//! # Guarantees
//! - Digits survive: `2879.20` in the document is `2879.20` in the observation, as long as the
//!   filter passes the number on; numbers that it *computes* are binary floats and are rounded to
//!   nine digits after the point.
//! - A filter reads its document and nothing else: no environment, clock, file or other input, and
//!   it writes nothing ([`guard`]).
//! - It ends: after [`watch::TIME`], after [`watch::STEPS`], or when it recurses too deeply.
//!
//! # Caveats
//! The memory of a filter is bounded only roughly (size of one text or list, depth of nesting):
//! whoever writes filters can make a process run out of memory, as can whoever writes manifests.

mod functions;
mod guard;
mod input;
mod output;
mod program;
mod recursion;
mod watch;

use std::collections::HashMap;

use pricemonitor_config::MappingInput;
use pricemonitor_model::{Observation, Time};

use crate::document::{Document, MOST_PRICES};
use crate::source::SourceError;
use output::Shape;
use program::{Program, Stopped};

/// Most problems that are named at once.
const NAMED: usize = 5;

/// A filter does not compile: what is wrong and where. Begins with a verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterError(pub(crate) String);

/// A compiled mapping.
pub(crate) struct Mapping {
    program: Program,
    input: MappingInput,
    currency: Option<String>,
    unit: Option<String>,
    complete: bool,
}

impl Mapping {
    /// Compiles the filter.
    ///
    /// # Errors
    /// [`FilterError`], for people.
    pub(crate) fn new(
        input: MappingInput,
        jq: &str,
        currency: Option<String>,
        unit: Option<String>,
        complete: bool,
    ) -> Result<Mapping, FilterError> {
        Ok(Mapping { program: Program::compile(jq)?, input, currency, unit, complete })
    }

    /// What its documents are.
    pub(crate) fn input(&self) -> MappingInput {
        self.input
    }

    /// Runs the filter over a document. Wants a thread with a stack of
    /// [`STACK`](crate::bounded::STACK) bytes, nearly all of it free.
    ///
    /// # Errors
    /// `malformed`, `too_large`, `timeout`.
    pub(crate) fn read(&self, source: &str, text: &str, at: Time) -> Result<Document, SourceError> {
        let document = match self.input {
            MappingInput::Json => input::json(text),
            MappingInput::Csv => input::csv(text),
        };
        let document = document.map_err(SourceError::malformed)?;
        let shape = Shape { source, currency: self.currency.as_deref(), unit: self.unit.as_deref(), at };
        let mut gathered = Gathered::default();
        let mut outputs = 0;
        let ended = self.program.run(document, |value| {
            if outputs == MOST_PRICES {
                return Err(SourceError::new(
                    "too_large",
                    format!("the filter yields more than {MOST_PRICES} prices"),
                ));
            }
            match shape.observation(&value) {
                Ok(Some(observation)) => gathered.take(outputs, observation),
                Ok(None) => {}
                Err(why) => gathered.problems.push(format!("output[{outputs}]{why}")),
            }
            outputs += 1;
            if gathered.problems.len() >= NAMED { Err(gathered.refusal()) } else { Ok(()) }
        });
        ended.map_err(|stopped| stopped.explain(outputs))?;
        gathered.finish(self.complete, at)
    }
}

/// What the filter yielded so far.
#[derive(Default)]
struct Gathered {
    /// With the number of the output that each was.
    observations: Vec<(usize, Observation<'static>)>,
    /// Item and slot start -> place in `observations`.
    places: HashMap<(String, Option<i64>), usize>,
    problems: Vec<String>,
}

impl Gathered {
    fn take(&mut self, output: usize, o: Observation<'static>) {
        let key = (o.item.clone().into_owned(), o.slot.map(|slot| slot.start.millis()));
        match self.places.get(&key) {
            None => {
                self.places.insert(key, self.observations.len());
                self.observations.push((output, o));
            }
            Some(place) => {
                let (first, known) = &self.observations[*place];
                if *known != o {
                    self.problems.push(format!(
                        "output[{output}].item: `{}` is the item of output[{first}] too; an item must name \
                         one thing, add what tells them apart",
                        o.item
                    ));
                }
            }
        }
    }

    fn refusal(&self) -> SourceError {
        SourceError::malformed(self.problems.join("; "))
    }

    fn finish(mut self, complete: bool, at: Time) -> Result<Document, SourceError> {
        self.observations.sort_by(|(_, a), (_, b)| (&a.item, a.slot).cmp(&(&b.item, b.slot)));
        let overlap = self.observations.windows(2).find_map(|two| {
            let ((first, a), (second, b)) = (&two[0], &two[1]);
            let (earlier, later) = (a.slot?, b.slot?);
            let meets = a.item == b.item && later.start < earlier.end;
            meets.then(|| {
                format!("output[{first}] and output[{second}]: their slots overlap at {}", later.start)
            })
        });
        self.problems.extend(overlap);
        if !self.problems.is_empty() {
            return Err(self.refusal());
        }
        // Who is gone is told by what was not seen at the time of the look; a feed with times of
        // its own does not show that.
        let complete = complete && self.observations.iter().all(|(_, o)| o.observed_at == at);
        Ok(Document { observations: self.observations.into_iter().map(|(_, o)| o).collect(), complete })
    }
}

impl Stopped {
    fn explain(self, outputs: usize) -> SourceError {
        match self {
            Stopped::Refused(error) => error,
            Stopped::Failed(why) => {
                SourceError::malformed(format!("the filter fails at output[{outputs}]: {why}"))
            }
            Stopped::Halted(halt) => SourceError::new(halt.reason(), halt.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
