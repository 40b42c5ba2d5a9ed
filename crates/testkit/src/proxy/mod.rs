//! A TCP proxy in front of any server, which makes the network bad on demand.
//!
//! It adds latency, cuts connections, refuses new ones, or swallows every byte while connections stay open (a *half-open*
//! connection: what a pulled cable or a dead router looks like). Plain threads, all joined when it is dropped.

mod link;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{place, wait};
use link::Link;

/// How often the thread that accepts looks around.
const TURN: Duration = Duration::from_millis(5);
/// Longest wait for that thread to do what it was told.
const HEARD: Duration = Duration::from_secs(10);
/// Longest wait for the server to take a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// A proxy on a loopback port of its own.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// Tells from what a client says whether this is what was waited for.
type Cue = Box<dyn Fn(&[u8]) -> bool + Send>;

/// What the threads share.
#[derive(Default)]
struct Shared {
    ending: AtomicBool,
    /// New connections are refused: nobody listens.
    refuses: AtomicBool,
    /// Whether somebody listens now.
    listens: AtomicBool,
    /// Every byte is read and thrown away.
    swallows: AtomicBool,
    /// Milliseconds that every byte waits, in each direction.
    latency: AtomicU64,
    accepted: AtomicU64,
    /// The answer to what this recognizes never comes, nor any behind it.
    cue: Mutex<Option<Cue>>,
    /// Whether that has happened.
    muted: AtomicBool,
    server: Mutex<Option<SocketAddr>>,
    links: Mutex<Vec<Link>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Proxy {
    /// A proxy that leads nowhere yet: connections are closed at once until [`Proxy::aim`].
    ///
    /// # Errors
    /// When there is no free port.
    pub fn new() -> Result<Proxy> {
        let port = place::server_port()?;
        let shared = Arc::new(Shared::default());
        let listener = listen(port)?;
        shared.listens.store(true, Ordering::SeqCst);
        let theirs = shared.clone();
        let acceptor = std::thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || accept(&theirs, port, Some(listener)))
            .context("starting the proxy's thread")?;
        Ok(Proxy { port, shared, acceptor: Some(acceptor) })
    }

    /// A proxy in front of a server on this machine.
    ///
    /// # Errors
    /// As for [`Proxy::new`].
    pub fn to(port: u16) -> Result<Proxy> {
        let proxy = Proxy::new()?;
        proxy.aim(port);
        Ok(proxy)
    }

    /// Leads new connections to this port from now on.
    pub fn aim(&self, port: u16) {
        *locked(&self.shared.server) = Some(SocketAddr::from(([127, 0, 0, 1], port)));
    }

    /// Its port. It stays the same, whatever happens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Lets every byte wait this long (whole milliseconds), in each direction.
    pub fn delay(&self, latency: Duration) {
        self.shared.latency.store(latency.as_millis() as u64, Ordering::SeqCst);
    }

    /// Cuts all connections; new ones are taken. Tells how many there were.
    pub fn cut(&self) -> usize {
        let links = std::mem::take(&mut *locked(&self.shared.links));
        let alive = links.iter().filter(|link| link.is_alive()).count();
        links.into_iter().for_each(Link::end);
        alive
    }

    /// Refuses new connections, as a server that is not there does. Those that are open stay.
    ///
    /// # Errors
    /// When its thread does not hear.
    pub fn refuse(&self) -> Result<()> {
        self.shared.refuses.store(true, Ordering::SeqCst);
        self.listening(false)
    }

    /// Takes connections and swallows every byte of all of them, in both directions. Nothing is closed.
    pub fn swallow(&self) {
        self.shared.swallows.store(true, Ordering::SeqCst);
    }

    /// Of each connection whose client says something that `cue` recognizes (it sees what came in one piece, which is a
    /// whole request as a rule), the server hears that and what follows, and its answers are swallowed. Until
    /// [`Proxy::unmute`].
    pub fn mute_after(&self, cue: impl Fn(&[u8]) -> bool + Send + 'static) {
        self.shared.muted.store(false, Ordering::SeqCst);
        *locked(&self.shared.cue) = Some(Box::new(cue));
    }

    /// Whether [`Proxy::mute_after`] has come to pass.
    pub fn has_muted(&self) -> bool {
        self.shared.muted.load(Ordering::SeqCst)
    }

    /// No more connections are muted; those that are stay so.
    pub fn unmute(&self) {
        *locked(&self.shared.cue) = None;
    }

    /// Leads on again, without latency. Connections of which bytes were swallowed are cut: nobody could go on with
    /// them.
    ///
    /// # Errors
    /// When its thread does not hear.
    pub fn resume(&self) -> Result<()> {
        self.delay(Duration::ZERO);
        if self.shared.swallows.swap(false, Ordering::SeqCst) {
            let (torn, whole) = locked(&self.shared.links).drain(..).partition(Link::is_torn);
            locked(&self.shared.links).extend::<Vec<Link>>(whole);
            let torn: Vec<Link> = torn;
            torn.into_iter().for_each(Link::end);
        }
        self.shared.refuses.store(false, Ordering::SeqCst);
        self.listening(true)
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        locked(&self.shared.links).iter().filter(|link| link.is_alive()).count()
    }

    /// Connections that were ever taken.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    fn listening(&self, wanted: bool) -> Result<()> {
        wait::until("the proxy to hear", HEARD, || self.shared.listens.load(Ordering::SeqCst) == wanted)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.cut();
    }
}

/// A panic of a test's thread leaves nothing half done here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(port: u16) -> Result<TcpListener> {
    let listener =
        TcpListener::bind(("127.0.0.1", port)).with_context(|| format!("listening on port {port}"))?;
    listener.set_nonblocking(true).context("asking for a listener that does not block")?;
    Ok(listener)
}

fn accept(shared: &Arc<Shared>, port: u16, mut listener: Option<TcpListener>) {
    while !shared.ending.load(Ordering::SeqCst) {
        if shared.refuses.load(Ordering::SeqCst) {
            listener = None;
        } else if listener.is_none() {
            listener = listen(port).ok();
        }
        shared.listens.store(listener.is_some(), Ordering::SeqCst);
        match listener.as_ref().map(TcpListener::accept) {
            Some(Ok((client, _))) => {
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                if let Ok(Some(link)) = connect(shared, client) {
                    locked(&shared.links).push(link);
                }
                continue;
            }
            Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => listener = None,
            _ => {}
        }
        let over = locked(&shared.links).extract_if(.., |link| !link.is_alive()).collect::<Vec<_>>();
        over.into_iter().for_each(Link::end);
        std::thread::sleep(TURN);
    }
}

/// `None`: the client is sent away, because nobody is behind.
fn connect(shared: &Arc<Shared>, client: TcpStream) -> Result<Option<Link>> {
    client.set_nonblocking(false)?;
    let server = *locked(&shared.server);
    let server = match server {
        // While bytes are swallowed it does not matter whether the server lives.
        Some(server) => TcpStream::connect_timeout(&server, CONNECT).ok(),
        None => None,
    };
    if server.is_none() && !shared.swallows.load(Ordering::SeqCst) {
        return Ok(None);
    }
    Link::open(client, server, shared).map(Some)
}
