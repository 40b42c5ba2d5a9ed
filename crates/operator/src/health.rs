//! Whether this replica is alive and ready.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A replica whose election has not turned for so long hangs.
const HANGS: Duration = Duration::from_secs(60);

/// What probes are told. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    turned: Instant,
    answered: bool,
}

impl Default for Health {
    fn default() -> Health {
        Health(Arc::new(Mutex::new(State { turned: Instant::now(), answered: false })))
    }
}

impl Health {
    /// The election has made a turn; whether the API has answered.
    pub fn turned(&self, answered: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.turned = Instant::now();
        state.answered |= answered;
    }

    /// Alive, or why not.
    ///
    /// # Errors
    /// A sentence.
    pub fn alive(&self) -> Result<(), &'static str> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.turned.elapsed() < HANGS { Ok(()) } else { Err("the election hangs\n") }
    }

    /// Ready to lead, or why not. A replica that stands by is ready.
    ///
    /// # Errors
    /// A sentence.
    pub fn ready(&self) -> Result<(), &'static str> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.answered { Ok(()) } else { Err("the Kubernetes API has not answered yet\n") }
    }
}
