//! Hourly figures, kept in the same transaction as the rows they are of.

use ahash::{HashMap, HashSet};
use pricemonitor_model::Time;
use sqlx::Row as _;

use super::super::Tx;
use super::super::failure::failure;
use super::super::many::{pieces, values};
use super::series::{Met, Prepared};
use super::{entries, json};
use crate::batch::SlotKey;
use crate::cells::{Day, Figures, HOUR, hour_of};
use crate::error::Result;

/// Days per statement.
const SIZES: [usize; 4] = [1000, 100, 10, 1];

/// Adds the rows' figures to their hours. Hours in which a stored price was revised are summed up anew.
pub(super) async fn update(
    tx: &mut Tx,
    series: &[Met],
    rows: &[Prepared],
    demoted: &[SlotKey],
) -> Result<()> {
    let anew: HashSet<(usize, i64)> = demoted.iter().map(|(place, at)| (*place, hour_of(*at))).collect();
    let mut days: HashMap<(usize, i64), Day> = HashMap::default();
    for row in rows {
        let hour = hour_of(row.at);
        if !anew.contains(&(row.place, hour)) {
            let day = days.entry((row.place, hour.div_euclid(24))).or_default();
            day.hour(hour).add(row.drawn.1, row.observed_at, row.changed, row.current);
        }
    }
    for (place, hour) in &anew {
        days.entry((*place, hour.div_euclid(24))).or_default();
    }
    let mut days: Vec<((usize, i64), Day)> = days.into_iter().collect();
    // In the order of the table, so that neighbours are written together.
    days.sort_unstable_by_key(|((place, day), _)| (series[*place].id, *day));
    merge(tx, series, &mut days).await?;
    if !anew.is_empty() {
        sum_up(tx, series, anew, &mut days).await?;
    }
    write(tx, series, &days).await
}

/// Adds what is stored of the days. They come as one text: a row of an answer costs more than a day.
async fn merge(tx: &mut Tx, series: &[Met], days: &mut [((usize, i64), Day)]) -> Result<()> {
    let keys: Vec<(i64, i64)> = days.iter().map(|((place, day), _)| (series[*place].id, *day)).collect();
    let stored: Option<String> = sqlx::query_scalar(
        "SELECT group_concat(j.key || ' ' || hex(d.cells), ';')
         FROM json_each(?1) j CROSS JOIN price_hourly d
         ON d.series = j.value ->> 0 AND d.day = j.value ->> 1",
    )
    .bind(json(&keys)?)
    .fetch_one(&mut **tx)
    .await
    .map_err(|error| failure("cannot read hourly figures", &error))?;
    let mut bytes = Vec::new();
    for (place, cells) in entries(stored.as_deref()) {
        let Some(((_, number), day)) = days.get_mut(place) else { continue };
        unhex(cells, &mut bytes);
        let mut whole = Day::decode(*number, &bytes)?;
        for (hour, figures) in &day.0 {
            whole.hour(*hour).merge(figures);
        }
        *day = whole;
    }
    Ok(())
}

/// The bytes behind SQLite's `hex()`. What it cannot have written ends the bytes, and fails to be decoded.
fn unhex(text: &str, bytes: &mut Vec<u8>) {
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
    bytes.clear();
    let pairs = text.as_bytes().chunks_exact(2);
    bytes.extend(pairs.map_while(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)));
}

/// Replaces the figures of some hours by those of the rows, which are all stored by now.
async fn sum_up(
    tx: &mut Tx,
    series: &[Met],
    hours: HashSet<(usize, i64)>,
    days: &mut [((usize, i64), Day)],
) -> Result<()> {
    let hours: Vec<(usize, i64)> = hours.into_iter().collect();
    let spans: Vec<(i64, i64, i64)> =
        hours.iter().map(|(place, hour)| (series[*place].id, hour * HOUR, (hour + 1) * HOUR)).collect();
    let rows = sqlx::query(
        "SELECT j.key, p.value, p.at + p.seen, p.changed, p.current
         FROM json_each(?1) j CROSS JOIN price_history p
         ON p.series = j.value ->> 0 AND p.at >= j.value ->> 1 AND p.at < j.value ->> 2",
    )
    .bind(json(&spans)?)
    .fetch_all(&mut **tx)
    .await
    .map_err(|error| failure("cannot sum up revised hours", &error))?;
    let mut sums: Vec<Figures> = vec![Figures::default(); hours.len()];
    for row in rows {
        let place = usize::try_from(row.get::<i64, _>(0)).unwrap_or(usize::MAX);
        if let Some(sum) = sums.get_mut(place) {
            sum.add(row.get(1), Time::from_millis(row.get(2)), row.get(3), row.get(4));
        }
    }
    for ((place, hour), sum) in hours.into_iter().zip(sums) {
        let key = (series[place].id, hour.div_euclid(24));
        if let Ok(at) = days.binary_search_by_key(&key, |((place, day), _)| (series[*place].id, *day)) {
            *days[at].1.hour(hour) = sum;
        }
    }
    Ok(())
}

async fn write(tx: &mut Tx, series: &[Met], days: &[((usize, i64), Day)]) -> Result<()> {
    for piece in pieces(days, &SIZES) {
        let mut sql = values(
            "INSERT OR ROLLBACK INTO price_hourly (series, day, cells) VALUES",
            "(?,?,?)",
            piece.len(),
        );
        sql.push_str(" ON CONFLICT (series, day) DO UPDATE SET cells = excluded.cells");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for ((place, day), cells) in piece {
            query = query.bind(series[*place].id).bind(*day).bind(cells.encode());
        }
        query.execute(&mut **tx).await.map_err(|error| failure("cannot store hourly figures", &error))?;
    }
    Ok(())
}
