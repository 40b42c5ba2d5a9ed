//! Taking the address and serving connections, with bounds on their number and patience.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::guard::{self, Local};
use crate::live::Live;
use crate::options::Options;
use crate::prices::Prices;
use crate::{api, assets};

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 512;
/// How long a connection may take over its next request's head, and stay idle.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How long connections may take to end after `stop`.
const LAST_PATIENCE: Duration = Duration::from_millis(1500);

/// An address that is ours, not yet served.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    answers: Answers,
}

/// What an address answers with: nothing but 404 at first. It may change while connections are open: each request is
/// answered with what counts when it comes, and none is lost by the change.
#[derive(Clone, Debug)]
pub struct Answers {
    app: watch::Sender<Router>,
    port: u16,
}

/// Takes the address. A port of 0 takes a free one.
///
/// # Errors
/// [`Error::Taken`] when somebody else listens there, [`Error::Bind`] for everything else.
pub async fn bind(listen: SocketAddr) -> Result<Bound, Error> {
    let listener = TcpListener::bind(listen).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Error::Taken(listen),
        _ => Error::Bind { address: listen, error },
    })?;
    let address = listener.local_addr().map_err(|error| Error::Bind { address: listen, error })?;
    let answers = Answers { app: watch::Sender::new(Router::new()), port: address.port() };
    Ok(Bound { listener, address, answers })
}

impl Answers {
    /// `extra` alone, for processes without a page and until there is one. Whatever host is asked for is served: there
    /// is nothing of a person's in it.
    pub fn only(&self, extra: Router) {
        let _before = self.app.send_replace(extra);
    }

    /// The page until `stop`; gives back when it has ended its live streams.
    ///
    /// `extra` is served on the same address (`/metrics`, `/livez`, `/readyz`): with the check of
    /// the host, without the token, because probes have none.
    pub async fn page(
        &self,
        options: Options,
        prices: Arc<dyn Prices>,
        extra: Router,
        stop: CancellationToken,
    ) {
        let (live, poller) = Live::start(prices.clone(), &options, stop.clone());
        let pages = api::router(&options, prices, live, stop).merge(assets::router(&options));
        let _before = self.app.send_replace(guard::protect(pages, extra, &options, self.port));
        // Ends by itself on `stop`.
        let _ = poller.await;
    }
}

impl Bound {
    /// Where the page is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it answers with.
    pub fn answers(&self) -> Answers {
        self.answers.clone()
    }

    /// Answers until `stop`, then ends connections within two seconds.
    ///
    /// # Errors
    /// [`Error::Accept`] when the socket breaks.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), Error> {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        let result = loop {
            // Ended connections are forgotten as they end, so the set stays as small as the room.
            while connections.try_join_next().is_some() {}
            let next = async {
                let permit = room.clone().acquire_owned().await;
                (permit, self.listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = stop.cancelled() => break Ok(()),
                next = next => next,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (app, stop) = (self.answers.app.subscribe(), stop.clone());
                    connections.spawn(async move {
                        connection(stream, app, stop).await;
                        drop(permit);
                    });
                }
                // The peer's own failures, and a passing lack of descriptors.
                Err(error) if passing(&error) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => break Err(Error::Accept { address: self.address, error }),
            }
        };
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_PATIENCE, all).await.is_err() {
            connections.shutdown().await;
        }
        result
    }
}

fn passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    // 23 and 24: too many open files in the system and in the process.
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
        || matches!(error.raw_os_error(), Some(23 | 24))
}

async fn connection(stream: TcpStream, app: watch::Receiver<Router>, stop: CancellationToken) {
    let Ok(local) = stream.local_addr() else { return };
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        // The host check wants to know under which address it was reached.
        request.extensions_mut().insert(Local(local));
        let app = app.borrow().clone();
        TowerToHyperService::new(app).call(request)
    });
    let mut connection = std::pin::pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        // A broken connection concerns nobody but its peer.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
