//! The objects of all monitors as the watches tell of them, so that a reconcile asks the API for nothing that has not
//! changed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::kinds::Kind;
use crate::live::Live;

/// Namespace and name.
pub type Key = (String, String);

/// An object, and whether it is known to be as it was applied.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The object.
    pub live: Live,
    /// It was compared, or came back from the write, and has not changed since.
    pub verified: bool,
}

/// How many of the last removals are remembered: more than come while one answer is under way.
const GONE: usize = 1_024;

/// Objects by their monitor. Cheap to clone; all clones are one.
///
/// What is told of an object comes by two ways, its watch and the answers to writes and reads. An answer that is older
/// than what the watch has told counts for nothing: the monitor was queued for that, and would be found in order.
#[derive(Clone, Debug, Default)]
pub struct Cache(Arc<Mutex<Objects>>);

#[derive(Debug, Default)]
struct Objects {
    by_monitor: HashMap<Key, Vec<Entry>>,
    /// What was removed last: monitor, kind, name and version.
    gone: VecDeque<(Key, &'static str, String, u64)>,
}

impl Cache {
    fn all(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects of a monitor.
    pub fn of(&self, monitor: &Key) -> Vec<Entry> {
        self.all().by_monitor.get(monitor).cloned().unwrap_or_default()
    }

    /// An object as it is now. It stays verified while its stamp is the same. Whether anything has changed.
    pub fn put(&self, monitor: Key, live: Live, verified: bool) -> bool {
        let mut all = self.all();
        let removed = |(key, kind, name, version): &(Key, &'static str, String, u64)| {
            *version >= live.version && *key == monitor && live.is(kind, name)
        };
        if live.version > 0 && all.gone.iter().any(removed) {
            return false;
        }
        let entries = all.by_monitor.entry(monitor).or_default();
        let same = |entry: &&mut Entry| entry.live.is(live.kind.kind, &live.name);
        let Some(known) = entries.iter_mut().find(same) else {
            entries.push(Entry { live, verified });
            return true;
        };
        if live.version > 0 && live.version < known.live.version {
            return false;
        }
        let verified = verified || (known.verified && known.live.stamp == live.stamp);
        // A new version alone is no news.
        known.live.version = live.version;
        let changed = known.live != live;
        *known = Entry { live, verified };
        changed
    }

    /// An object that is not there any more since `version`. Whether it was.
    pub fn remove(&self, monitor: &Key, kind: Kind, name: &str, version: u64) -> bool {
        let mut all = self.all();
        if all.gone.len() >= GONE {
            all.gone.pop_front();
        }
        all.gone.push_back((monitor.clone(), kind.kind, name.to_owned(), version));
        let Some(entries) = all.by_monitor.get_mut(monitor) else { return false };
        let before = entries.len();
        entries.retain(|entry| !entry.live.is(kind.kind, name));
        let changed = entries.len() < before;
        if entries.is_empty() {
            all.by_monitor.remove(monitor);
        }
        changed
    }

    /// Forgets objects of a kind that a new list did not tell of, in a namespace or in all. Their monitors.
    pub fn keep(&self, kind: Kind, namespace: Option<&str>, told: &HashSet<Key>) -> Vec<Key> {
        let mut lost = Vec::new();
        self.all().by_monitor.retain(|monitor, entries| {
            if namespace.is_some_and(|namespace| namespace != monitor.0) {
                return true;
            }
            let before = entries.len();
            entries.retain(|entry| {
                entry.live.kind != kind || told.contains(&(monitor.0.clone(), entry.live.name.clone()))
            });
            if entries.len() < before {
                lost.push(monitor.clone());
            }
            !entries.is_empty()
        });
        lost
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::{CONFIG_MAP, SECRET};

    fn monitor() -> Key {
        ("n".to_owned(), "m".to_owned())
    }

    fn object(name: &str, version: u32) -> Live {
        Live::of(
            CONFIG_MAP,
            &json!({"metadata": {"name": name, "uid": name, "resourceVersion": version.to_string()}}),
        )
    }

    #[test]
    fn what_was_verified_is_so_until_it_changes() {
        let cache = Cache::default();
        assert!(cache.put(monitor(), object("a", 1), true));
        assert!(!cache.put(monitor(), object("a", 1), false), "nothing has changed");
        assert!(cache.of(&monitor())[0].verified);
        assert!(cache.put(monitor(), object("a", 2), false));
        assert!(!cache.of(&monitor())[0].verified);
    }

    #[test]
    fn a_new_list_of_a_kind_makes_forget_what_it_leaves_out_and_nothing_else() {
        let cache = Cache::default();
        for name in ["a", "b"] {
            cache.put(monitor(), object(name, 1), false);
        }
        let told = HashSet::from([("n".to_owned(), "a".to_owned())]);
        assert!(cache.keep(SECRET, None, &HashSet::new()).is_empty(), "another kind");
        assert!(cache.keep(CONFIG_MAP, Some("other"), &HashSet::new()).is_empty(), "another namespace");
        assert_eq!(cache.keep(CONFIG_MAP, Some("n"), &told), [monitor()]);
        assert_eq!(cache.of(&monitor()).len(), 1);
        assert!(cache.remove(&monitor(), CONFIG_MAP, "a", 2));
        assert!(!cache.remove(&monitor(), CONFIG_MAP, "a", 2));
    }

    #[test]
    fn an_answer_that_is_older_than_what_the_watch_has_told_counts_for_nothing() {
        let cache = Cache::default();
        let verified = || cache.of(&monitor()).iter().map(|entry| entry.verified).collect::<Vec<_>>();
        // Somebody edits it (6) while the answer to our write (5) is under way.
        cache.put(monitor(), object("a", 6), false);
        assert!(!cache.put(monitor(), object("a", 5), true));
        assert_eq!(verified(), [false]);
        // And somebody deletes it (8) while the answer to our next write (7) is.
        assert!(cache.remove(&monitor(), CONFIG_MAP, "a", 8));
        assert!(!cache.put(monitor(), object("a", 7), true));
        assert!(verified().is_empty());
        assert!(cache.put(monitor(), object("a", 9), true), "made anew");
        assert_eq!(verified(), [true]);
    }
}
