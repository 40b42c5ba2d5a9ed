//! Keyed state with a dirty set and an undo log.

use std::borrow::Cow;
use std::ops::Range;

use hashbrown::HashTable;
use pricemonitor_model::persist::{Persist, PersistError};

use crate::Out;

/// The keyed state of one partition, in memory.
///
/// A worker changes it while it applies a batch, writes what changed with [`Table::drain_dirty`],
/// and passes on what becomes of the transaction: [`Table::committed`] forgets how to undo,
/// [`Table::aborted`] undoes everything since the last commit, however often it was drained. So an
/// abort costs the batch, not a restore.
///
/// What no running transaction has touched is kept as the bytes that the log holds, one block of
/// memory for key and value: state is large, a batch is small, and the bytes are what an abort goes
/// back to.
///
/// # Guarantees
/// - A key that was touched any number of times between two drains is written once.
/// - A touched key costs one hash look-up; the first touch in a transaction also reads its bytes.
/// - After `aborted` the table equals what it was after the last `committed`.
/// - An entry takes 24 bytes, 5 to 10 of the index, and one block of the sizes of key and value.
#[derive(Debug)]
pub struct Table<V> {
    /// Places of entries by the hash of their keys.
    places: HashTable<u32>,
    hash: ahash::RandomState,
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// What the running transaction has touched.
    open: Vec<Open<V>>,
    /// Of these, those that changed since the last drain.
    dirty: Vec<u32>,
    /// Values as the running transaction has drained them, one behind the other.
    drained: Vec<u8>,
    live: usize,
}

#[derive(Debug, Default)]
struct Entry {
    /// The key, and behind it the value after the last commit, if it had one.
    bytes: Box<[u8]>,
    /// Length of the key.
    key: u32,
    /// Place among the open ones.
    open: Option<OpenPlace>,
}

/// Not zero, so that an entry without one is no larger.
type OpenPlace = std::num::NonZeroU32;

/// An entry that the running transaction has touched.
#[derive(Debug)]
struct Open<V> {
    entry: u32,
    /// `None`: removed.
    value: Option<V>,
    /// Whether there was a value after the last commit.
    before: bool,
    /// What the value will be when the transaction is durable: where it was drained last.
    written: Option<Range<usize>>,
    dirty: bool,
}

impl Entry {
    fn key(&self) -> &[u8] {
        self.bytes.get(..self.key as usize).unwrap_or_default()
    }

    fn value(&self) -> &[u8] {
        self.bytes.get(self.key as usize..).unwrap_or_default()
    }

    /// Gives it another value: in its place where that has as many bytes, as most have. A block of memory for each
    /// new value would lie between the messages of its batch, and keep their room from being used again.
    fn set_value(&mut self, value: &[u8]) {
        match self.bytes.get_mut(self.key as usize..) {
            Some(place) if place.len() == value.len() => place.copy_from_slice(value),
            _ => self.bytes = [self.key(), value].concat().into_boxed_slice(),
        }
    }
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Table {
            places: HashTable::new(),
            hash: ahash::RandomState::new(),
            entries: Vec::new(),
            free: Vec::new(),
            open: Vec::new(),
            dirty: Vec::new(),
            drained: Vec::new(),
            live: 0,
        }
    }
}

impl<V: Persist + Clone> Table<V> {
    /// An empty table.
    pub fn new() -> Table<V> {
        Table::default()
    }

    /// Puts in a committed entry while the partition is being restored, or takes it out when there is no value; of
    /// several with the same key the last one counts.
    ///
    /// # Errors
    /// Bytes that cannot be read, for example those of a newer program.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), PersistError> {
        let known = self.find(key);
        let Some(value) = value else {
            if let Some(place) = known {
                self.live -= 1;
                self.let_go(place);
            }
            return Ok(());
        };
        // Here rather than at the first touch: whoever cannot go on must not begin.
        V::decode(value)?;
        let bytes = [key, value].concat().into_boxed_slice();
        match known {
            Some(place) => self.entries[place as usize].bytes = bytes,
            None => {
                self.add(bytes, key.len());
                self.live += 1;
            }
        }
        Ok(())
    }

    /// The value of `key`, to look at.
    ///
    /// # Errors
    /// Bytes that cannot be read; [`Table::restore`] has refused them before.
    pub fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, V>>, PersistError> {
        self.find(key).map_or(Ok(None), |place| self.look(&self.entries[place as usize]))
    }

    /// The value of `key`, to change: it counts as changed from now on.
    ///
    /// # Errors
    /// As for [`Table::get`].
    pub fn get_mut(&mut self, key: &[u8]) -> Result<Option<&mut V>, PersistError> {
        let Some(place) = self.find(key) else { return Ok(None) };
        if let Some(open) = self.opened(place)
            && self.open[open].value.is_none()
        {
            return Ok(None);
        }
        let open = self.touch(place)?;
        Ok(self.open[open].value.as_mut())
    }

    /// The value of `key`, to change, made by `Default` if there is none.
    ///
    /// # Errors
    /// As for [`Table::get`].
    pub fn entry(&mut self, key: &[u8]) -> Result<&mut V, PersistError>
    where
        V: Default,
    {
        let open = match self.find(key) {
            Some(place) => self.touch(place)?,
            None => {
                let place = self.add(key.into(), key.len());
                self.open(place, None, false)
            }
        };
        let value = &mut self.open[open].value;
        if value.is_none() {
            self.live += 1;
        }
        Ok(value.get_or_insert_with(V::default))
    }

    /// Removes `key`; a tombstone is written.
    pub fn remove(&mut self, key: &[u8]) {
        let Some(place) = self.find(key) else { return };
        match self.opened(place) {
            None => drop(self.open(place, None, true)),
            Some(open) if self.open[open].value.is_none() => return,
            Some(open) => {
                self.open[open].value = None;
                self.changed(open);
            }
        }
        self.live -= 1;
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// All keys that begin with `prefix` and their values, in no particular order.
    pub fn iter<'t>(
        &'t self,
        prefix: &'t [u8],
    ) -> impl Iterator<Item = Result<(&'t [u8], Cow<'t, V>), PersistError>> {
        let own = self.entries.iter().filter(move |entry| entry.key().starts_with(prefix));
        // A place that was let go has no bytes; a value has at least that of its format.
        let own = own.filter(|entry| entry.open.is_some() || !entry.bytes.is_empty());
        own.filter_map(|entry| match self.look(entry) {
            Ok(value) => value.map(|value| Ok((entry.key(), value))),
            Err(error) => Some(Err(error)),
        })
    }

    /// Writes every key that changed since the last drain to `out`.
    pub fn drain_dirty(&mut self, out: &mut Out) {
        for place in self.dirty.drain(..) {
            let open = &mut self.open[place as usize];
            open.dirty = false;
            open.written = open.value.as_ref().map(|value| appended(&mut self.drained, value));
            let written = open.written.clone().map(|place| &self.drained[place]);
            let key = self.entries[open.entry as usize].key();
            out.state(key, written.map(|value| move |bytes: &mut Vec<u8>| bytes.extend_from_slice(value)));
        }
    }

    /// The transaction is durable.
    pub fn committed(&mut self) {
        self.dirty.clear();
        for mut open in std::mem::take(&mut self.open) {
            let entry = &mut self.entries[open.entry as usize];
            entry.open = None;
            if open.dirty {
                // Not drained: it counts here from now on, and the next transaction writes it.
                match &open.value {
                    Some(value) => {
                        let place = appended(&mut self.drained, value);
                        entry.set_value(&self.drained[place]);
                    }
                    None => entry.bytes = entry.key().into(),
                }
                let before = open.value.is_some();
                self.open(open.entry, open.value, before);
            } else if let Some(place) = open.written.take() {
                entry.set_value(&self.drained[place]);
            } else {
                self.let_go(open.entry);
            }
        }
        self.drained.clear();
    }

    /// The transaction did not happen: everything is again as after the last `committed`.
    pub fn aborted(&mut self) {
        self.dirty.clear();
        self.drained.clear();
        for open in std::mem::take(&mut self.open) {
            self.entries[open.entry as usize].open = None;
            self.live = self.live + usize::from(open.before) - usize::from(open.value.is_some());
            if !open.before {
                self.let_go(open.entry);
            }
        }
    }

    fn find(&self, key: &[u8]) -> Option<u32> {
        let same = |place: &u32| self.entries[*place as usize].key() == key;
        self.places.find(self.hash.hash_one(key), same).copied()
    }

    /// The value of an entry.
    fn look(&self, entry: &Entry) -> Result<Option<Cow<'_, V>>, PersistError> {
        match entry.open {
            Some(open) => Ok(self.open[open.get() as usize - 1].value.as_ref().map(Cow::Borrowed)),
            None => V::decode(entry.value()).map(|value| Some(Cow::Owned(value))),
        }
    }

    /// Where an entry is open.
    fn opened(&self, place: u32) -> Option<usize> {
        self.entries[place as usize].open.map(|open| open.get() as usize - 1)
    }

    /// Opens an entry unless it is open, and notes that it changes.
    fn touch(&mut self, place: u32) -> Result<usize, PersistError> {
        match self.opened(place) {
            Some(open) => {
                self.changed(open);
                Ok(open)
            }
            None => {
                let value = V::decode(self.entries[place as usize].value())?;
                Ok(self.open(place, Some(value), true))
            }
        }
    }

    fn changed(&mut self, open: usize) {
        if !std::mem::replace(&mut self.open[open].dirty, true) {
            self.dirty.push(open as u32);
        }
    }

    /// Opens an entry, with the value that it has now.
    fn open(&mut self, place: u32, value: Option<V>, before: bool) -> usize {
        let open = self.open.len();
        self.open.push(Open { entry: place, value, before, written: None, dirty: false });
        self.entries[place as usize].open = OpenPlace::new(open as u32 + 1);
        self.changed(open);
        open
    }

    /// A place for a key that has none yet: the first bytes of `bytes`.
    fn add(&mut self, bytes: Box<[u8]>, key: usize) -> u32 {
        let entry = Entry { bytes, key: key as u32, open: None };
        let hash_of_key = self.hash.hash_one(entry.key());
        let place = match self.free.pop() {
            Some(place) => {
                self.entries[place as usize] = entry;
                place
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        let (entries, hash) = (&self.entries, &self.hash);
        let of = |place: &u32| hash.hash_one(entries[*place as usize].key());
        self.places.insert_unique(hash_of_key, place, of);
        place
    }

    /// Takes an entry out.
    fn let_go(&mut self, place: u32) {
        let entry = std::mem::take(&mut self.entries[place as usize]);
        if let Ok(found) = self.places.find_entry(self.hash.hash_one(entry.key()), |known| *known == place) {
            found.remove();
        }
        self.free.push(place);
    }
}

/// Appends a value to `bytes`; where it lies.
fn appended<V: Persist>(bytes: &mut Vec<u8>, value: &V) -> Range<usize> {
    let start = bytes.len();
    value.encode(bytes);
    start..bytes.len()
}

#[cfg(test)]
mod tests;
