//! Waiting with an end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks `is_so` every 20 ms until it says yes.
///
/// # Errors
/// When it did not within `within`; the message names `what` was waited for.
pub fn until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) -> Result<()> {
    value(what, within, || is_so().then_some(()))
}

/// Asks `look` every 20 ms until it has a value.
///
/// # Errors
/// When it had none within `within`; the message names `what` was waited for.
pub fn value<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + within;
    loop {
        if let Some(value) = look() {
            return Ok(value);
        }
        if Instant::now() >= end {
            bail!("waited {:.1} s in vain: {what}", within.as_secs_f64());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
