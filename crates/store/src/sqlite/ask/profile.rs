//! Average prices by day of the week and hour of the day.

use ahash::HashMap;
use jiff::tz::TimeZone;
use pricemonitor_model::Time;

use super::super::Sqlite;
use super::choose;
use super::figures::{Span, figures};
use crate::cells::HOUR;
use crate::error::{Error, Result};
use crate::query::{Filter, HourCell};

impl Sqlite {
    pub(crate) async fn hour_profile(&self, filter: &Filter, time_zone: &str) -> Result<Vec<HourCell>> {
        let zone = TimeZone::get(time_zone).map_err(|_| {
            let name: String = time_zone.chars().take(64).collect();
            Error::Question(format!("`{name}` is not a time zone such as Europe/Helsinki"))
        })?;
        let mut tx = self.look().await?;
        let mut chosen = choose(&mut tx, filter).await?;
        let mut hours: HashMap<(usize, i64), (u64, f64)> = HashMap::default();
        let span = Span::of(filter.from, filter.to);
        // One unit is the rule; then the sums of all series can be kept together.
        let unit: HashMap<i64, usize> = chosen.series.iter().map(|series| (series.id, series.unit)).collect();
        let mut prices: HashMap<i64, u64> = HashMap::default();
        figures(&mut tx, &chosen.ids()?, span, |series, hour, figures| {
            let unit = unit.get(&series).copied().unwrap_or_default();
            let sum = hours.entry((unit, hour)).or_default();
            *sum = (sum.0 + figures.prices, sum.1 + figures.sum);
            *prices.entry(series).or_default() += figures.prices;
        })
        .await?;
        chosen.keep_most_frequent_unit(|id| prices.get(&id).copied().unwrap_or_default());
        let wanted = chosen.series.first().map(|series| series.unit);

        let mut cells = [(0u64, 0f64); 7 * 24];
        for ((unit, hour), (prices, sum)) in hours {
            if Some(unit) == wanted {
                let local = zone.to_datetime(Time::from_millis(hour * HOUR).to_jiff());
                let weekday = local.weekday().to_monday_zero_offset() as usize;
                let cell = &mut cells[weekday * 24 + local.hour() as usize];
                *cell = (cell.0 + prices, cell.1 + sum);
            }
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
}
