//! The table against a naive model: a map and a copy of it as last committed.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Op {
    Entry(u8, u8),
    GetMut(u8, u8),
    Remove(u8),
    Drain,
    Commit,
    Abort,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..12u8, any::<u8>()).prop_map(|(k, v)| Op::Entry(k, v)),
        2 => (0..12u8, any::<u8>()).prop_map(|(k, v)| Op::GetMut(k, v)),
        2 => (0..12u8).prop_map(Op::Remove),
        2 => Just(Op::Drain),
        1 => Just(Op::Commit),
        1 => Just(Op::Abort),
    ]
}

/// What a log would hold after these writes.
fn write(stored: &mut Model, out: &mut Out) -> usize {
    let writes = out.states().len();
    for (key, value) in out.states() {
        match value {
            Some(value) => stored.insert(key.to_vec(), value.to_vec()),
            None => stored.remove(key),
        };
    }
    out.clear();
    writes
}

fn contents(table: &Table<Vec<u8>>) -> Model {
    table.iter(b"").map(Result::unwrap).map(|(key, value)| (key.to_vec(), value.into_owned())).collect()
}

proptest! {
    #[test]
    fn any_operations_with_commits_and_aborts_equal_a_map_with_snapshots(
        first in 0..4u8, ops in proptest::collection::vec(op(), 0..120)
    ) {
        let mut table: Table<Vec<u8>> = Table::new();
        for key in 0..first {
            table.restore(&[key], Some(&[9, key])).unwrap();
        }
        let mut now = contents(&table);
        let (mut committed, mut stored, mut pending) = (now.clone(), now.clone(), now.clone());
        let mut out = Out::default();
        for op in ops {
            match op {
                Op::Entry(k, v) => {
                    table.entry(&[k]).unwrap().push(v);
                    now.entry(vec![k]).or_default().push(v);
                }
                Op::GetMut(k, v) => {
                    let value = table.get_mut(&[k]).unwrap();
                    prop_assert_eq!(value.is_some(), now.contains_key(&vec![k]));
                    if let Some(value) = value {
                        value.push(v);
                    }
                    now.entry(vec![k]).and_modify(|value| value.push(v));
                }
                Op::Remove(k) => {
                    table.remove(&[k]);
                    now.remove(&vec![k]);
                }
                Op::Drain => {
                    table.drain_dirty(&mut out);
                    prop_assert!(write(&mut pending, &mut out) <= 12, "a key was written twice");
                    prop_assert_eq!(&pending, &now);
                }
                Op::Commit => {
                    table.drain_dirty(&mut out);
                    write(&mut pending, &mut out);
                    table.committed();
                    stored = pending.clone();
                    committed = now.clone();
                }
                Op::Abort => {
                    table.aborted();
                    pending = stored.clone();
                    now = committed.clone();
                }
            }
            prop_assert_eq!(&contents(&table), &now);
            prop_assert_eq!(table.len(), now.len());
            prop_assert_eq!(&stored, &committed);
        }
    }
}

#[test]
fn a_key_touched_often_is_written_once() {
    let mut table: Table<Vec<u8>> = Table::new();
    for round in 0..5 {
        table.entry(b"a").unwrap().push(round);
    }
    let mut out = Out::default();
    table.drain_dirty(&mut out);
    table.drain_dirty(&mut out);
    assert_eq!(out.states().collect::<Vec<_>>(), [(&b"a"[..], Some(&[0, 1, 2, 3, 4][..]))]);
}

#[test]
fn an_abort_after_a_drain_still_undoes_what_was_drained() {
    let mut table: Table<Vec<u8>> = Table::new();
    table.restore(b"a", Some(b"old")).unwrap();
    let mut out = Out::default();
    table.entry(b"a").unwrap().push(b'!');
    table.drain_dirty(&mut out);
    table.remove(b"a");
    table.entry(b"b").unwrap().push(b'?');
    table.aborted();
    assert_eq!(table.get(b"a").unwrap().as_deref(), Some(&b"old".to_vec()));
    assert_eq!(table.get(b"b").unwrap().as_deref(), None);
    out.clear();
    table.drain_dirty(&mut out);
    assert_eq!(out.states().len(), 0, "nothing is left to write after an abort");
}

#[test]
fn a_removal_that_was_not_drained_is_written_by_the_next_transaction() {
    let mut table: Table<Vec<u8>> = Table::new();
    table.restore(b"a", Some(b"x")).unwrap();
    table.remove(b"a");
    table.committed();
    let mut out = Out::default();
    table.drain_dirty(&mut out);
    assert_eq!(out.states().collect::<Vec<_>>(), [(&b"a"[..], None)]);
    table.committed();
    table.entry(b"a").unwrap().push(1);
    assert_eq!(table.get(b"a").unwrap().as_deref(), Some(&vec![1]));
    assert_eq!(table.len(), 1);
}

#[test]
fn while_a_table_is_restored_the_last_entry_of_a_key_counts() {
    let mut table: Table<Vec<u8>> = Table::new();
    for (key, value) in
        [("a", Some("1")), ("b", Some("1")), ("a", Some("2")), ("b", None), ("c", None), ("b", None)]
    {
        table.restore(key.as_bytes(), value.map(str::as_bytes)).unwrap();
    }
    assert_eq!(contents(&table), [(b"a".to_vec(), b"2".to_vec())].into());
    assert_eq!(table.len(), 1);
    table.restore(b"b", Some(b"3")).unwrap();
    assert_eq!(table.get(b"b").unwrap().as_deref(), Some(&b"3".to_vec()));
    let mut out = Out::default();
    table.drain_dirty(&mut out);
    assert_eq!(out.states().len(), 0, "what was restored is written already");
}
