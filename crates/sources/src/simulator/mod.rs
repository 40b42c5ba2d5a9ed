//! The simulated concert marketplace.
//!
//! Every poll is one *step* and shows all listings that are on sale at it. What a listing costs is
//! a pure function of (seed, listing, step), see [`walk`]; the step of the next poll is the
//! checkpoint. So a run can be stopped anywhere and goes on with the same prices, and a poll costs
//! the same at step ten as at step ten million.

mod names;
mod walk;

use pricemonitor_config::SimulatorSpec;
use pricemonitor_model::{Availability, Decimal, Labels, Observation, Time};
use serde::{Deserialize, Serialize};

use crate::source::{Poll, Snapshot, Source, SourceError};
use walk::{Cents, mix};

/// Steps between two changes of how many listings of an event are on sale.
const EPOCH: u64 = 240;
/// Most listings that an event may have.
const MOST_LISTINGS: u32 = 1_000;

/// The simulated marketplace; see the module.
pub(crate) struct Simulator {
    source: String,
    currency: String,
    seed: u64,
    /// Fewest and most listings of an event that are on sale at a time.
    count: (u64, u64),
    /// Sorted by item, event by event.
    events: Vec<Event>,
}

struct Event {
    labels: Labels<'static>,
    key: u64,
    /// In the order of their items.
    listings: Vec<Listing>,
}

struct Listing {
    item: String,
    section: &'static str,
    row: &'static str,
    /// Number within the event, from 0: the first ones are on sale the most.
    number: u64,
    key: u64,
    /// Price before fees around which it moves.
    around: Cents,
    /// Fee in thousandths of the price.
    fee: i64,
    quantity: u32,
}

/// What a poll hands to the next one.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    v: u32,
    kind: String,
    step: u64,
}

const KIND: &str = "simulator";

impl Simulator {
    /// A marketplace as the manifest describes it. Counts outside their ranges are held inside.
    pub(crate) fn new(source: &str, spec: &SimulatorSpec) -> Simulator {
        let most = spec.listings_per_event.max.clamp(1, MOST_LISTINGS);
        let fewest = spec.listings_per_event.min.clamp(1, most);
        let width = spec.events.max(1).ilog10().max(1) as usize + 1;
        let events = (0..spec.events).map(|at| event(spec.seed, at, width, most)).collect();
        Simulator {
            source: source.to_owned(),
            currency: spec.currency.clone(),
            seed: spec.seed,
            count: (u64::from(fewest), u64::from(most)),
            events,
        }
    }

    /// Everything that is on sale at `step`.
    fn at_step(&self, step: u64, at: Time) -> Vec<Observation<'static>> {
        let mut all = Vec::with_capacity(self.events.len() * self.count.1 as usize);
        for event in &self.events {
            let on_sale = self.on_sale(event, step);
            let here = event.listings.iter().filter(|listing| listing.number < on_sale);
            all.extend(here.map(|listing| self.observe(event, listing, step, at)));
        }
        all
    }

    /// How many listings of the event are on sale: another number each epoch, and each event has
    /// its epochs at other steps.
    fn on_sale(&self, event: &Event, step: u64) -> u64 {
        let (fewest, most) = self.count;
        let epoch = step.saturating_add(event.key % EPOCH) / EPOCH;
        fewest + mix(self.seed, event.key, epoch) % (most - fewest + 1)
    }

    fn observe(&self, event: &Event, listing: &Listing, step: u64, at: Time) -> Observation<'static> {
        let base = walk::price(listing.key, listing.around, step);
        let total = base + (base * listing.fee + 500) / 1000;
        let mut o = Observation::new(
            self.source.clone(),
            listing.item.clone(),
            Decimal::new(total, 2),
            self.currency.clone(),
            at,
        );
        o.labels = event.labels.clone();
        o.labels.set("section", listing.section);
        o.labels.set("row", listing.row);
        o.base = Some(Decimal::new(base, 2));
        o.quantity = Some(listing.quantity);
        o.availability = Some(Availability::InStock);
        o
    }
}

fn event(seed: u64, at: u32, width: usize, listings: u32) -> Event {
    let key = mix(seed, 0xe7e2, u64::from(at));
    let about = names::event(seed, at);
    let labels = Labels::new().with("event", about.title).with("venue", about.venue);
    let number = at + 1;
    let mut listings: Vec<Listing> = (0..listings)
        .map(|n| listing(key, u64::from(n), &format!("event-{number:0width$}"), about.level))
        .collect();
    listings.sort_by(|a, b| a.item.cmp(&b.item));
    Event { labels, key, listings }
}

fn listing(event: u64, number: u64, prefix: &str, level: i64) -> Listing {
    let key = mix(event, 0x1157, number);
    // The first listings walk through the sections, so that even two of them differ.
    let place = (mix(event, 0x5ec, 0) + number) % names::SECTIONS.len() as u64;
    let section = &names::SECTIONS[place as usize];
    let spread = 850 + (mix(key, 1, 0) % 301) as i64;
    Listing {
        item: format!("{prefix}/{}/{}", section.slug, number + 1),
        section: section.name,
        row: names::ROWS[(mix(key, 2, 0) % names::ROWS.len() as u64) as usize],
        number,
        key,
        around: section.cents * level / 100 * spread / 1000,
        fee: 120 + (mix(key, 3, 0) % 131) as i64,
        quantity: 1 + (mix(key, 4, 0) % 6) as u32,
    }
}

#[async_trait::async_trait]
impl Source for Simulator {
    async fn poll(&mut self, at: Time, checkpoint: Option<&[u8]>) -> Result<Poll, SourceError> {
        let step = match checkpoint {
            None => 0,
            Some(bytes) => match serde_json::from_slice::<Checkpoint>(bytes) {
                Ok(known) if known.v == 1 && known.kind == KIND => known.step,
                _ => {
                    tracing::warn!(
                        source = self.source,
                        "the checkpoint is not a simulator's: it begins at step 0"
                    );
                    0
                }
            },
        };
        let next = Checkpoint { v: 1, kind: KIND.to_owned(), step: step.saturating_add(1) };
        let checkpoint = serde_json::to_vec(&next)
            .map_err(|error| SourceError::malformed(format!("the step cannot be written: {error}")))?;
        let observations = self.at_step(step, at);
        Ok(Poll::Snapshot(Snapshot { observations, complete: true, checkpoint }))
    }
}

#[cfg(test)]
mod tests;
