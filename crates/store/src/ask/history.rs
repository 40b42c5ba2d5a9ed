//! The lines of the history chart.

use ahash::HashMap;
use pricemonitor_model::{Millis, Time};

use super::lines::{Bucket, Buckets, Described, names, width};
use super::{Ask, Chosen, Group, Look, Span};
use crate::cells::{Figures, HOUR};
use crate::error::Result;
use crate::query::{Filter, History, Line, Point};

/// Most rows that are read one by one for a chart.
const MAX_ROWS: u64 = 150_000;
/// A range of at least so many hours may be drawn from hourly figures when it has more rows than that.
const ENOUGH_HOURS: i64 = 96;
/// Most buckets that are sampled for a shorter range with more rows than that.
const MAX_SAMPLES: i64 = 20_000;

/// What is known of a series before its points are read.
#[derive(Clone, Copy)]
struct Extent {
    sum: Figures,
    first_hour: i64,
    last_hour: i64,
}

/// How the points of the lines are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Points {
    /// Every price is a point.
    Single,
    /// Every price is read, and counts in its bucket.
    Bucketed(Millis),
    /// The last price of each bucket stands for it.
    Sampled(Millis),
    /// From the figures of whole hours.
    Hourly(Millis),
}

pub(crate) async fn history<A: Ask>(
    db: &A,
    filter: &Filter,
    max_lines: usize,
    max_points: usize,
) -> Result<History> {
    let mut look = db.begin_look().await?;
    let chosen = look.choose(filter).await?;
    let mut span = Span::of(filter.from, filter.to);
    let mut extents: HashMap<i64, Extent> = HashMap::default();
    look.figures(&chosen.ids(), span, Group::Series, &mut |series, (first_hour, last_hour), figures| {
        let extent =
            extents.entry(series).or_insert(Extent { sum: Figures::default(), first_hour, last_hour });
        extent.sum.merge(figures);
        extent.first_hour = extent.first_hour.min(first_hour);
        extent.last_hour = extent.last_hour.max(last_hour);
    })
    .await?;
    let mut lines: Vec<(Chosen, Extent)> = chosen
        .series
        .into_iter()
        .filter_map(|series| extents.get(&series.id).map(|extent| (series, *extent)))
        .collect();
    let matched = lines.len() as u64;
    lines.sort_by_key(|(series, extent)| (std::cmp::Reverse(extent.sum.last_seen), series.id));
    lines.truncate(max_lines);
    if lines.is_empty() || max_points == 0 {
        return Ok(History { lines: Vec::new(), matched, bucket: 0 });
    }
    span.from = span.from.max(lines.iter().map(|(_, e)| e.first_hour).min().unwrap_or(0) * HOUR);
    span.to = span.to.min((lines.iter().map(|(_, e)| e.last_hour).max().unwrap_or(0) + 1) * HOUR);
    let how = how(&lines, span, max_points);
    let ids: Vec<i64> = lines.iter().map(|(series, _)| series.id).collect();
    let mut points = read(&mut look, &ids, span, how).await?;
    let lines = look.describe(&ids).await?;
    let named = names(&lines);
    let line = |(series, name): (Described, String)| Line {
        series: series.id,
        name,
        points: points.remove(&series.id).unwrap_or_default(),
        unit: series.unit,
        schedule: series.schedule,
    };
    let bucket = match how {
        Points::Single => 0,
        Points::Bucketed(width) | Points::Sampled(width) | Points::Hourly(width) => width,
    };
    Ok(History { lines: lines.into_iter().zip(named).map(line).collect(), matched, bucket })
}

fn how(lines: &[(Chosen, Extent)], span: Span, max_points: usize) -> Points {
    let rows: u64 = lines.iter().map(|(_, extent)| extent.sum.rows).sum();
    let most = lines.iter().map(|(_, extent)| extent.sum.prices).max().unwrap_or_default();
    if rows <= MAX_ROWS && most <= max_points as u64 {
        return Points::Single;
    }
    let range = span.to - span.from;
    let fitting = width(range, max_points);
    if fitting >= HOUR {
        return Points::Hourly(fitting);
    }
    if rows <= MAX_ROWS {
        return Points::Bucketed(fitting);
    }
    if range >= ENOUGH_HOURS * HOUR {
        return Points::Hourly(HOUR);
    }
    let most_buckets = (MAX_SAMPLES / lines.len() as i64).max(2);
    let sampled = fitting.max(width(range, most_buckets as usize));
    if sampled >= HOUR { Points::Hourly(sampled) } else { Points::Sampled(sampled) }
}

async fn read(
    look: &mut impl Look,
    ids: &[i64],
    span: Span,
    how: Points,
) -> Result<HashMap<i64, Vec<Point>>> {
    let mut points: HashMap<i64, Vec<Point>> = HashMap::default();
    match how {
        Points::Single => {
            let single = |at, price| Point { at: Time::from_millis(at), price, low: price, high: price };
            look.prices(ids, span, None, &mut |series, at, price| {
                points.entry(series).or_default().push(single(at, price));
            })
            .await?;
            points.values_mut().for_each(|points| points.sort_by_key(|point| point.at));
        }
        Points::Bucketed(width) | Points::Sampled(width) => {
            let mut buckets = Buckets::new(width);
            let sampled = matches!(how, Points::Sampled(_)).then_some(width);
            look.prices(ids, span, sampled, &mut |series, at, price| {
                buckets.add(series, at, Bucket::of(price));
            })
            .await?;
            points = buckets.all();
        }
        Points::Hourly(width) => {
            let mut buckets = Buckets::new(width);
            // Always a whole number of hours.
            let group = Group::Hours(width / HOUR);
            look.figures(ids, span, group, &mut |series, (hour, _), f| {
                if f.prices > 0 {
                    let bucket = Bucket { prices: f.prices, sum: f.sum, low: f.low, high: f.high };
                    buckets.add(series, hour * HOUR, bucket);
                }
            })
            .await?;
            points = buckets.all();
        }
    }
    Ok(points)
}
