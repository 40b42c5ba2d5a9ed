//! One connection through the proxy: two threads for each direction.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Shared, locked};

/// Bytes that are read at a time.
const PIECE: usize = 16 * 1024;
/// Pieces under way in a direction; the sender waits behind more.
const UNDER_WAY: usize = 64;
/// How often a thread that waits looks whether it is over.
const TURN: Duration = Duration::from_millis(10);

/// What the threads of a link share.
#[derive(Debug, Default)]
struct State {
    over: AtomicBool,
    torn: AtomicBool,
    /// What the server says is swallowed.
    mute: AtomicBool,
    /// Directions in which bytes may still come.
    open: AtomicUsize,
}

/// A connection of a client, and one to the server.
#[derive(Debug)]
pub(super) struct Link {
    client: TcpStream,
    server: Option<TcpStream>,
    state: Arc<State>,
    threads: Vec<JoinHandle<()>>,
}

/// Whose bytes they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    Client,
    Server,
}

/// Bytes, and when they are to be written.
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

impl Link {
    /// Without a server all that the client says is swallowed.
    pub(super) fn open(client: TcpStream, server: Option<TcpStream>, shared: &Arc<Shared>) -> Result<Link> {
        let _ = client.set_nodelay(true);
        let state = Arc::new(State::default());
        state.torn.store(server.is_none(), Ordering::SeqCst);
        let mut link = Link { client, server, state, threads: Vec::new() };
        if let Err(error) = link.start(shared) {
            link.end();
            return Err(error);
        }
        Ok(link)
    }

    fn start(&mut self, shared: &Arc<Shared>) -> Result<()> {
        let clone = |stream: &TcpStream| stream.try_clone().context("using a connection twice");
        let mut ways = vec![(clone(&self.client)?, self.server.as_ref().map(clone).transpose()?)];
        if let Some(server) = &self.server {
            let _ = server.set_nodelay(true);
            ways.push((clone(server)?, Some(clone(&self.client)?)));
        }
        self.state.open.store(ways.len(), Ordering::SeqCst);
        for (speaker, (from, to)) in [Speaker::Client, Speaker::Server].into_iter().zip(ways) {
            let (pieces, taken) = sync_channel(UNDER_WAY);
            let (shared, state) = (shared.clone(), self.state.clone());
            self.thread(move || read(speaker, from, &pieces, &shared, &state))?;
            let state = self.state.clone();
            self.thread(move || write(to, &taken, &state))?;
        }
        Ok(())
    }

    fn thread(&mut self, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new().name("proxy-link".to_owned()).spawn(run);
        self.threads.push(thread.context("starting a thread of the proxy")?);
        Ok(())
    }

    /// Whether it leads anywhere still.
    pub(super) fn is_alive(&self) -> bool {
        self.state.open.load(Ordering::SeqCst) > 0 && !self.state.over.load(Ordering::SeqCst)
    }

    /// Whether bytes of it were swallowed.
    pub(super) fn is_torn(&self) -> bool {
        self.state.torn.load(Ordering::SeqCst)
    }

    /// Closes both ends and waits for the threads.
    pub(super) fn end(self) {
        self.state.over.store(true, Ordering::SeqCst);
        let _ = self.client.shutdown(Shutdown::Both);
        if let Some(server) = &self.server {
            let _ = server.shutdown(Shutdown::Both);
        }
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// Takes what comes; the end of the channel is the end of what comes.
fn read(speaker: Speaker, mut from: TcpStream, pieces: &SyncSender<Piece>, shared: &Shared, state: &State) {
    let mut bytes = vec![0; PIECE];
    while !state.over.load(Ordering::SeqCst) {
        let Ok(count @ 1..) = from.read(&mut bytes) else { break };
        if shared.swallows.load(Ordering::SeqCst) {
            state.torn.store(true, Ordering::SeqCst);
        }
        // Once torn, for good: what comes behind a hole means nothing.
        if state.torn.load(Ordering::SeqCst) {
            continue;
        }
        match speaker {
            Speaker::Client => {
                if locked(&shared.cue).as_ref().is_some_and(|cue| cue(&bytes[..count])) {
                    state.mute.store(true, Ordering::SeqCst);
                    shared.muted.store(true, Ordering::SeqCst);
                }
            }
            Speaker::Server if state.mute.load(Ordering::SeqCst) => continue,
            Speaker::Server => {}
        }
        let due = Instant::now() + Duration::from_millis(shared.latency.load(Ordering::SeqCst));
        if pieces.send(Piece { due, bytes: bytes[..count].to_vec() }).is_err() {
            break;
        }
    }
}

/// Writes what was taken, when it is due; then closes that direction.
fn write(mut to: Option<TcpStream>, pieces: &Receiver<Piece>, state: &State) {
    while !state.over.load(Ordering::SeqCst) {
        let piece = match pieces.recv_timeout(TURN) {
            Ok(piece) => piece,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        while !state.over.load(Ordering::SeqCst) && Instant::now() < piece.due {
            std::thread::sleep(piece.due.saturating_duration_since(Instant::now()).min(TURN));
        }
        if to.as_mut().is_none_or(|to| to.write_all(&piece.bytes).is_err()) {
            break;
        }
    }
    if let Some(to) = to
        && !state.torn.load(Ordering::SeqCst)
    {
        let _ = to.shutdown(Shutdown::Write);
    }
    state.open.fetch_sub(1, Ordering::SeqCst);
}
