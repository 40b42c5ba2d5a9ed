//! The dashboard's questions, the same for every engine.
//!
//! Whatever spans more than moments is answered from hourly figures; the rows themselves are read for the
//! parts of an hour at both ends of a range, and where single prices are wanted and few enough. An engine
//! gives the few pieces of SQL beneath ([`Look`]); what is made of them is written once.

mod distribution;
mod export;
mod facets;
mod history;
mod lines;
mod profile;
mod statistics;

use std::future::Future;

use pricemonitor_model::{Millis, Time};

use crate::cells::{Figures, HOUR};
use crate::error::Result;
use crate::query::{ExportRow, Filter};

pub(crate) use distribution::distribution;
pub(crate) use export::export;
pub(crate) use facets::Catalogue;
pub(crate) use history::history;
pub(crate) use lines::Described;
pub(crate) use profile::hour_profile;
pub(crate) use statistics::statistics;

/// A database that can be asked.
pub(crate) trait Ask: Clone + Send + Sync + 'static {
    /// One state of its data.
    type Look: Look;

    /// Looks at the data as it is now.
    fn begin_look(&self) -> impl Future<Output = Result<Self::Look>> + Send;
}

/// Takes series, first and last hour since the epoch, and the figures of what lies in between.
pub(crate) type EachFigures<'f> = dyn FnMut(i64, (i64, i64), &Figures) + Send + 'f;

/// What the questions are made of. Lists of series are in rising order.
pub(crate) trait Look: Send {
    /// The series that pass the filter.
    fn choose(&mut self, filter: &Filter) -> impl Future<Output = Result<Choice>> + Send;

    /// Figures of the rows of some series in a range. They may come in any order and in more pieces than
    /// `group` asks for, but in no larger ones.
    fn figures(
        &mut self,
        series: &[i64],
        span: Span,
        group: Group,
        each: &mut EachFigures<'_>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Series, time and price of every price that counts, or of the last one in every bucket of the
    /// `sampled` width.
    fn prices(
        &mut self,
        series: &[i64],
        span: Span,
        sampled: Option<Millis>,
        each: &mut (dyn FnMut(i64, i64, f64) + Send),
    ) -> impl Future<Output = Result<()>> + Send;

    /// Every price that counts.
    fn values(
        &mut self,
        series: &[i64],
        span: Span,
        each: &mut (dyn FnMut(f64) + Send),
    ) -> impl Future<Output = Result<()>> + Send;

    /// What some series can be called by, in the order of the list (which may be any here).
    fn describe(&mut self, series: &[i64]) -> impl Future<Output = Result<Vec<Described>>> + Send;

    /// Every row in the order of time; `described` are the series in the order of their ids.
    fn rows(
        &mut self,
        described: &[Described],
        span: Span,
    ) -> impl Future<Output = Result<Vec<ExportRow>>> + Send;

    /// How many alerts pass the filter.
    fn count_alerts(&mut self, filter: &Filter) -> impl Future<Output = Result<u64>> + Send;
}

/// How coarse the figures may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// One for each series.
    Series,
    /// One for each series and stretch of so many hours; stretches begin at multiples of their length.
    Hours(i64),
    /// One for each hour, all series together, under any one of them.
    Together,
}

/// A half-open range of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Span {
    pub(crate) fn of(from: Option<Time>, to: Option<Time>) -> Span {
        Span {
            from: from.unwrap_or(Time::MIN).millis(),
            // An open end holds the very last instant too.
            to: to.map_or(Time::MAX.millis() + 1, Time::millis),
        }
    }

    /// The whole hours of the range, and the parts of hours at its ends.
    pub(crate) fn hours(self) -> (std::ops::Range<i64>, Vec<Span>) {
        let first = self.from.div_euclid(HOUR) + i64::from(self.from.rem_euclid(HOUR) != 0);
        let end = self.to.div_euclid(HOUR);
        if first > end {
            return (0..0, vec![self]);
        }
        let ends = [Span { from: self.from, to: first * HOUR }, Span { from: end * HOUR, to: self.to }];
        (first..end, ends.into_iter().filter(|span| span.from < span.to).collect())
    }
}

/// A series that a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) id: i64,
    /// Place of its unit in [`Choice::units`].
    pub(crate) unit: usize,
    pub(crate) schedule: bool,
}

/// The series that a question is about, in the order of their ids.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    pub(crate) series: Vec<Chosen>,
    pub(crate) units: Vec<String>,
}

impl Choice {
    /// From the ids of each unit and kind, in the order of units.
    pub(crate) fn of(groups: impl IntoIterator<Item = (String, bool, Vec<i64>)>) -> Choice {
        let mut choice = Choice::default();
        for (unit, schedule, ids) in groups {
            if choice.units.last() != Some(&unit) {
                choice.units.push(unit);
            }
            let unit = choice.units.len() - 1;
            choice.series.extend(ids.into_iter().map(|id| Chosen { id, unit, schedule }));
        }
        choice.series.sort_unstable_by_key(|series| series.id);
        choice
    }

    fn ids(&self) -> Vec<i64> {
        self.series.iter().map(|series| series.id).collect()
    }

    /// Leaves only the series of the unit that most prices have; prices of different units have no common
    /// average. Tells the unit.
    fn keep_most_frequent_unit(&mut self, prices: impl Fn(i64) -> u64) -> &str {
        let mut counts = vec![0; self.units.len()];
        for series in &self.series {
            counts[series.unit] += prices(series.id);
        }
        let most = self.most_frequent(&counts);
        self.series.retain(|series| Some(series.unit) == most);
        most.map_or("", |unit| &self.units[unit])
    }

    /// The place of the unit with the highest count; of several the first by name.
    fn most_frequent(&self, counts: &[u64]) -> Option<usize> {
        (0..counts.len()).max_by_key(|unit| (counts[*unit], std::cmp::Reverse(&self.units[*unit])))
    }

    /// Whether the series is one of them.
    fn has(&self, id: i64) -> bool {
        self.series.binary_search_by_key(&id, |series| series.id).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_whole_hours_and_what_sticks_out() {
        let span = |from, to| Span { from, to };
        assert_eq!(span(0, 2 * HOUR).hours(), (0..2, vec![]));
        assert_eq!(span(-1, HOUR).hours(), (0..1, vec![span(-1, 0)]));
        assert_eq!(span(1, HOUR + 1).hours(), (1..1, vec![span(1, HOUR), span(HOUR, HOUR + 1)]));
        assert_eq!(span(1, 2).hours(), (0..0, vec![span(1, 2)]));
        assert_eq!(
            span(-HOUR - 5, 3 * HOUR + 7).hours(),
            (-1..3, vec![span(-HOUR - 5, -HOUR), span(3 * HOUR, 3 * HOUR + 7)])
        );
    }
}
