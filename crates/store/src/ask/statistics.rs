//! The figures on top of the page.

use ahash::HashMap;

use super::{Ask, Group, Look as _, Span};
use crate::cells::Figures;
use crate::error::Result;
use crate::query::{Filter, Statistics};

pub(crate) async fn statistics<A: Ask>(db: &A, filter: &Filter) -> Result<Statistics> {
    let mut look = db.begin_look().await?;
    let mut chosen = look.choose(filter).await?;
    let mut sums: HashMap<i64, Figures> = HashMap::default();
    let span = Span::of(filter.from, filter.to);
    look.figures(&chosen.ids(), span, Group::Series, &mut |series, _, figures| {
        sums.entry(series).or_default().merge(figures);
    })
    .await?;
    let alerts = look.count_alerts(filter).await?;

    let mut all = Figures::default();
    let mut listings = 0;
    for series in &chosen.series {
        if let Some(sum) = sums.get(&series.id) {
            all.merge(sum);
            listings += if series.schedule { sum.prices } else { 1 };
        }
    }
    let prices = |id| sums.get(&id).map_or(0, |sum| sum.prices);
    let unit = chosen.keep_most_frequent_unit(prices).to_owned();
    let mut common = Figures::default();
    chosen.series.iter().filter_map(|series| sums.get(&series.id)).for_each(|sum| common.merge(sum));
    let priced = common.prices > 0;
    Ok(Statistics {
        unit: if all.rows > 0 { unit } else { String::new() },
        listings,
        observations: all.rows,
        average: common.average(),
        lowest: priced.then_some(common.low),
        highest: priced.then_some(common.high),
        changes: all.changes,
        alerts,
        last_observed: (all.rows > 0).then_some(all.last_seen),
    })
}
