use super::*;

const NOW: Time = Time::from_seconds(1_700_000_000);

fn sent(outcome: Outcome, pause: Option<f64>) -> Sent {
    Sent { taken: 1, outcome, pause: pause.map(Duration::from_secs_f64), pause_all: false }
}

fn reason() -> String {
    "why".to_owned()
}

fn retry(pause: Option<f64>) -> Sent {
    sent(Outcome::Retry { reason: reason() }, pause)
}

fn ambiguous() -> Sent {
    sent(Outcome::Ambiguous { reason: reason() }, None)
}

fn delivered(pause: Option<f64>) -> Sent {
    sent(Outcome::Delivered { message_id: None }, pause)
}

#[test]
fn each_outcome_has_its_wait_and_its_end() {
    let table: &[(Sent, f64, Millis, bool)] = &[
        (delivered(None), 1.0, 0, false),
        (delivered(Some(1.5)), 0.0, 1_500, false),
        (delivered(Some(0.0001)), 0.0, 1, false),
        (sent(Outcome::Refused { reason: reason() }, None), 1.0, 0, true),
        (sent(Outcome::Refused { reason: reason() }, Some(2.0)), 1.0, 2_000, true),
        (sent(Outcome::Gone { reason: reason() }, None), 1.0, 0, true),
        (retry(None), 1.0, 1_000, false),
        (retry(None), 0.5, 500, false),
        (retry(None), 0.0, 100, false),
        (retry(None), f64::NAN, 1_000, false),
        (retry(None), 7.0, 1_000, false),
        (retry(Some(64.57)), 1.0, 64_570, false),
        (retry(Some(0.2)), 1.0, 1_000, false),
        (retry(Some(1e9)), 1.0, 3_600_000, false),
        (ambiguous(), 1.0, 1_000, false),
    ];
    for (sent, jitter, wait, give_up) in table {
        let next = Pacer::default().after(sent, 0, NOW, *jitter);
        assert_eq!(next, Next { at: NOW.plus(*wait), give_up: *give_up }, "{sent:?} {jitter}");
    }
}

#[test]
fn the_ceiling_doubles_up_to_five_minutes_and_a_success_resets_it() {
    let mut pacer = Pacer::default();
    let waits: Vec<_> =
        (0..11).map(|n| pacer.after(&retry(None), n, NOW, 1.0).at.since(NOW) / 1000).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    assert_eq!(pacer.after(&delivered(None), 0, NOW, 1.0).at, NOW);
    assert_eq!(pacer.after(&retry(None), 0, NOW, 1.0).at, NOW.plus(1_000));
}

#[test]
fn a_restart_does_not_make_the_back_off_forget_the_attempts_of_the_message() {
    let next = Pacer::default().after(&retry(None), 5, NOW, 1.0);
    assert_eq!(next.at, NOW.plus(32_000));
}

#[test]
fn another_message_does_not_make_the_back_off_shorter() {
    let mut pacer = Pacer::default();
    for n in 0..5 {
        pacer.after(&retry(None), n, NOW, 1.0);
    }
    assert_eq!(pacer.after(&retry(None), 0, NOW, 1.0).at, NOW.plus(32_000));
}

#[test]
fn a_message_that_never_arrives_is_given_up_in_the_end() {
    let mut pacer = Pacer::default();
    let end = (0..).find(|&n| pacer.after(&retry(None), n, NOW, 0.5).give_up);
    assert_eq!(end, Some(MAX_ATTEMPTS - 1));
    assert!(Pacer::default().after(&retry(None), u32::MAX, NOW, 0.5).give_up);
}

#[test]
fn a_message_that_may_have_arrived_is_repeated_a_few_times_only() {
    let mut pacer = Pacer::default();
    let repeats = |pacer: &mut Pacer| (0..).find(|&n| pacer.after(&ambiguous(), n, NOW, 0.5).give_up);
    assert_eq!(repeats(&mut pacer), Some(MAX_AMBIGUOUS - 1));
    // The next message has as many attempts.
    assert_eq!(repeats(&mut pacer), Some(MAX_AMBIGUOUS - 1));
    // Sure failures between them start the count anew.
    for n in 0..MAX_AMBIGUOUS * 3 {
        let outcome = if n % 2 == 0 { ambiguous() } else { retry(None) };
        assert!(!pacer.after(&outcome, n, NOW, 0.5).give_up);
    }
}

#[test]
fn no_wait_is_shorter_than_the_floor_or_longer_than_the_cap() {
    for failures in [0, 1, 2, 9, 10, 17, 63, 64, 500, u32::MAX] {
        for jitter in [-1.0, 0.0, 1e-12, 0.3, 1.0, f64::INFINITY] {
            let wait = back_off(failures, jitter);
            assert!((SHORTEST..=CAP).contains(&wait), "{failures} {jitter} {wait}");
        }
    }
}
