//! What can go wrong before the page is up.

use std::net::SocketAddr;

/// The page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else listens there.
    #[error("{0} is taken by another program: stop it, or choose another address with `--listen`")]
    Taken(SocketAddr),
    /// The system does not let us listen there.
    #[error("cannot listen on {address}: {error}; choose another address with `--listen`")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The listening socket broke.
    #[error("cannot accept connections on {address}: {error}")]
    Accept {
        /// The address that was bound.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
}
