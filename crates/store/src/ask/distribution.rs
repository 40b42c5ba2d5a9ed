//! How often which prices were seen.

use ahash::HashMap;

use super::{Ask, Group, Look as _, Span};
use crate::cells::Figures;
use crate::error::Result;
use crate::query::{Bar, Filter};

/// Most prices that are counted one by one.
const EXACT: u64 = 100_000;

/// Counts prices in bars of equal width.
struct Bars {
    low: f64,
    width: f64,
    counts: Vec<u64>,
}

impl Bars {
    fn add(&mut self, price: f64, count: u64) {
        let at = ((price - self.low) / self.width) as usize;
        let last = self.counts.len() - 1;
        // The highest price falls into the last bar; so does 0/0 when all prices are equal.
        self.counts[at.min(last)] += count;
    }

    /// An hour stands for its prices: lowest and highest once each, the others at their average.
    fn hour(&mut self, hour: &Figures) {
        match hour.prices {
            0 => {}
            1 => self.add(hour.sum, 1),
            prices => {
                self.add(hour.low, 1);
                self.add(hour.high, 1);
                if prices > 2 {
                    let others = (hour.sum - hour.low - hour.high) / (prices - 2) as f64;
                    self.add(others.clamp(hour.low, hour.high), prices - 2);
                }
            }
        }
    }
}

pub(crate) async fn distribution<A: Ask>(db: &A, filter: &Filter, bars: usize) -> Result<Vec<Bar>> {
    let mut look = db.begin_look().await?;
    let mut chosen = look.choose(filter).await?;
    let span = Span::of(filter.from, filter.to);
    let mut sums: HashMap<i64, Figures> = HashMap::default();
    look.figures(&chosen.ids(), span, Group::Series, &mut |series, _, figures| {
        sums.entry(series).or_default().merge(figures);
    })
    .await?;
    chosen.keep_most_frequent_unit(|id| sums.get(&id).map_or(0, |sum| sum.prices));
    sums.retain(|id, _| chosen.has(*id));
    let mut all = Figures::default();
    sums.values().for_each(|sum| all.merge(sum));
    if all.prices == 0 || bars == 0 {
        return Ok(Vec::new());
    }
    let bars = if all.low < all.high { bars } else { 1 };
    let mut counted = Bars { low: all.low, width: (all.high - all.low) / bars as f64, counts: vec![0; bars] };
    if all.prices <= EXACT {
        look.values(&chosen.ids(), span, &mut |price| counted.add(price, 1)).await?;
    } else {
        look.figures(&chosen.ids(), span, Group::Hours(1), &mut |_, _, hour| counted.hour(hour)).await?;
    }
    let edge = |at: usize| if at == bars { all.high } else { all.low + counted.width * at as f64 };
    let bar = |(at, count): (usize, &u64)| Bar { from: edge(at), to: edge(at + 1), count: *count };
    Ok(counted.counts.iter().enumerate().map(bar).collect())
}
