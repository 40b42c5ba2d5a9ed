//! What every engine of the event log must do, written against the interface alone.
//!
//! An engine gives a [`Bed`] and calls [`conformance!`](crate::conformance); the same promises are
//! then tests of that engine.

#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod append;
pub mod fold;
pub mod group;
pub mod scan;
pub mod sink;
pub mod stops;
pub mod workers;

use std::time::{Duration, Instant};

use pricemonitor_eventlog::{Append, Appended, EventLog, Member, Ownership, PartitionLag, Topic, Write};

/// Where an engine is tested.
pub trait Bed {
    /// The engine.
    type Log: EventLog;

    /// The log of a monitor that never was.
    fn fresh(&self, partitions: u32) -> Self::Log;

    /// The same log after everything was shut down and started again.
    fn reopen(&self, log: Self::Log) -> Self::Log;

    /// From now on every transaction that is not tiny fails in a way that may pass, or none does.
    fn refuse_writes(&self, refuse: bool);
}

/// Makes a `#[test]` of every promise, on `$bed`.
#[macro_export]
macro_rules! conformance {
    ($bed:expr) => {
        $crate::conformance!(@ $bed, append:
            records_of_a_key_are_read_in_the_order_appended,
            a_tick_reaches_every_raw_partition,
            a_named_partition_wins_over_the_key,
            record_times_never_run_backwards,
            records_and_checkpoint_are_appended_together_or_not_at_all,
            several_sources_append_at_once_and_one_that_cannot_does_not_keep_the_others_from_it,
            checkpoints_survive_a_restart_and_the_last_one_counts,
            a_checkpoint_may_be_set_without_records,
            a_source_that_is_not_owned_is_refused);
        $crate::conformance!(@ $bed, fold:
            records_state_and_position_change_together,
            an_aborted_transaction_leaves_no_trace_and_its_records_come_again,
            restored_state_equals_what_was_committed,
            removed_keys_do_not_come_back,
            dead_letters_and_alerts_are_written_with_the_transaction,
            an_error_of_the_fold_stops_it_and_commits_nothing,
            a_fold_goes_on_where_it_stopped,
            partitions_are_revoked_when_a_fold_stops);
        $crate::conformance!(@ $bed, group:
            a_fold_that_was_replaced_cannot_write,
            an_appender_that_was_replaced_cannot_append,
            a_sink_that_was_replaced_ends,
            partitions_move_between_folds_and_nothing_is_lost_or_doubled,
            sources_move_between_appenders_with_their_checkpoints,
            every_partition_has_exactly_one_owner,
            a_member_ends_that_has_not_heard_yet_what_is_its_own);
        $crate::conformance!(@ $bed, sink:
            a_sink_without_position_begins_at_the_start,
            a_sink_goes_on_at_its_own_position,
            a_position_beyond_the_end_is_refused,
            a_position_of_another_life_is_refused,
            a_batch_that_may_be_retried_comes_again_unchanged,
            when_one_of_several_partitions_is_retried_nothing_is_lost_or_doubled,
            an_error_of_the_sink_stops_it,
            lag_counts_what_is_still_to_be_read,
            a_quiet_sink_may_keep_house,
            a_stop_is_heard_at_once);
        $crate::conformance!(@ $bed, stops:
            a_fold_stops_in_front_of_a_record_that_is_too_new_and_the_other_partitions_go_on,
            a_sink_stops_in_front_of_a_record_that_is_too_new_and_the_other_partitions_go_on);
        $crate::conformance!(@ $bed, scan:
            a_scan_shows_what_a_reader_sees_and_changes_nothing,
            a_scan_begins_and_ends_where_it_is_told,
            a_scan_ends_where_the_partition_ended_when_it_began,
            a_scan_shows_nothing_that_was_given_up,
            an_error_of_the_looker_ends_a_scan,
            records_put_are_read_by_everybody_and_fence_nobody,
            what_is_put_is_put_whole_or_not_at_all,
            the_place_of_a_fold_is_told_by_its_state);
    };
    (@ $bed:expr, $group:ident: $($name:ident),* $(,)?) => {
        mod $group {
            $(#[test]
            fn $name() {
                $crate::conformance::$group::$name(&$bed);
            })*
        }
    };
}

/// A text without full stops that no compression makes shorter, another one for each seed.
pub fn noise(seed: u64, length: usize) -> String {
    let mut state = seed;
    let letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'0' + (state >> 58) as u8)
    };
    std::iter::repeat_with(letter).take(length).collect()
}

/// The member `instance` of `group`.
pub fn member(group: &str, instance: &str) -> Member {
    Member { group: group.to_owned(), instance: instance.to_owned() }
}

/// A keyed record.
pub fn record(key: &str, value: &str) -> Write {
    Write { partition: None, key: Some(key.into()), value: Some(value.into()) }
}

/// Waits until `done`, at most half a minute.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A producer that owns everything.
pub fn producer<L: EventLog>(log: &L) -> L::Appender {
    let mut appender = log.appender(&member("producer", "one")).unwrap();
    gained(&mut appender);
    appender
}

/// Polls until something is gained: partitions and checkpoints by source.
pub fn gained(appender: &mut impl Append) -> (Vec<u32>, Vec<(String, Vec<u8>)>) {
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        match appender.poll(Duration::from_millis(100)).unwrap() {
            Some(Ownership::Gained { partitions, checkpoints, .. }) if !partitions.is_empty() => {
                return (partitions, checkpoints);
            }
            _ => {}
        }
    }
    panic!("nothing was gained");
}

/// Appends, with patience for what may pass.
pub fn append(appender: &mut impl Append, records: &[Write]) -> Appended {
    appender.append("test", records, None).unwrap()
}

/// Records of `topic` that `group` has still to read.
pub fn lag(log: &impl EventLog, group: &str, topic: Topic) -> u64 {
    log.lag(group, topic).unwrap().iter().map(|lag: &PartitionLag| lag.records).sum()
}

/// A number in a source's or key's name that is spread over partitions.
pub fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}
