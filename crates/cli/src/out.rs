//! The one way to standard output and standard error.
//!
//! `println!` panics when nobody reads any more (`pricemonitor validate ... | head -1`); here a
//! reader that went away has had enough, which is no failure. The lints `print_stdout` and
//! `print_stderr` keep others from printing.

use std::io::{self, Write};

use crate::exit::{Failure, Result};

/// Writes a line to standard output.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::out::text(&format!("{}\n", format_args!($($text)*)))
    };
}
pub(crate) use say;

/// Writes text to standard output.
///
/// # Errors
/// When it cannot be written, unless nobody reads it any more.
pub(crate) fn text(text: &str) -> Result<()> {
    bytes(text.as_bytes())
}

/// Writes bytes to standard output, as [`text`].
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    ended(out.write_all(bytes).and_then(|()| out.flush()))
}

/// What a write to standard output came to: nobody reading any more is a quiet end.
pub(crate) fn ended(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::runtime(format!(
            "cannot write to standard output: {error}; see where it leads to and whether there is room"
        ))),
        _ => Ok(()),
    }
}

/// Writes text to standard output if that can be done: for `up`, which goes on without it.
pub(crate) fn show(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line to standard error, if anybody reads it.
pub(crate) fn tell(line: &str) {
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}
