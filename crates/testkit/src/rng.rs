//! Random numbers that a failing test can be repeated with.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// SplitMix64: small, good enough for choosing moments, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Starts from `seed`.
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// Starts from the variable `PRICEMONITOR_SEED`, else from the clock, and prints which, so that a
    /// failure can be repeated.
    pub fn announced(test: &str) -> Rng {
        let given = std::env::var("PRICEMONITOR_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64)
        });
        println!("{test}: repeat with PRICEMONITOR_SEED={seed}");
        Rng(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of `low..high`; `low` when the range is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next_u64().checked_rem(high.saturating_sub(low)).unwrap_or(0)
    }

    /// A time of `low..high` milliseconds.
    pub fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_within_the_range() {
        let (mut one, mut two) = (Rng::new(7), Rng::new(7));
        for _ in 0..1000 {
            let number = one.between(5, 9);
            assert_eq!(number, two.between(5, 9));
            assert!((5..9).contains(&number));
        }
        assert_eq!(one.between(4, 4), 4);
    }
}
