//! How often which prices were seen.

use ahash::HashMap;
use futures::TryStreamExt as _;
use sqlx::Row as _;

use super::super::failure::failure;
use super::super::{Sqlite, Tx};
use super::choose;
use super::figures::{Span, figures};
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

impl Sqlite {
    pub(crate) async fn distribution(&self, filter: &Filter, bars: usize) -> Result<Vec<Bar>> {
        let mut tx = self.look().await?;
        let mut chosen = choose(&mut tx, filter).await?;
        let span = Span::of(filter.from, filter.to);
        let mut sums: HashMap<i64, Figures> = HashMap::default();
        let mut hours: Vec<(i64, Figures)> = Vec::new();
        figures(&mut tx, &chosen.ids()?, span, |series, _, figures| {
            sums.entry(series).or_default().merge(figures);
            hours.push((series, *figures));
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
        let mut counted =
            Bars { low: all.low, width: (all.high - all.low) / bars as f64, counts: vec![0; bars] };
        if all.prices <= EXACT {
            count(&mut tx, &chosen.ids()?, span, &mut counted).await?;
        } else {
            hours.iter().filter(|(id, _)| sums.contains_key(id)).for_each(|(_, hour)| counted.hour(hour));
        }
        let edge = |at: usize| if at == bars { all.high } else { all.low + counted.width * at as f64 };
        let bar = |(at, count): (usize, &u64)| Bar { from: edge(at), to: edge(at + 1), count: *count };
        Ok(counted.counts.iter().enumerate().map(bar).collect())
    }
}

/// Counts every price. A series' prices come as one text: a row of an answer costs more than a price.
async fn count(tx: &mut Tx, ids: &str, span: Span, bars: &mut Bars) -> Result<()> {
    let mut texts = sqlx::query(
        "SELECT (SELECT group_concat(p.price, ';') FROM price_history p
                 WHERE p.series = j.value AND p.at >= ?2 AND p.at < ?3 AND p.current = 1)
         FROM json_each(?1) j",
    )
    .bind(ids)
    .bind(span.from)
    .bind(span.to)
    .fetch(&mut **tx);
    while let Some(row) = texts.try_next().await.map_err(|error| failure("cannot count prices", &error))? {
        let text: Option<&str> = row.get(0);
        let prices = text.unwrap_or_default().split(';').filter_map(|price| price.parse::<f64>().ok());
        prices.for_each(|price| bars.add(price, 1));
    }
    Ok(())
}
