//! The signals that ask for an end: the first for one in order, the second for one at once.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::exit::{Failure, Result};
use crate::input::small_runtime;
use crate::out;

/// How long the last sentence may take; standard error may be a pipe that nobody reads.
const LAST_SENTENCE: Duration = Duration::from_millis(200);

/// Tells of the first signal.
pub(crate) struct Signals(mpsc::Receiver<()>);

impl Signals {
    /// Hears them from now on, on a thread of their own: whatever the rest waits for, a second one is
    /// heard and ends the process.
    pub(crate) fn listen() -> Result<Signals> {
        let runtime = small_runtime()?;
        let (terminate, interrupt) = runtime.block_on(async {
            let terminate = signal(SignalKind::terminate()).map_err(Failure::runtime)?;
            Ok((terminate, signal(SignalKind::interrupt()).map_err(Failure::runtime)?))
        })?;
        let (to, first) = mpsc::channel(1);
        std::thread::Builder::new()
            .name("pm-signals".to_owned())
            .spawn(move || runtime.block_on(hear(terminate, interrupt, to)))
            .map_err(Failure::runtime)?;
        Ok(Signals(first))
    }

    /// Waits for a signal (then all is well) or for a worker's last words.
    pub(crate) async fn first(&mut self, died: &mut mpsc::Receiver<String>) -> Result<()> {
        tokio::select! {
            _ = self.0.recv() => Ok(()),
            Some(why) = died.recv() => Err(Failure::runtime(why)),
        }
    }
}

async fn hear(mut terminate: Signal, mut interrupt: Signal, first: mpsc::Sender<()>) {
    let mut asked = false;
    loop {
        let (name, code) = tokio::select! {
            _ = terminate.recv() => ("SIGTERM", 143),
            _ = interrupt.recv() => ("SIGINT", 130),
        };
        if asked {
            end_at_once(name, code);
        }
        asked = true;
        // Nobody listens when the end in order has begun for another reason.
        let _ = first.try_send(());
    }
}

/// Ends the process without waiting for anything. As with `kill -9` nothing acknowledged is lost.
fn end_at_once(name: &str, code: i32) -> ! {
    let sentence = format!(
        "{name} came again: ended at once, before everything was in order; nothing that was kept is lost, \
         the next start goes on from there"
    );
    let (done, said) = std::sync::mpsc::channel();
    let speaker = std::thread::Builder::new().spawn(move || {
        out::tell(&sentence);
        let _ = done.send(());
    });
    if speaker.is_ok() {
        let _ = said.recv_timeout(LAST_SENTENCE);
    }
    std::process::exit(code)
}
