//! One source's life: look, append, wait, look again.

use std::time::Duration;

use pricemonitor_config::{KeySpec, SourceKind, SourceSettings};
use pricemonitor_eventlog::Error;
use pricemonitor_model::{Millis, Outcome, Tick, Time};
use pricemonitor_sources::{Poll, Snapshot, Source, SourceError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{self, FORMAT, Head};
use super::{MakeSource, Request, Settings, records, ticks};
use crate::clock::{self, Leaps, now};
use crate::health::{Health, Part};
use crate::metrics::MonitorMetrics;

/// Longest wait between looks at a web source that keeps failing (its interval, if longer).
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);
/// Longest wait after the log could not take what a look brought, and for a source that cannot be made.
const AGAIN: Duration = Duration::from_secs(30);
/// Most by which the clock may run ahead unquestioned. Further, and what was not seen lately comes
/// near to being forgotten.
const LEAP: Millis = 7 * 86_400_000;
/// How often a clock that leapt is looked at again.
const DOUBT: Duration = Duration::from_secs(1);
/// Longest that a source's own wish to be left alone is heeded.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

pub(super) struct Poller {
    settings: SourceSettings,
    key: KeySpec,
    tick_every: Millis,
    make: MakeSource,
    head: Option<Head>,
    /// The source's own checkpoint, as last committed.
    inner: Option<Vec<u8>>,
    failures: u32,
    leaps: Leaps,
    to: mpsc::Sender<Request>,
    health: Health,
    part: Part,
    metrics: MonitorMetrics,
}

/// The log took the source away, or the producer ends.
struct Ended;

/// What the log made of a look.
enum Taken {
    /// It has it, or there was nothing to have.
    Had,
    /// It cannot take it now: the next look tries again from the old checkpoint, and nothing is lost.
    Later,
    /// It never takes it. The records of a look cannot be parted to save the others: what is left out
    /// would be behind the checkpoint that goes with them, and nobody would ever look for it again.
    Never(SourceError),
}

impl Poller {
    pub(super) fn new(
        settings: SourceSettings,
        producer: &Settings,
        stored: Option<&[u8]>,
        to: mpsc::Sender<Request>,
        health: Health,
        metrics: MonitorMetrics,
    ) -> Poller {
        let known = stored.and_then(checkpoint::decode);
        if stored.is_some() && known.is_none() {
            tracing::warn!(
                source = settings.name,
                "the stored checkpoint cannot be read; the source starts anew"
            );
        }
        Poller {
            part: Part::source(&producer.monitor, &settings.name),
            key: producer.key,
            tick_every: Millis::try_from(producer.tick_every.as_millis()).unwrap_or(Millis::MAX),
            make: producer.make.clone(),
            head: known.map(|(head, _)| head),
            inner: known.map(|(_, inner)| inner.to_vec()),
            failures: 0,
            leaps: Leaps::new(LEAP, known.map(|(head, _)| head.at)),
            settings,
            to,
            health,
            metrics,
        }
    }

    /// Looks until cancelled, or until the producer's thread does not answer any more.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        self.metrics.source_interval(&self.settings.name).set(self.settings.interval.as_secs_f64());
        let mut source = loop {
            match (self.make)(&self.settings) {
                Ok(source) => break source,
                // A secret or a folder that is away now may come back.
                Err(why) => {
                    if self.health.ill(&self.part, why.clone()) {
                        tracing::error!(source = self.settings.name, "{why}");
                    }
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
        };
        loop {
            while let Err(leap) = self.leaps.judge(now(), std::time::Instant::now()) {
                self.doubt(leap);
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = tokio::time::sleep(DOUBT) => {}
                }
            }
            let looked = tokio::select! {
                () = cancel.cancelled() => return,
                looked = self.look(source.as_mut()) => looked,
            };
            let Ok(wait) = looked else { return };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One look and its append. Tells how long to wait before the next.
    async fn look(&mut self, source: &mut dyn Source) -> Result<Duration, Ended> {
        let started = tokio::time::Instant::now();
        // Never earlier than the look before, whatever the machine's clock does.
        let at = self.head.map_or_else(now, |head| now().max(head.at.plus(1)));
        let polled = source.poll(at, self.inner.as_deref()).await;
        let name = self.settings.name.clone();
        self.metrics.poll_seconds(&name).observe(started.elapsed().as_secs_f64());
        let wait = match polled {
            Ok(poll) => {
                let snapshot = match poll {
                    Poll::Snapshot(snapshot) => Some(snapshot),
                    Poll::Unchanged => None,
                };
                let (outcome, word) = match snapshot {
                    Some(_) => (Outcome::Ok, "ok"),
                    None => (Outcome::Unchanged, "unchanged"),
                };
                let taken = self.append(at, outcome, snapshot).await?;
                if let Taken::Never(error) = taken {
                    return self.failed_look(at, &error).await;
                }
                self.metrics.polls(&name, word).inc();
                if matches!(taken, Taken::Had) {
                    self.worked(at);
                    self.settings.interval
                } else {
                    // What was seen is not had yet; a long interval must not make a gap of it.
                    self.settings.interval.min(AGAIN)
                }
            }
            Err(error) => return self.failed_look(at, &error).await,
        };
        Ok(wait.saturating_sub(started.elapsed()))
    }

    /// Tells that the look failed; the source's checkpoint stays. The wait is counted from here: a
    /// long time-out must not eat it up.
    async fn failed_look(&mut self, at: Time, error: &SourceError) -> Result<Duration, Ended> {
        self.metrics.polls(&self.settings.name, "failed").inc();
        self.append(at, Outcome::Failed, None).await?;
        Ok(self.failed(error))
    }

    /// Appends what the look brought, together with the checkpoint. Nothing to say is had at once.
    async fn append(
        &mut self,
        at: Time,
        outcome: Outcome,
        snapshot: Option<Snapshot>,
    ) -> Result<Taken, Ended> {
        let tick_due = ticks::due(self.head.as_ref(), outcome, at, self.tick_every);
        if snapshot.is_none() && !tick_due {
            return Ok(Taken::Had);
        }
        let complete = snapshot.as_ref().is_some_and(|snapshot| snapshot.complete);
        let (observations, inner) = match snapshot {
            Some(snapshot) => (snapshot.observations, Some(snapshot.checkpoint)),
            None => (Vec::new(), None),
        };
        let mut writes = records::observations(&observations, self.key);
        if tick_due {
            let source = self.settings.name.as_str().into();
            writes.push(records::tick(&Tick { source, at, outcome, complete }));
        }
        let before = self.head;
        let head = Head {
            v: FORMAT,
            at,
            tick: if tick_due { at } else { before.map_or(at, |head| head.tick) },
            outcome: if tick_due { outcome } else { before.map_or(outcome, |head| head.outcome) },
        };
        let kept = inner.as_deref().or(self.inner.as_deref()).unwrap_or_default();
        let bytes = checkpoint::encode(&head, kept);
        let taken = self.request(writes, bytes).await?;
        if !matches!(taken, Taken::Had) {
            return Ok(taken);
        }
        self.metrics.appended(&self.settings.name).inc_by(observations.len() as u64);
        self.head = Some(head);
        if inner.is_some() {
            self.inner = inner;
        }
        Ok(taken)
    }

    async fn request(
        &self,
        records: Vec<pricemonitor_eventlog::Write>,
        checkpoint: Vec<u8>,
    ) -> Result<Taken, Ended> {
        let (answer, answered) = oneshot::channel();
        let source = self.settings.name.clone();
        let request = Request { source, records, checkpoint: Some(checkpoint), answer };
        self.to.send(request).await.map_err(|_| Ended)?;
        match answered.await {
            Ok(Ok(_)) => Ok(Taken::Had),
            Ok(Err(Error::Retry(why))) => {
                let why = format!("the event log cannot take it now: {why}");
                if self.health.ill(&self.part, why.clone()) {
                    tracing::warn!(source = self.settings.name, "{why}");
                }
                Ok(Taken::Later)
            }
            Ok(Err(Error::TooLarge(why))) => Ok(Taken::Never(SourceError::new(
                "too_large",
                format!(
                    "what the source `{}` shows cannot be kept: {why}; make the source, or its `mapping`, \
                     show shorter texts",
                    self.settings.name
                ),
            ))),
            Ok(Err(_)) | Err(_) => Err(Ended),
        }
    }

    /// Says why there is no look.
    fn doubt(&self, leap: Millis) {
        let why = format!(
            "the clock is {} ahead of the last look at `{}`: if it is wrong, set it right now; if it stays \
             so for a minute it is believed, and prices that are older than 30 days by it are forgotten",
            clock::span(leap),
            self.settings.name
        );
        if self.health.ill(&self.part, why.clone()) {
            tracing::warn!(source = self.settings.name, "{why}");
        }
    }

    fn worked(&mut self, at: Time) {
        self.failures = 0;
        self.metrics.source_last_success(&self.settings.name).set(at.millis() as f64 / 1000.0);
        if self.health.well(&self.part) {
            tracing::info!(source = self.settings.name, "the source is read");
        }
    }

    fn failed(&mut self, error: &SourceError) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.metrics.source_errors(&self.settings.name, error.reason).inc();
        if self.health.ill(&self.part, error.message.clone()) {
            tracing::warn!(source = self.settings.name, reason = error.reason, "{}", error.message);
        }
        let web = matches!(self.settings.kind, SourceKind::Http { .. });
        backoff(self.settings.interval, web, self.failures, error.retry_after, rand::random())
    }
}

/// How long to wait after the `failures`-th failure in a row. Files are looked at as ever; web
/// sources are spared: twice the wait each time, spread by a tenth so that many do not come at once.
fn backoff(
    interval: Duration,
    web: bool,
    failures: u32,
    retry_after: Option<Duration>,
    spread: f64,
) -> Duration {
    let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
    if !web {
        return interval.max(asked);
    }
    let doubled = interval.saturating_mul(1u32 << failures.saturating_sub(1).min(16));
    let wait = doubled.min(LONGEST_BACKOFF.max(interval));
    wait.max(asked).mul_f64(1.0 + spread.clamp(0.0, 1.0) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_web_source_is_spared_and_a_file_is_not() {
        let s = Duration::from_secs;
        assert_eq!(backoff(s(10), false, 9, None, 1.0), s(10));
        assert_eq!(backoff(s(10), true, 1, None, 0.0), s(10));
        assert_eq!(backoff(s(10), true, 3, None, 0.0), s(40));
        assert_eq!(backoff(s(10), true, 400, None, 0.0), s(300));
        assert_eq!(backoff(s(10), true, 3, None, 1.0), s(44));
        assert_eq!(backoff(s(600), true, 9, None, 0.0), s(600));
        assert_eq!(backoff(s(10), true, 1, Some(s(90)), 0.0), s(90));
        assert_eq!(backoff(s(10), true, 1, Some(s(90_000)), 0.0), s(3600));
    }
}
