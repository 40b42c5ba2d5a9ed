//! Average prices by day of the week and hour of the day.

use ahash::HashMap;
use jiff::tz::TimeZone;
use pricemonitor_model::Time;

use super::{Ask, Group, Look as _, Span};
use crate::cells::HOUR;
use crate::error::{Error, Result};
use crate::query::{Filter, HourCell};

pub(crate) async fn hour_profile<A: Ask>(db: &A, filter: &Filter, time_zone: &str) -> Result<Vec<HourCell>> {
    let zone = TimeZone::get(time_zone).map_err(|_| {
        let name: String = time_zone.chars().take(64).collect();
        Error::Question(format!("`{name}` is not a time zone such as Europe/Helsinki"))
    })?;
    let mut look = db.begin_look().await?;
    let chosen = look.choose(filter).await?;
    let span = Span::of(filter.from, filter.to);
    // One unit is the rule; the sums of all its series are kept together.
    let mut units: Vec<HashMap<i64, (u64, f64)>> = vec![HashMap::default(); chosen.units.len()];
    for (unit, hours) in units.iter_mut().enumerate() {
        let ids: Vec<i64> = chosen.series.iter().filter(|s| s.unit == unit).map(|s| s.id).collect();
        look.figures(&ids, span, Group::Together, &mut |_, (hour, _), figures| {
            let sum = hours.entry(hour).or_default();
            *sum = (sum.0 + figures.prices, sum.1 + figures.sum);
        })
        .await?;
    }
    let counts: Vec<u64> = units.iter().map(|hours| hours.values().map(|(prices, _)| prices).sum()).collect();
    let hours = chosen.most_frequent(&counts).map(|unit| std::mem::take(&mut units[unit]));

    let mut cells = [(0u64, 0f64); 7 * 24];
    for (hour, (prices, sum)) in hours.unwrap_or_default() {
        let local = zone.to_datetime(Time::from_millis(hour * HOUR).to_jiff());
        let weekday = local.weekday().to_monday_zero_offset() as usize;
        let cell = &mut cells[weekday * 24 + local.hour() as usize];
        *cell = (cell.0 + prices, cell.1 + sum);
    }
    let filled = cells.iter().enumerate().filter(|(_, (prices, _))| *prices > 0);
    let cell = |(at, (prices, sum)): (usize, &(u64, f64))| HourCell {
        weekday: (at / 24) as u8 + 1,
        hour: (at % 24) as u8,
        average: sum / *prices as f64,
        count: *prices,
    };
    Ok(filled.map(cell).collect())
}
