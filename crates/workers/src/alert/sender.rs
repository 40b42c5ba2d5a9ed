//! From the outbox to one channel.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use pricemonitor_model::{Alert, Millis, MonitorId, Time};
use pricemonitor_notify::{Channel, LONGEST_PAUSE, Next as Pace, Outcome, Sent};
use pricemonitor_store::{Database, DeliveryEnd, Pending, Unreadable};
use tokio_util::sync::CancellationToken;

use super::course::{Course, OWNED};
use super::wake::Wake;
use crate::clock::{self, Leaps};
use crate::health::{Health, Part};
use crate::metrics::MonitorMetrics;

/// Most alerts that are taken from the outbox at once; a channel takes as many as one message holds.
const TAKEN: usize = 32;
/// How often the outbox is looked at when nothing wakes the sender (retries that became due).
const LOOK: Duration = Duration::from_secs(1);
/// How long a sender goes on with what it took before it looks anew.
const TURN: Duration = Duration::from_secs(2);
/// What a turn may take beside that and the last answer: the database's part.
const BESIDE: Duration = Duration::from_secs(3);
/// Most by which the clock may run ahead unquestioned: further, and alerts that wait would be too old.
const LEAP: Millis = 5 * 60 * 1_000;
/// How long a sender waits when the database fails.
const TROUBLE: Duration = Duration::from_secs(2);

/// The sender of one channel.
pub struct Sender {
    /// The monitor.
    pub monitor: MonitorId,
    /// Name of this process among its like, the same over restarts.
    pub instance: String,
    /// The channel.
    pub channel: Box<dyn Channel>,
    /// Alerts on prices older than this when their turn comes are kept but not sent.
    pub max_age: Millis,
    /// The outbox.
    pub database: Database,
    /// Told what works.
    pub health: Health,
    /// Counted into.
    pub metrics: MonitorMetrics,
    /// Tells the time: [`now`](crate::now), but for tests.
    pub clock: fn() -> Time,
}

/// What is sent at once.
struct Message {
    alerts: Vec<Alert<'static>>,
    /// Their numbers in the outbox.
    numbers: Vec<i64>,
    /// Attempts before this one.
    attempts: u32,
}

/// A look into the outbox and what follows from it.
struct Turn<'t> {
    began: Instant,
    /// When it was asked whether the channel is the sender's own; the lease lasts from then on.
    asked: Instant,
    part: &'t Part,
    cancel: &'t CancellationToken,
}

/// What to do next.
enum Next {
    /// Look again when woken or when it is time.
    Wait,
    /// Wait so long, whatever comes.
    Pause(Duration),
    /// There is more.
    Again,
    /// The channel is gone.
    End,
}

impl Sender {
    /// Sends until cancelled, or until the channel is gone. A message that is under way when
    /// cancelled is finished and written down first.
    pub async fn run(self, wake: Wake, cancel: CancellationToken) {
        let part = Part::channel(self.monitor.as_str(), self.channel.name());
        let mut woken = wake.0.subscribe();
        let mut course = Course::default();
        let mut leaps = Leaps::new(LEAP, None);
        while !cancel.is_cancelled() {
            if let Err(leap) = leaps.judge((self.clock)(), Instant::now()) {
                self.doubt(&part, leap);
                course.trouble = true;
                if cancelled_within(&cancel, LOOK).await {
                    return;
                }
                continue;
            }
            let next = match self.turn(&mut course, &part, &cancel).await {
                Ok(next) => next,
                Err(error) => {
                    self.no_outbox(&part, &error);
                    (course.trouble, course.owned) = (true, None);
                    Next::Pause(TROUBLE)
                }
            };
            let stopped = match next {
                Next::Again => false,
                Next::End => true,
                Next::Pause(pause) => cancelled_within(&cancel, pause).await,
                Next::Wait => tokio::select! {
                    () = cancel.cancelled() => true,
                    changed = woken.changed() => changed.is_err(),
                    () = tokio::time::sleep(LOOK) => false,
                },
            };
            if stopped {
                return;
            }
        }
    }

    /// How long the sender keeps the channel to itself without a sign of life. It is renewed once half of it is over,
    /// so half of it must hold a whole turn: else another sender would repeat a message that still waits for its answer.
    fn lease(&self) -> Millis {
        let turn = OWNED + TURN + self.channel.patience() + BESIDE;
        i64::try_from(2 * turn.as_millis()).unwrap_or(i64::MAX)
    }

    fn doubt(&self, part: &Part, leap: Millis) {
        let why = format!(
            "the clock leapt ahead by {}: alerts wait for a minute, because by a wrong clock they would be \
             too old to be sent; set it right now if it is wrong",
            clock::span(leap)
        );
        if self.health.ill(part, why.clone()) {
            tracing::warn!(channel = self.channel.name(), "{why}");
        }
    }

    fn no_outbox(&self, part: &Part, error: &pricemonitor_store::Error) {
        let why = format!("the outbox cannot be used: {error}");
        if self.health.ill(part, why.clone()) {
            tracing::error!(channel = self.channel.name(), "{why}");
        }
    }

    /// Since when the channel is this sender's own, if it is: counts from before the question.
    async fn owned(
        &self,
        course: &mut Course,
        at: Time,
    ) -> Result<Option<Instant>, pricemonitor_store::Error> {
        if let Some(asked) = course.owned(at) {
            return Ok(Some(asked));
        }
        let (asked, name) = (Instant::now(), self.channel.name());
        course.owned = None;
        let owned = self.database.lease(&self.monitor, name, &self.instance, at, self.lease()).await?;
        course.owned = owned.then_some((asked, at));
        Ok(owned.then_some(asked))
    }

    async fn turn(
        &self,
        course: &mut Course,
        part: &Part,
        cancel: &CancellationToken,
    ) -> Result<Next, pricemonitor_store::Error> {
        let (name, at) = (self.channel.name(), (self.clock)());
        let Some(asked) = self.owned(course, at).await? else { return Ok(Next::Wait) };
        let due = self.database.due(&self.monitor, name, at, TAKEN).await?;
        self.put_aside_unreadable(due.unreadable).await?;
        let fresh = self.put_aside_stale(due.pending, at).await?;
        if std::mem::take(&mut course.trouble) {
            // It was the outbox or the clock that did not work, not the channel.
            self.health.well(part);
        }
        if fresh.is_empty() {
            return Ok(Next::Wait);
        }
        let mut left = VecDeque::from(fresh);
        let Some(mut message) = self.next_message(&mut left) else { return Ok(Next::Wait) };
        let turn = Turn { began: Instant::now(), asked, part, cancel };
        // Written down first: after a crash in between it is known that the message may have arrived.
        let open = self.database.attempting(name, &message.numbers, at).await?;
        if open < message.numbers.len() as u64 {
            // Somebody else has told them: the channel is not this sender's own any more. Not at once again, whatever the
            // reason is.
            course.owned = None;
            return Ok(Next::Wait);
        }
        // One message after the other, each written down together with the word that the next one is under way.
        loop {
            if turn.asked.elapsed() > OWNED + TURN + BESIDE {
                // The lease may not last for the answer. It is under way, for all that is known; so it is tried again.
                course.owned = None;
                return Ok(Next::Again);
            }
            let sent = self.channel.send(&message.alerts, (self.clock)()).await;
            let pace = course.pacer.after(&sent, message.attempts, (self.clock)(), rand::random());
            let following =
                if self.goes_on(&turn, &sent, &pace) { self.next_message(&mut left) } else { None };
            let next =
                self.written(&turn, &message, &sent, pace, following.as_ref(), &mut course.trouble).await?;
            match following {
                Some(following) if matches!(next, Next::Again) => message = following,
                following => {
                    if following.is_some() {
                        course.owned = None;
                    }
                    return Ok(next);
                }
            }
        }
    }

    /// The first of what is left, as many as fit into a message; none when none is left.
    fn next_message(&self, left: &mut VecDeque<Pending>) -> Option<Message> {
        let mut alerts: Vec<_> = left.iter().map(|pending| pending.alert.clone()).collect();
        if alerts.is_empty() {
            return None;
        }
        let taken = self.channel.fits(&alerts).clamp(1, alerts.len());
        alerts.truncate(taken);
        let numbers = left.iter().take(taken).map(|pending| pending.number).collect();
        let attempts = left.drain(..taken).map(|pending| pending.attempts).max().unwrap_or_default();
        Some(Message { alerts, numbers, attempts })
    }

    /// Whether the next message of a turn may follow at once.
    fn goes_on(&self, turn: &Turn<'_>, sent: &Sent, pace: &Pace) -> bool {
        matches!(sent.outcome, Outcome::Delivered { .. })
            && pace.at <= (self.clock)()
            && turn.began.elapsed() <= TURN
            && !turn.cancel.is_cancelled()
    }

    /// Writes down what came of a message, and that the `following` one is under way. Sent is sent: until that is
    /// written the message must not be taken up again, or an outbox that cannot be written would repeat it every few
    /// seconds. After trouble nothing follows at once.
    async fn written(
        &self,
        turn: &Turn<'_>,
        message: &Message,
        sent: &Sent,
        pace: Pace,
        following: Option<&Message>,
        trouble: &mut bool,
    ) -> Result<Next, pricemonitor_store::Error> {
        let (mut following, mut troubled) = (following, false);
        loop {
            match self.settle(message, sent, pace, following, turn.part).await {
                Ok(next) => {
                    // Other ends say themselves how the channel is.
                    *trouble &= matches!(sent.outcome, Outcome::Refused { .. });
                    // What was to follow was taken long ago, and another sender may have the channel by now.
                    return Ok(match next {
                        Next::Again if troubled => Next::Pause(Duration::ZERO),
                        next => next,
                    });
                }
                Err(error) if turn.cancel.is_cancelled() => return Err(error),
                Err(error) => {
                    self.no_outbox(turn.part, &error);
                    (*trouble, troubled, following) = (true, true, None);
                    cancelled_within(turn.cancel, TROUBLE).await;
                }
            }
        }
    }

    /// What is stored of an alert makes no sense (a damaged file, or a mistake of ours): nobody can be
    /// told of it, and the others must not wait for it.
    async fn put_aside_unreadable(
        &self,
        unreadable: Vec<Unreadable>,
    ) -> Result<(), pricemonitor_store::Error> {
        for Unreadable { number, id, reason } in unreadable {
            tracing::error!(
                monitor = %self.monitor,
                channel = self.channel.name(),
                alert = id.as_str(),
                "an alert is not sent: {reason}; the page still shows it"
            );
            self.database.attempting(self.channel.name(), &[number], (self.clock)()).await?;
            self.finish(&[number], DeliveryEnd::Refused, &reason).await?;
        }
        Ok(())
    }

    /// Long outages and replays do not spam: what is too old when its turn comes is kept, not sent. The
    /// age is that of the price, not of its way here, so that a replayed log tells nobody twice.
    async fn put_aside_stale(
        &self,
        due: Vec<Pending>,
        at: Time,
    ) -> Result<Vec<Pending>, pricemonitor_store::Error> {
        let (fresh, stale): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|pending| at.since(pending.alert.observed_at) <= self.max_age);
        if !stale.is_empty() {
            let numbers: Vec<i64> = stale.iter().map(|pending| pending.number).collect();
            let reason = format!("older than {} s when its turn came", self.max_age / 1000);
            self.finish(&numbers, DeliveryEnd::Stale, &reason).await?;
        }
        Ok(fresh)
    }

    /// Writes down what came of a message, then says what to do next.
    async fn settle(
        &self,
        message: &Message,
        sent: &Sent,
        next: Pace,
        following: Option<&Message>,
        part: &Part,
    ) -> Result<Next, pricemonitor_store::Error> {
        let (name, at) = (self.channel.name(), (self.clock)());
        let Message { numbers, attempts, .. } = message;
        match &sent.outcome {
            Outcome::Delivered { message_id } => {
                let following = following.map_or(&[][..], |following| &following.numbers);
                let message_id = message_id.as_deref();
                let open = self.database.delivered(name, numbers, message_id, following, at).await?;
                self.count("ok", numbers.len());
                self.health.well(part);
                if open < following.len() as u64 {
                    // Somebody else has told those.
                    return Ok(Next::Pause(Duration::ZERO));
                }
            }
            Outcome::Refused { reason } => {
                tracing::warn!(channel = name, "the channel refuses the message: {reason}");
                self.finish(numbers, DeliveryEnd::Refused, reason).await?;
            }
            Outcome::Gone { reason } => {
                tracing::error!(channel = name, "the channel is gone and is not used any more: {reason}");
                self.health.ill(part, format!("gone, not used any more: {reason}"));
                self.finish(numbers, DeliveryEnd::Gone, reason).await?;
                return Ok(Next::End);
            }
            Outcome::Retry { reason } | Outcome::Ambiguous { reason } if next.give_up => {
                tracing::error!(channel = name, "given up after {} attempts: {reason}", attempts + 1);
                self.health.ill(part, reason.clone());
                self.finish(numbers, DeliveryEnd::Refused, &format!("given up: {reason}")).await?;
            }
            Outcome::Retry { reason } => self.again(numbers, reason, next.at, false, part).await?,
            Outcome::Ambiguous { reason } => self.again(numbers, reason, next.at, true, part).await?,
        }
        // No longer than any pause can be, wherever the clock was set between the two looks at it.
        let pause = next.at.since(at).min(LONGEST_PAUSE);
        Ok(if pause > 0 { Next::Pause(Duration::from_millis(pause.unsigned_abs())) } else { Next::Again })
    }

    async fn again(
        &self,
        numbers: &[i64],
        reason: &str,
        at: Time,
        ambiguous: bool,
        part: &Part,
    ) -> Result<(), pricemonitor_store::Error> {
        let name = self.channel.name();
        if self.health.ill(part, reason) {
            tracing::warn!(channel = name, "not delivered, tried again later: {reason}");
        }
        self.database.failed(name, numbers, reason, at, ambiguous).await?;
        self.count(if ambiguous { "ambiguous" } else { "retried" }, numbers.len());
        Ok(())
    }

    async fn finish(
        &self,
        numbers: &[i64],
        end: DeliveryEnd,
        reason: &str,
    ) -> Result<(), pricemonitor_store::Error> {
        let name = self.channel.name();
        self.database.finish(name, numbers, end, reason, (self.clock)()).await?;
        self.count(end.as_str(), numbers.len());
        Ok(())
    }

    fn count(&self, result: &str, alerts: usize) {
        self.metrics.deliveries(self.channel.name(), result).inc_by(alerts as u64);
    }
}

async fn cancelled_within(cancel: &CancellationToken, wait: Duration) -> bool {
    tokio::select! {
        () = cancel.cancelled() => true,
        () = tokio::time::sleep(wait) => false,
    }
}
