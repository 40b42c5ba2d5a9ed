//! Hourly figures of a series, packed by UTC day.
//!
//! Charts over months read days, not rows: a day is one row of the database of some 30 bytes an hour.

use pricemonitor_model::{Millis, Time};

use crate::error::{Error, Result};

/// Milliseconds of an hour.
pub(crate) const HOUR: Millis = 3_600_000;
/// First byte of a packed day.
const FORMAT: u8 = 1;

/// Sums over observations. Of a slot of a schedule, the latest price counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    /// Observations.
    pub(crate) rows: u64,
    /// Observations whose price counts: all of a quote, the latest of each slot.
    pub(crate) prices: u64,
    /// Observations with another price than the one before.
    pub(crate) changes: u64,
    /// When the last one was seen.
    pub(crate) last_seen: Time,
    /// Sum of the prices that count.
    pub(crate) sum: f64,
    /// Lowest and highest of them.
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Default for Figures {
    fn default() -> Figures {
        Figures {
            rows: 0,
            prices: 0,
            changes: 0,
            last_seen: Time::MIN,
            sum: 0.0,
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
        }
    }
}

impl Figures {
    /// Adds one observation.
    pub(crate) fn add(&mut self, value: f64, seen: Time, changed: bool, current: bool) {
        self.rows += 1;
        self.changes += u64::from(changed);
        self.last_seen = self.last_seen.max(seen);
        if current {
            self.price(value);
        }
    }

    /// Adds a price that counts.
    pub(crate) fn price(&mut self, value: f64) {
        self.prices += 1;
        self.sum += value;
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }

    /// Adds all of `other`.
    pub(crate) fn merge(&mut self, other: &Figures) {
        self.rows += other.rows;
        self.prices += other.prices;
        self.changes += other.changes;
        self.last_seen = self.last_seen.max(other.last_seen);
        self.sum += other.sum;
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
    }

    /// The average price; `None` without a price.
    pub(crate) fn average(&self) -> Option<f64> {
        (self.prices > 0).then(|| self.sum / self.prices as f64)
    }
}

/// The hour (since the epoch) of an instant.
pub(crate) fn hour_of(at: Time) -> i64 {
    at.millis().div_euclid(HOUR)
}

/// A UTC day's figures: hours since the epoch in rising order, each once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Day(pub(crate) Vec<(i64, Figures)>);

impl Day {
    /// The figures of an hour, made when there are none.
    pub(crate) fn hour(&mut self, hour: i64) -> &mut Figures {
        let at = match self.0.binary_search_by_key(&hour, |(hour, _)| *hour) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (hour, Figures::default()));
                at
            }
        };
        &mut self.0[at].1
    }

    /// Packs the day.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + self.0.len() * 36);
        out.push(FORMAT);
        for (hour, figures) in &self.0 {
            out.push(hour.rem_euclid(24) as u8);
            for count in [figures.rows, figures.prices, figures.changes] {
                varint(count, &mut out);
            }
            let after = figures.last_seen.millis() - hour * HOUR;
            varint(((after << 1) ^ (after >> 63)) as u64, &mut out);
            for number in [figures.sum, figures.low, figures.high] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out
    }

    /// Unpacks a day.
    ///
    /// # Errors
    /// Bytes that this program did not write.
    pub(crate) fn decode(day: i64, bytes: &[u8]) -> Result<Day> {
        let damaged = || Error::Storage(format!("the hourly figures of day {day} are damaged"));
        match bytes.split_first() {
            Some((&FORMAT, rest)) => read(day, rest).ok_or_else(damaged),
            Some((format, _)) => Err(Error::Newer(format!(
                "the hourly figures have format {format}, this program reads up to {FORMAT}: upgrade it"
            ))),
            None => Err(damaged()),
        }
    }
}

fn read(day: i64, mut rest: &[u8]) -> Option<Day> {
    let mut hours = Vec::with_capacity(24);
    while let Some((&hour, behind)) = rest.split_first() {
        rest = behind;
        let hour = day * 24 + i64::from(hour);
        let (rows, prices, changes) =
            (read_varint(&mut rest)?, read_varint(&mut rest)?, read_varint(&mut rest)?);
        let after = read_varint(&mut rest)?;
        let after = (after >> 1) as i64 ^ -((after & 1) as i64);
        let (sum, low, high) = (read_number(&mut rest)?, read_number(&mut rest)?, read_number(&mut rest)?);
        let last_seen = Time::from_millis(hour * HOUR + after);
        hours.push((hour, Figures { rows, prices, changes, last_seen, sum, low, high }));
    }
    Some(Day(hours))
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn read_number(rest: &mut &[u8]) -> Option<f64> {
    let (bytes, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(f64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_survives_packing_and_fits_a_page() {
        let mut day = Day::default();
        for hour in (0..24).rev() {
            let start = Time::from_millis((-3 * 24 + hour) * HOUR);
            for n in 0..720 {
                day.hour(-3 * 24 + hour).add(
                    f64::from(n) / 7.0 - 9.0,
                    start.plus(5000 * 719),
                    n % 2 == 0,
                    true,
                );
            }
            // Schedules are published long before.
            day.hour(-3 * 24 + hour).add(0.1, start.plus(-40 * HOUR), false, false);
        }
        let bytes = day.encode();
        assert!(bytes.len() < 1000, "{} bytes", bytes.len());
        assert_eq!(Day::decode(-3, &bytes).unwrap(), day);
        assert_eq!(day.0.len(), 24);
        assert_eq!(day.0[0].1.rows, 721);
        assert_eq!(day.0[0].1.prices, 720);
    }

    #[test]
    fn torn_bytes_are_an_error_and_a_higher_format_says_upgrade() {
        let mut day = Day::default();
        day.hour(5).add(1.5, Time::from_millis(5 * HOUR), true, true);
        let bytes = day.encode();
        for cut in 2..bytes.len() {
            assert!(matches!(Day::decode(0, &bytes[..cut]), Err(Error::Storage(_))), "{cut}");
        }
        assert!(matches!(Day::decode(0, &[]), Err(Error::Storage(_))));
        assert!(matches!(Day::decode(0, &[9]), Err(Error::Newer(_))));
        assert!(Day::decode(0, &[1, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]).is_err());
    }
}
