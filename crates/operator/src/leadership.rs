//! One operator writes, the others stand by: a Lease decides who.
//!
//! The protocol is that of Kubernetes' own controllers (`coordination.k8s.io/v1` Lease): whoever sees the same record
//! for as long as it is valid, by its own clock, may take it; every write names the version that it replaces, so that
//! of two only one succeeds. Clocks of different machines are never compared.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a Lease is valid after its last renewal.
pub const VALID: Duration = Duration::from_secs(15);
/// How long its holder goes on without a renewal. What it asked for until then is over before [`VALID`] is, as no
/// write takes longer than [`WRITE`].
pub const DEADLINE: Duration = Duration::from_secs(10);
/// Longest write to the API.
pub const WRITE: Duration = Duration::from_secs(4);
/// How often its holder renews it.
pub const RENEW: Duration = Duration::from_secs(2);
/// How often the others look at it: so soon one follows when it is given up.
pub const LOOK: Duration = Duration::from_secs(1);

/// A Lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `spec.holderIdentity`; none when it was released.
    pub holder: Option<String>,
    /// `metadata.resourceVersion`.
    pub version: String,
}

/// What is to be done about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is none: make it.
    Create,
    /// It is ours: renew it.
    Renew,
    /// Nobody has it, or not any more: take it.
    Take,
    /// Another one has it.
    Wait,
}

/// What a candidate knows. Pure: `now` is handed in, as the time since some moment of its own.
#[derive(Clone, Debug, Default)]
pub struct Candidate {
    seen: Option<(Record, Duration)>,
}

impl Candidate {
    /// What to do about a Lease that reads so now.
    pub fn decide(&mut self, lease: Option<Record>, me: &str, now: Duration) -> Step {
        let Some(record) = lease else {
            self.seen = None;
            return Step::Create;
        };
        let since = match &self.seen {
            Some((known, since)) if *known == record => *since,
            _ => now,
        };
        let step = match record.holder.as_deref() {
            None | Some("") => Step::Take,
            Some(holder) if holder == me => Step::Renew,
            Some(_) if now.saturating_sub(since) >= VALID => Step::Take,
            Some(_) => Step::Wait,
        };
        self.seen = Some((record, since));
        step
    }
}

/// Whether this process may write, for everybody who does. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Leadership(Arc<Mutex<Option<Instant>>>);

impl Leadership {
    /// The Lease is ours; the request for it was begun at `begun`.
    pub fn won(&self, begun: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun + DEADLINE);
    }

    /// It is not ours, or will be given up.
    pub fn lost(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether a write that begins now is over before another one may write.
    pub fn holds(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|end| Instant::now() < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str, version: u32) -> Option<Record> {
        let holder = (!holder.is_empty()).then(|| holder.to_owned());
        Some(Record { holder, version: version.to_string() })
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_is_taken_only_when_nobody_renewed_it_for_as_long_as_it_is_valid() {
        let mut me = Candidate::default();
        assert_eq!(me.decide(record("other", 1), "me", s(100)), Step::Wait);
        assert_eq!(me.decide(record("other", 1), "me", s(114)), Step::Wait);
        assert_eq!(me.decide(record("other", 2), "me", s(115)), Step::Wait, "it was renewed");
        assert_eq!(me.decide(record("other", 2), "me", s(129)), Step::Wait);
        assert_eq!(me.decide(record("other", 2), "me", s(130)), Step::Take);
    }

    #[test]
    fn a_lease_that_is_ours_free_or_not_there_needs_no_waiting() {
        let mut me = Candidate::default();
        assert_eq!(me.decide(None, "me", s(0)), Step::Create);
        assert_eq!(me.decide(record("", 1), "me", s(1)), Step::Take);
        assert_eq!(me.decide(record("me", 2), "me", s(2)), Step::Renew);
    }

    /// Candidates that look, are paused and time out at random against one API that takes a write only of the version
    /// that it replaces: never do two hold at once.
    #[test]
    fn never_do_two_lead_at_once() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let names = ["a", "b", "c"];
        let mut all: Vec<Candidate> = vec![Candidate::default(); 3];
        // Until when each may write: the deadline, and a write that was begun just before.
        let mut until = [0_u64; 3];
        let mut asleep = [0_u64; 3];
        let (mut holder, mut version, mut changes) = (String::new(), 1_u32, 0);
        let mut pending: [Option<(u64, u32, u64)>; 3] = [None; 3];
        for now in 0..2_000_000_u64 {
            for me in 0..3 {
                if now < asleep[me] {
                    continue;
                }
                // A request that is under way arrives now: the API judges it by the version.
                if let Some((due, based, begun)) = pending[me] {
                    if now < due {
                        continue;
                    }
                    pending[me] = None;
                    if based == version && due - begun <= 4_000 {
                        if holder != names[me] {
                            changes += 1;
                            for other in (0..3).filter(|other| *other != me) {
                                assert!(until[other] <= now, "{other} and {me} at {now}");
                            }
                        }
                        (holder, version) = (names[me].to_owned(), version + 1);
                        until[me] = begun + 14_000;
                    }
                    continue;
                }
                match below(2_000) {
                    0 => asleep[me] = now + below(40_000),
                    1..=4 => {
                        let step =
                            all[me].decide(record(&holder, version), names[me], Duration::from_millis(now));
                        if step != Step::Wait {
                            pending[me] = Some((now + below(5_000), version, now));
                        }
                    }
                    _ => {}
                }
            }
        }
        assert!(changes > 10, "{changes}");
    }
}
