//! Telling open pages that something is new.
//!
//! One task asks the store for its cursor while at least one page listens. What it finds is kept
//! in a `watch`: a slow page misses the steps in between, never the last one, and nothing queues.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use futures::Stream;
use futures::stream;
use pricemonitor_store::query::Cursor;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::options::Options;
use crate::prices::{Prices, QueryError};

/// Pages that may listen at once.
const LISTENERS: usize = 128;
/// How often a silent stream shows that it is alive. The page takes three missed beats for a loss.
const BEAT: Duration = Duration::from_secs(10);
/// The store's answer is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the poller saw last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    cursor: Cursor,
    /// Hash of the notices.
    notices: u64,
    /// Whether the store answered.
    answering: bool,
}

/// The door for pages that want to listen.
#[derive(Clone)]
pub(crate) struct Live {
    seen: watch::Sender<Seen>,
    arrived: Arc<Notify>,
    room: Arc<Semaphore>,
    prices: Arc<dyn Prices>,
    stop: CancellationToken,
}

impl Live {
    /// Starts the poller, which ends on `stop`.
    pub(crate) fn start(
        prices: Arc<dyn Prices>,
        options: &Options,
        stop: CancellationToken,
    ) -> (Live, JoinHandle<()>) {
        let live = Live {
            seen: watch::Sender::new(Seen::default()),
            arrived: Arc::new(Notify::new()),
            room: Arc::new(Semaphore::new(LISTENERS)),
            prices,
            stop,
        };
        let (poller, notices, refresh) = (live.clone(), options.notices.clone(), options.refresh);
        let task = tokio::spawn(async move {
            let stop = poller.stop.clone();
            let forever = async {
                loop {
                    if poller.seen.receiver_count() == 0 {
                        poller.arrived.notified().await;
                    }
                    poller.look(&*notices).await;
                    tokio::time::sleep(refresh).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => (),
                () = forever => (),
            }
        });
        (live, task)
    }

    async fn look(&self, notices: &(dyn Fn() -> Vec<crate::Notice> + Send + Sync)) {
        let mut hasher = DefaultHasher::new();
        notices().hash(&mut hasher);
        let hash = hasher.finish();
        let answer = ask(&*self.prices).await;
        self.seen.send_if_modified(|seen| {
            let mut new = Seen { notices: hash, answering: answer.is_ok(), ..*seen };
            if let Ok(cursor) = &answer {
                new.cursor = *cursor;
            }
            std::mem::replace(seen, new) != new
        });
    }

    /// Events for one page, which knows everything up to `known`; `None` when too many listen.
    ///
    /// First comes `ready` with the cursor, or `changed` when there is something new since `known`.
    /// Then `changed` and `notices` as they happen, `beat` when nothing does, `bye` at the end.
    pub(crate) async fn listen(
        &self,
        known: Option<Cursor>,
    ) -> Option<impl Stream<Item = Result<Event, Infallible>> + Send + 'static> {
        let permit = self.room.clone().try_acquire_owned().ok()?;
        let mut seen = self.seen.subscribe();
        // What it holds may be old if nobody listened; what comes next is news.
        seen.mark_unchanged();
        self.arrived.notify_one();
        let now = ask(&*self.prices).await.ok();
        let (first, cursor) = match (known, now) {
            (Some(known), Some(now)) if known != now => ("changed", now),
            (_, now) => ("ready", now.or(known).unwrap_or_default()),
        };
        let listener = Listener {
            seen,
            cursor,
            notices: None,
            first: Some(first),
            stop: self.stop.clone(),
            ended: false,
            _permit: permit,
        };
        Some(stream::unfold(listener, Listener::next))
    }
}

async fn ask(prices: &dyn Prices) -> Result<Cursor, QueryError> {
    let late = || QueryError("the store did not answer".to_owned());
    tokio::time::timeout(PATIENCE, prices.cursor()).await.unwrap_or_else(|_| Err(late()))
}

/// One page's place in the stream.
struct Listener {
    seen: watch::Receiver<Seen>,
    cursor: Cursor,
    notices: Option<u64>,
    first: Option<&'static str>,
    stop: CancellationToken,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Listener)> {
        if self.ended {
            return None;
        }
        let event = match self.first.take() {
            Some(first) => self.event(first),
            None => self.wait().await,
        };
        Some((Ok(event), self))
    }

    async fn wait(&mut self) -> Event {
        loop {
            let stop = self.stop.clone();
            let changed = tokio::select! {
                // The end first: a busy store must not keep us from it.
                biased;
                () = stop.cancelled() => None,
                changed = tokio::time::timeout(BEAT, self.seen.changed()) => Some(changed),
            };
            match changed {
                None | Some(Ok(Err(_))) => {
                    self.ended = true;
                    return Event::default().event("bye").data("{}");
                }
                Some(Err(_)) => return Event::default().event("beat").data("{}"),
                Some(Ok(Ok(()))) => {}
            }
            let seen = *self.seen.borrow_and_update();
            if seen.answering && seen.cursor != self.cursor {
                self.cursor = seen.cursor;
                // News of the notices travel with the next event: the page asks for both.
                self.notices = Some(seen.notices);
                return self.event("changed");
            }
            if self.notices.replace(seen.notices) != Some(seen.notices) {
                return Event::default().event("notices").data("{}");
            }
        }
    }

    fn event(&self, name: &str) -> Event {
        let Cursor { rows, alerts } = self.cursor;
        Event::default()
            .event(name)
            .id(format!("{rows}-{alerts}"))
            .data(format!("{{\"rows\":{rows},\"alerts\":{alerts}}}"))
    }
}

/// The cursor in a `Last-Event-ID`; `None` for anything that we did not write.
pub(crate) fn cursor(id: &str) -> Option<Cursor> {
    let (rows, alerts) = id.split_once('-')?;
    Some(Cursor { rows: rows.parse().ok()?, alerts: alerts.parse().ok()? })
}
