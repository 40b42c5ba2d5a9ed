//! Names and points of the chart's lines.

use ahash::{HashMap, HashSet};
use pricemonitor_model::{Millis, Time};

use crate::query::Point;

/// A series with all that it can be called by.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) id: i64,
    pub(crate) monitor: String,
    pub(crate) source: String,
    pub(crate) item: String,
    pub(crate) event: String,
    pub(crate) section: String,
    pub(crate) unit: String,
    pub(crate) schedule: bool,
}

/// Widths of buckets that people can read, up to a day; above, whole days.
const WIDTHS: [Millis; 18] = [
    1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000,
    3_600_000, 7_200_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000,
];

/// The width of at most `points` buckets that hold the whole range.
pub(super) fn width(range: Millis, points: usize) -> Millis {
    // Buckets begin at multiples of their width, so the range may touch one more than fits into it.
    let points = i64::try_from(points).unwrap_or(i64::MAX).saturating_sub(1).max(1);
    let least = range.max(1).div_euclid(points) + i64::from(range.rem_euclid(points) != 0);
    let day = WIDTHS[WIDTHS.len() - 1];
    let days = || least.div_euclid(day) * day + if least.rem_euclid(day) == 0 { 0 } else { day };
    WIDTHS.into_iter().find(|width| *width >= least).unwrap_or_else(days)
}

/// Sums up to a point.
#[derive(Clone, Copy)]
pub(super) struct Bucket {
    pub(super) prices: u64,
    pub(super) sum: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Bucket {
    pub(super) fn of(price: f64) -> Bucket {
        Bucket { prices: 1, sum: price, low: price, high: price }
    }

    pub(super) fn add(&mut self, other: Bucket) {
        self.prices += other.prices;
        self.sum += other.sum;
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
    }

    pub(super) fn point(self, at: Time) -> Point {
        let average = (self.sum / self.prices as f64).clamp(self.low, self.high);
        Point { at, price: average, low: self.low, high: self.high }
    }
}

/// Collects single prices or figures into buckets of a width, per series.
pub(super) struct Buckets {
    width: Millis,
    series: HashMap<i64, HashMap<i64, Bucket>>,
}

impl Buckets {
    pub(super) fn new(width: Millis) -> Buckets {
        Buckets { width, series: HashMap::default() }
    }

    pub(super) fn add(&mut self, series: i64, at: i64, bucket: Bucket) {
        let of = self.series.entry(series).or_default();
        of.entry(at.div_euclid(self.width)).and_modify(|sum| sum.add(bucket)).or_insert(bucket);
    }

    /// The points of every series in the order of time.
    pub(super) fn all(self) -> HashMap<i64, Vec<Point>> {
        let point = |(at, bucket): (i64, Bucket)| bucket.point(Time::from_millis(at * self.width));
        let points = |buckets: HashMap<i64, Bucket>| {
            let mut buckets: Vec<(i64, Bucket)> = buckets.into_iter().collect();
            buckets.sort_unstable_by_key(|(at, _)| *at);
            buckets.into_iter().map(point).collect()
        };
        self.series.into_iter().map(|(series, buckets)| (series, points(buckets))).collect()
    }
}

/// A name for each line: event, section and item, as much as tells it apart from the others; when that
/// is not enough, the source and the unit as well.
pub(super) fn names(lines: &[Described]) -> Vec<String> {
    const PARTS: [fn(&Described) -> &str; 6] =
        [|s| &s.event, |s| &s.section, |s| &s.item, |s| &s.source, |s| &s.unit, |s| &s.monitor];
    let differ = |part: fn(&Described) -> &str| lines.iter().any(|line| part(line) != part(&lines[0]));
    let name = |parts: &[fn(&Described) -> &str], line: &Described| {
        let texts: Vec<&str> = parts.iter().map(|part| part(line)).filter(|text| !text.is_empty()).collect();
        texts.join(" · ")
    };
    let mut parts: Vec<fn(&Described) -> &str> = Vec::new();
    for part in PARTS {
        let names: HashSet<String> = lines.iter().map(|line| name(&parts, line)).collect();
        if names.len() == lines.len() && !names.contains("") {
            break;
        }
        if lines.len() == 1 || differ(part) {
            parts.push(part);
        }
    }
    lines.iter().map(|line| name(&parts, line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(event: &str, section: &str, item: &str) -> Described {
        Described {
            id: 1,
            monitor: "default.m".to_owned(),
            source: "s".to_owned(),
            item: item.to_owned(),
            event: event.to_owned(),
            section: section.to_owned(),
            unit: "USD".to_owned(),
            schedule: false,
        }
    }

    #[test]
    fn a_line_is_called_by_as_much_as_tells_it_apart() {
        let named = |lines: &[Described]| names(lines);
        assert_eq!(named(&[described("Band", "A", "1")]), ["Band"]);
        assert_eq!(named(&[described("", "", "1")]), ["1"]);
        assert_eq!(named(&[described("X", "A", "1"), described("Y", "A", "1")]), ["X", "Y"]);
        assert_eq!(named(&[described("X", "A", "1"), described("X", "B", "1")]), ["A", "B"]);
        assert_eq!(
            named(&[described("X", "A", "1"), described("X", "A", "2"), described("X", "B", "1")]),
            ["A · 1", "A · 2", "B · 1"]
        );
        assert_eq!(
            named(&[described("X", "A", "1"), described("Y", "A", "2"), described("Y", "A", "1")]),
            ["X · 1", "Y · 2", "Y · 1"]
        );
        assert!(names(&[]).is_empty());
    }

    #[test]
    fn buckets_are_wide_enough_for_the_range() {
        for (range, points) in [
            (1, 1),
            (1_000, 500),
            (86_400_000, 500),
            (86_400_000 * 730, 500),
            (i64::MAX / 4, 2),
            (60_001, 61),
        ] {
            let width = width(range, points);
            // The worst place for the range to begin is just before the end of a bucket.
            let touched = (range - 1).div_euclid(width) + 2;
            assert!(points < 2 || touched <= points as i64 + 1, "{range} in {points}: {width} ms, {touched}");
            assert!(width < 86_400_000 || width % 86_400_000 == 0);
        }
        assert_eq!(width(86_400_000, 300), 300_000);
    }
}
