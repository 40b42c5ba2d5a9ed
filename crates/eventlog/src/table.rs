//! Keyed state with a dirty set and an undo log.

use std::sync::Arc;

use pricemonitor_model::persist::{Persist, PersistError};

use crate::Out;

type Map = std::collections::HashMap<Arc<[u8]>, usize, ahash::RandomState>;

/// The keyed state of one partition, in memory.
///
/// A worker changes it while it applies a batch, writes what changed with [`Table::drain_dirty`],
/// and passes on what becomes of the transaction: [`Table::committed`] forgets how to undo,
/// [`Table::aborted`] undoes everything since the last commit, however often it was drained. So an
/// abort costs the batch, not a restore.
///
/// # Guarantees
/// - A key that was touched any number of times between two drains is written once.
/// - A touched key costs one hash look-up; the first touch in a transaction also a clone of the value.
/// - After `aborted` the table equals what it was after the last `committed`.
#[derive(Debug)]
pub struct Table<V> {
    places: Map,
    slots: Vec<Slot<V>>,
    free: Vec<usize>,
    /// The value before the transaction of every slot touched in it.
    undo: Vec<(usize, Option<V>)>,
    dirty: Vec<usize>,
    live: usize,
}

#[derive(Debug)]
struct Slot<V> {
    key: Arc<[u8]>,
    /// `None`: removed in the running transaction, or free.
    value: Option<V>,
    /// Stands in the undo log.
    touched: bool,
    /// Changed since the last drain.
    dirty: bool,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Table {
            places: Map::default(),
            slots: Vec::new(),
            free: Vec::new(),
            undo: Vec::new(),
            dirty: Vec::new(),
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
        let Some(value) = value else {
            if let Some(&place) = self.places.get(key)
                && self.slots[place].value.take().is_some()
            {
                self.live -= 1;
                self.free_if_gone(place);
            }
            return Ok(());
        };
        let value = V::decode(value)?;
        let place = self.place(key);
        if self.slots[place].value.replace(value).is_none() {
            self.live += 1;
        }
        Ok(())
    }

    /// The value of `key`, to look at.
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        self.places.get(key).and_then(|place| self.slots[*place].value.as_ref())
    }

    /// The value of `key`, to change: it counts as changed from now on.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        let place = *self.places.get(key)?;
        self.slots[place].value.as_ref()?;
        self.touch(place);
        self.slots[place].value.as_mut()
    }

    /// The value of `key`, to change, made by `Default` if there is none.
    pub fn entry(&mut self, key: &[u8]) -> &mut V
    where
        V: Default,
    {
        let place = self.place(key);
        self.touch(place);
        let value = &mut self.slots[place].value;
        if value.is_none() {
            self.live += 1;
        }
        value.get_or_insert_with(V::default)
    }

    /// Removes `key`; a tombstone is written.
    pub fn remove(&mut self, key: &[u8]) {
        let Some(&place) = self.places.get(key) else { return };
        if self.slots[place].value.is_some() {
            self.touch(place);
            self.slots[place].value = None;
            self.live -= 1;
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// All keys, in no particular order.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().map(|(key, _)| key)
    }

    /// All keys and values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        self.slots.iter().filter_map(|slot| slot.value.as_ref().map(|value| (&*slot.key, value)))
    }

    /// Writes every key that changed since the last drain to `out`.
    pub fn drain_dirty(&mut self, out: &mut Out) {
        for place in self.dirty.drain(..) {
            let slot = &mut self.slots[place];
            slot.dirty = false;
            if slot.value.is_none() && !slot.touched {
                // Removed in an earlier transaction that never wrote it: freed after this one.
                slot.touched = true;
                self.undo.push((place, None));
            }
            out.state(&slot.key, slot.value.as_ref().map(|value| |bytes: &mut Vec<u8>| value.encode(bytes)));
        }
    }

    /// The transaction is durable.
    pub fn committed(&mut self) {
        for (place, _) in std::mem::take(&mut self.undo) {
            self.slots[place].touched = false;
            self.free_if_gone(place);
        }
    }

    /// The transaction did not happen: everything is again as after the last `committed`.
    pub fn aborted(&mut self) {
        for place in self.dirty.drain(..) {
            self.slots[place].dirty = false;
        }
        for (place, before) in std::mem::take(&mut self.undo) {
            let slot = &mut self.slots[place];
            slot.touched = false;
            self.live = self.live + usize::from(before.is_some()) - usize::from(slot.value.is_some());
            slot.value = before;
            self.free_if_gone(place);
        }
    }

    fn touch(&mut self, place: usize) {
        let slot = &mut self.slots[place];
        if !slot.touched {
            slot.touched = true;
            self.undo.push((place, slot.value.clone()));
        }
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(place);
        }
    }

    /// The slot of `key`, made if there is none.
    fn place(&mut self, key: &[u8]) -> usize {
        if let Some(place) = self.places.get(key) {
            return *place;
        }
        let key: Arc<[u8]> = key.into();
        let slot = Slot { key: key.clone(), value: None, touched: false, dirty: false };
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.places.insert(key, place);
        place
    }

    fn free_if_gone(&mut self, place: usize) {
        let slot = &mut self.slots[place];
        if slot.value.is_none() && !slot.dirty {
            self.places.remove(&slot.key);
            slot.key = Arc::default();
            self.free.push(place);
        }
    }
}

#[cfg(test)]
mod tests;
