//! What every engine of the store must do, written against [`Database`](pricemonitor_store::Database) alone.
//!
//! An engine gives a [`Bed`](common::Bed) and calls [`conformance!`](crate::conformance); the same promises are
//! then tests of that engine.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod accepting;
pub mod audit;
pub mod common;
pub mod history;
pub mod outbox;
pub mod questions;
pub mod upkeep;

/// Makes a test of every promise, on `$bed`.
#[macro_export]
macro_rules! conformance {
    ($bed:ty) => {
        $crate::conformance!(@ $bed, history:
            a_replayed_batch_is_counted_and_not_written_again,
            an_owner_that_was_replaced_writes_nothing,
            a_write_whose_answer_was_lost_is_done_when_it_comes_again,
            a_position_that_no_owner_wrote_is_a_fault_and_not_a_fence,
            another_life_of_the_topic_is_not_taken_for_this_one,
            a_batch_out_of_order_is_refused_whole,
            ticks_alone_move_the_position,
            what_changed_is_known_across_batches_and_restarts,
            a_change_of_unit_starts_anew_and_equal_prices_are_equal_however_written,
            a_revised_slot_counts_by_its_latest_price,
            labels_that_change_move_the_series,
            hostile_texts_come_back_as_they_were,
            the_largest_and_smallest_numbers_are_exact,
            a_write_that_is_given_up_leaves_no_trace,
            monitors_and_partitions_stand_for_themselves);
        $crate::conformance!(@ $bed, outbox:
            an_alert_is_accepted_once_whatever_is_replayed,
            alerts_whose_acceptance_was_not_answered_are_accepted_once,
            what_is_due_is_the_alert_as_it_was,
            a_delivery_ends_once,
            the_end_of_a_message_that_nobody_was_about_to_send_is_not_written,
            equal_names_of_channels_of_two_monitors_are_two_channels,
            an_arrival_and_the_attempt_that_follows_it_are_written_in_one_step,
            a_failed_attempt_comes_back_when_its_time_has_come,
            a_crash_between_sending_and_writing_down_is_known,
            one_sender_has_a_channel,
            alerts_are_listed_by_page_and_filter_with_their_series,
            an_alert_on_a_slot_stands_at_the_slot,
            an_attempt_that_a_clock_put_far_ahead_is_due_at_once,
            a_stored_alert_that_cannot_be_read_does_not_hold_up_the_others,
            what_may_have_arrived_more_often_is_listed_so,
            processes_that_share_the_outbox_tell_each_alert_once);
        $crate::conformance!(@ $bed, accepting:
            alerts_of_several_partitions_are_accepted_together,
            a_partition_that_is_somebody_elses_keeps_no_other_from_being_accepted,
            a_partition_whose_acceptance_was_not_answered_is_accepted_once_beside_others,
            an_alert_that_two_partitions_have_is_accepted_once);
        $crate::conformance!(@ $bed, questions:
            statistics_are_those_of_the_rows,
            a_distribution_counts_every_price,
            an_hour_profile_knows_the_viewers_clock,
            lines_have_every_price_or_its_bucket,
            lines_are_those_with_the_latest_observations,
            an_export_is_every_row_in_the_order_of_time,
            facets_name_what_can_be_chosen,
            the_cursor_moves_with_every_write_and_only_then,
            an_empty_database_answers_everything,
            beyond_the_exact_limits_hours_stand_for_their_rows);
        $crate::conformance!(@ $bed, audit:
            the_coordinates_of_rows_are_told_for_their_partition_life_and_range,
            the_ids_of_a_monitors_alerts_are_told);
        $crate::conformance!(@ $bed, upkeep:
            what_is_older_than_the_retention_goes_whole_hours_at_a_time,
            a_writer_that_remembers_a_deleted_series_finds_a_new_one,
            old_alerts_go_but_not_those_somebody_waits_for,
            the_ends_of_time_are_instants_too,
            a_removed_monitor_leaves_nothing_and_the_others_alone);
    };
    (@ $bed:ty, $group:ident: $($name:ident),* $(,)?) => {
        mod $group {
            $(#[tokio::test]
            async fn $name() {
                $crate::suite::$group::$name::<$bed>().await;
            })*
        }
    };
}
