//! What the market's sources show, from the source function alone: nobody disturbs it here.

use pricemonitor_config::SourceSettings;
use pricemonitor_model::{Decimal, Time};
use pricemonitor_sources::{Context, Poll};

/// Every price of a source in its first `steps` steps: items with their prices, in order.
pub fn shown(settings: &SourceSettings, steps: u64) -> Vec<(String, Decimal)> {
    let mut source = pricemonitor_sources::build(settings, &Context::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut all = Vec::new();
    let mut checkpoint: Option<Vec<u8>> = None;
    for step in 0..steps {
        let looked = source.poll(Time::from_seconds(step as i64), checkpoint.as_deref());
        let Poll::Snapshot(snapshot) = runtime.block_on(looked).unwrap() else { panic!("no step {step}") };
        all.extend(snapshot.observations.into_iter().map(|seen| (seen.item.into_owned(), seen.price)));
        checkpoint = Some(snapshot.checkpoint);
    }
    all
}
