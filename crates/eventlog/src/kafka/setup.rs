//! Making the topics of a monitor, and the mark that says whose they are.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use futures::executor::block_on;
use pricemonitor_model::MonitorId;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::asker::{Asker, Shape};
use super::client::Connection;
use super::life;
use super::mark::{FORMAT, MARK, Mark, read_mark};
use super::settings::{self, Difference, Setup};
use super::transaction::Transactions;
use super::trouble::explain;
use crate::layout::TOPICS;
use crate::{Error, Layout, Result, Topic};

/// Longest wait for a topic to be made or deleted.
const MAKE: Duration = Duration::from_secs(30);
/// How often the mark is tried to be written while other setups of the monitor run, and the growth of the wait.
const TRIES: u32 = 8;
const AGAIN: Duration = Duration::from_millis(100);

/// What a setup did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetUp {
    /// Topics that were made.
    pub made: Vec<String>,
    /// Where topics that existed before are not as wanted. They were not changed.
    pub differences: Vec<Difference>,
    /// Why the settings of topics could not be compared, if they could not.
    pub not_compared: Option<String>,
    /// The monitor that the topics belonged to until now; only with [`Setup::adopt`].
    pub adopted_from: Option<String>,
    /// The raw topic, if another tool had deleted it and made it anew: it has another life from now on.
    pub begun_anew: Option<String>,
}

/// Makes what is missing, and says what it made and what is not as wanted. What exists is never changed. May run several
/// times at once: all agree on one life of the raw topic. One that another tool has made anew gets another life, as one that
/// is made here.
///
/// # Errors
/// [`Error::Position`] for a topic with other partitions, of another monitor, or with records and without a mark
/// (see [`Setup::adopt`]), and when one is gone that the others cannot do without; [`Error::Refused`] when the cluster does not let this user in or not make topics;
/// [`Error::Retry`] when the cluster cannot be reached within ten seconds.
pub fn setup(connection: &Connection, id: &MonitorId, layout: &Layout, setup: &Setup) -> Result<SetUp> {
    let asker = Asker::new(connection, id)?;
    let existing = existing(&asker, id, layout)?;
    let known = known_mark(&asker, id, layout, setup, &existing)?;
    let begun_anew = made_anew(&asker, id, layout, known.as_ref(), &existing)?;
    if known.is_some() && !setup.adopt && begun_anew.is_none() {
        refuse_losses(&asker, id, layout, &existing)?;
    }
    let before = known.as_ref().map(|mark| mark.raw_id.clone()).unwrap_or_default();
    let maker = Maker { asker: &asker, admin: admin(connection)?, id, layout, setup, before };
    let mut result = SetUp { begun_anew, ..SetUp::default() };
    let missing = TOPICS.iter().zip(&existing).filter(|(_, shape)| shape.is_none());
    let missing: Vec<Topic> = missing.map(|((topic, _, _), _)| *topic).collect();
    for topic in missing.iter().filter(|topic| **topic != Topic::Raw) {
        result.made.push(maker.make(*topic)?);
    }
    maker.marked(connection, false)?;
    if missing.contains(&Topic::Raw) {
        result.made.push(maker.make(Topic::Raw)?);
        // Nobody mints another life from here on, and whoever was about to has lost its transaction.
        maker.marked(connection, true)?;
    }
    let found: Vec<(Topic, String, Shape)> = TOPICS
        .iter()
        .zip(&existing)
        .filter_map(|((topic, _, _), shape)| Some((*topic, layout.name(id, *topic), (*shape)?)))
        .collect();
    (result.differences, result.not_compared) = settings::compare(&maker.admin, &found, setup);
    result.adopted_from =
        known.as_ref().map(|mark| &mark.monitor).filter(|owner| *owner != id.as_str()).cloned();
    Ok(result)
}

/// What makes topics and their mark.
struct Maker<'s> {
    asker: &'s Asker,
    admin: AdminClient<DefaultClientContext>,
    id: &'s MonitorId,
    layout: &'s Layout,
    setup: &'s Setup,
    /// The id of the raw topic by the mark that was there at the begin; empty when there was none.
    before: String,
}

impl Maker<'_> {
    /// Makes a topic that was missing. What it is called.
    fn make(&self, topic: Topic) -> Result<String> {
        let (name, wanted) = (self.layout.name(self.id, topic), self.layout.partitions(topic));
        make(&self.admin, &name, topic, wanted, self.setup)?;
        let made = wait_for(self.asker, &name, wanted)?;
        if self.setup.replication.is_none() {
            settings::in_sync(&self.admin, &name, topic, self.setup, made)?;
        }
        Ok(name)
    }

    /// Sees to it that there is a mark, while other setups may be about the same.
    fn marked(&self, connection: &Connection, raw_is_there: bool) -> Result<()> {
        let mut tries = 0;
        loop {
            match self.mark(connection, raw_is_there) {
                // Another setup of this monitor came in between and has written the mark, or this one does; or the
                // cluster is slow to answer.
                Err(Error::Fenced(_) | Error::Ambiguous(_) | Error::Retry(_)) if tries < TRIES => tries += 1,
                written => return written,
            }
            std::thread::sleep(AGAIN * tries);
        }
    }

    /// Writes the mark where there is none, and one of a new life before the raw topic is made: a setup that dies
    /// between the two leaves no raw topic with the life of the one before it. The id of the topic is added when it is made.
    ///
    /// Only the last one who came counts, and whether the raw topic exists is asked after that: who finds it there keeps
    /// the life there is, if it is the topic that has it. So no life changes once a setup has [made](Maker::make) the topic
    /// and came here again.
    fn mark(&self, connection: &Connection, raw_is_there: bool) -> Result<()> {
        let Maker { asker, id, layout, .. } = self;
        // Whoever else sets this monitor up is fenced from here on.
        let transactions = Transactions::open(connection, &format!("{id}.setup"))?;
        let known = read_mark(asker, id, layout)?;
        if let Some(known) = &known {
            if self.setup.adopt { known.is_known(id, layout) } else { known.belongs_to(id, layout) }?;
        }
        let raw = layout.name(id, Topic::Raw);
        let raw_is_there = raw_is_there || asker.topic(&raw)?.is_some();
        let raw_id = if raw_is_there { self.raw_id(&raw, known.as_ref())? } else { String::new() };
        let same = known.filter(|known| raw_is_there && known.is_life_of(&raw, &raw_id));
        let (incarnation, raw_id) = match same {
            Some(known) if known.is_complete(id, &raw, &raw_id) => return Ok(()),
            // Who takes topics over takes their records over: they keep their life.
            Some(known) if raw_id.is_empty() => (known.incarnation, known.raw_id),
            Some(known) => (known.incarnation, raw_id),
            // 53 bits, so that the number survives a program that reads JSON numbers as doubles.
            None => ((RandomState::new().hash_one(std::process::id()) & 0x1f_ffff_ffff_ffff).max(1), raw_id),
        };
        let topic = layout.name(id, Topic::Checkpoints);
        let (monitor, partitions) = (id.to_string(), layout.partitions);
        let mark = Mark { format: FORMAT, monitor, partitions, incarnation, raw, raw_id };
        let bytes = serde_json::to_vec(&mark)
            .map_err(|error| Error::Worker(format!("the mark cannot be written: {error}")))?;
        transactions.begin()?;
        transactions.send(&topic, Some(0), Some(MARK), Some(&bytes))?;
        transactions.commit_alone()?;
        Ok(())
    }

    /// The id of the raw topic that is there; empty when the cluster tells none. Doubtful is one that contradicts the mark,
    /// and that of the topic which was there before when the mark has none yet.
    fn raw_id(&self, raw: &str, known: Option<&Mark>) -> Result<String> {
        let known = known.filter(|known| known.names(raw) && !known.raw_id.is_empty());
        let doubtful = |told: &str| known.map_or(told == self.before, |known| told != known.raw_id);
        let told = life::id_of(self.asker, raw, doubtful)?.unwrap_or_default();
        if known.is_none() && !told.is_empty() && told == self.before {
            return Err(Error::Retry(format!(
                "the cluster still tells the id of the `{raw}` that was there before ({told})"
            )));
        }
        Ok(told)
    }
}

/// What exists of the topics, in the order of [`TOPICS`].
fn existing(asker: &Asker, id: &MonitorId, layout: &Layout) -> Result<Vec<Option<Shape>>> {
    TOPICS
        .iter()
        .map(|(topic, _, _)| {
            let (name, wanted) = (layout.name(id, *topic), layout.partitions(*topic));
            match asker.topic(&name)? {
                Some(found) if found.partitions != wanted => Err(Error::Position(format!(
                    "`{name}` exists with {} partitions, the manifest says {wanted}: nothing was changed; set \
                     `partitions: {}`, or use other topics",
                    found.partitions, found.partitions
                ))),
                found => Ok(found),
            }
        })
        .collect()
}

/// The mark there is, if it is this monitor's or may be taken over. Topics that have records and no mark may be
/// somebody else's too: that they are called by a name of the manifest says nothing.
fn known_mark(
    asker: &Asker,
    id: &MonitorId,
    layout: &Layout,
    setup: &Setup,
    existing: &[Option<Shape>],
) -> Result<Option<Mark>> {
    let known = match existing[Topic::Checkpoints as usize] {
        Some(_) => read_mark(asker, id, layout)?,
        None => None,
    };
    if let Some(mark) = known {
        if setup.adopt { mark.is_known(id, layout) } else { mark.belongs_to(id, layout) }?;
        let raw = layout.name(id, Topic::Raw);
        if !mark.names(&raw) && existing[Topic::Raw as usize].is_some() && !setup.adopt {
            return Err(Error::Position(format!(
                "`{raw}` exists, and the raw topic of {id} is `{}` so far: change it back, use a name that is free, or \
                 take it over by `pricemonitor setup --adopt`",
                mark.raw
            )));
        }
        return Ok(Some(mark));
    }
    for topic in [Topic::Raw, Topic::Processed, Topic::Alerts, Topic::State] {
        let Some(shape) = existing[topic as usize].filter(|_| !setup.adopt) else { continue };
        let name = layout.name(id, topic);
        for partition in 0..shape.partitions {
            let (first, end) = asker.ends(&name, partition)?;
            if end > first {
                return Err(Error::Position(format!(
                    "`{name}` exists and has records, and nothing says that they are of {id}: if it may have them, run \
                     `pricemonitor setup --adopt`; else use other topic names"
                )));
            }
        }
    }
    Ok(None)
}

/// The raw topic, if it has the name of the one that the mark is of, and is another one.
fn made_anew(
    asker: &Asker,
    id: &MonitorId,
    layout: &Layout,
    known: Option<&Mark>,
    existing: &[Option<Shape>],
) -> Result<Option<String>> {
    let raw = layout.name(id, Topic::Raw);
    let Some(mark) = known.filter(|mark| mark.names(&raw) && existing[Topic::Raw as usize].is_some()) else {
        return Ok(None);
    };
    Ok(life::another(asker, &raw, &mark.raw_id)?.map(|_| raw))
}

/// Refuses to make a topic anew that is gone while what it was made from is still there: of an empty state every change
/// and alert would be made once more, and new alerts would lie below the positions of the old ones. A setup that was
/// broken off leaves no such gap: the raw topic is made last and deleted first.
fn refuse_losses(asker: &Asker, id: &MonitorId, layout: &Layout, existing: &[Option<Shape>]) -> Result<()> {
    let Some(shape) = existing[Topic::Raw as usize] else { return Ok(()) };
    let raw = layout.name(id, Topic::Raw);
    for gone in [Topic::State, Topic::Alerts] {
        if existing[gone as usize].is_some() {
            continue;
        }
        for partition in 0..shape.partitions {
            if asker.ends(&raw, partition)?.1 > 0 {
                return Err(Error::Position(format!(
                    "`{}` is gone, and `{raw}` is not: with an empty one in its place, changes and alerts would be made \
                     twice or passed over. Bring it back, or delete `{raw}`, too (`pricemonitor teardown` deletes all), \
                     so that all begins anew",
                    layout.name(id, gone)
                )));
            }
        }
    }
    Ok(())
}

/// Deletes the topics of the monitor. Says which there were.
///
/// # Errors
/// [`Error::Position`] when they belong to another monitor, or nothing says that they are this one's; then nothing is
/// deleted. Else as for [`setup`].
pub fn teardown(connection: &Connection, id: &MonitorId, layout: &Layout) -> Result<Vec<String>> {
    let asker = Asker::new(connection, id)?;
    let mut names = Vec::new();
    for (topic, _, _) in TOPICS {
        let name = layout.name(id, topic);
        if asker.topic(&name)?.is_some() {
            names.push((topic, name));
        }
    }
    if names.iter().any(|(topic, _)| *topic == Topic::Checkpoints)
        && let Some(mark) = read_mark(&asker, id, layout)?
    {
        mark.belongs_to(id, layout)?;
        mark.is_of(id, layout)?;
    } else if let Some((_, name)) = names.iter().find(|(topic, _)| layout.names_itself(*topic)) {
        return Err(Error::Position(format!(
            "nothing says that `{name}` is a topic of {id}: nothing was deleted; delete it by Kafka's own tools"
        )));
    }
    // The one with the mark goes last, so that a teardown that was interrupted can go on.
    names.sort_by_key(|(topic, _)| *topic == Topic::Checkpoints);
    let admin = admin(connection)?;
    let mut gone = Vec::with_capacity(names.len());
    for (_, name) in names {
        let doing = format!("cannot delete `{name}`");
        let results =
            block_on(admin.delete_topics(&[&name], &options())).map_err(|error| explain(&doing, &error))?;
        for result in results {
            match result {
                Err((_, code)) if code != Code::UnknownTopicOrPartition => {
                    return Err(settings::refused(&doing, code));
                }
                _ => {}
            }
        }
        gone.push(name);
    }
    for name in &gone {
        wait_until_gone(&asker, name)?;
    }
    Ok(gone)
}

/// Brokers hear of a deleted topic one after the other, too; a `setup` that follows must not find it.
fn wait_until_gone(asker: &Asker, name: &str) -> Result<()> {
    let end = std::time::Instant::now() + MAKE;
    while asker.topic(name)?.is_some() {
        if std::time::Instant::now() > end {
            return Err(Error::Retry(format!("the topic `{name}` was deleted but is still there")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn admin(connection: &Connection) -> Result<AdminClient<DefaultClientContext>> {
    connection.admin().create().map_err(|error| explain("cannot make a client", &error))
}

pub(super) fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(MAKE)).request_timeout(Some(MAKE))
}

/// Makes a topic, unless another process was quicker.
fn make(
    admin: &AdminClient<DefaultClientContext>,
    name: &str,
    topic: Topic,
    partitions: u32,
    setup: &Setup,
) -> Result<()> {
    // -1: as many copies as the broker gives by default.
    let replication = TopicReplication::Fixed(setup.replication.unwrap_or(-1));
    let mut new = NewTopic::new(name, partitions as i32, replication);
    let settings = settings::of(topic, setup, setup.replication);
    for (name, value) in &settings {
        new = new.set(name, value);
    }
    let doing = format!("cannot make the topic `{name}`");
    let results =
        block_on(admin.create_topics([&new], &options())).map_err(|error| explain(&doing, &error))?;
    match results.into_iter().next() {
        Some(Err((_, code))) if code != Code::TopicAlreadyExists => Err(settings::refused(&doing, code)),
        _ => Ok(()),
    }
}

/// Brokers hear of a new topic one after the other.
fn wait_for(asker: &Asker, name: &str, wanted: u32) -> Result<Shape> {
    let end = std::time::Instant::now() + MAKE;
    loop {
        match asker.topic(name)? {
            Some(shape) if shape.partitions == wanted => return Ok(shape),
            _ if std::time::Instant::now() > end => {
                return Err(Error::Retry(format!("the topic `{name}` was made but is not there yet")));
            }
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
