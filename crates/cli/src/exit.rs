//! How the program ends.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done, or stopped as asked |
//! | 1 | the input or the surroundings are wrong: manifest, folder, port, secret |
//! | 2 | the command line is wrong (clap) |
//! | 3 | it failed while running |
//! | 130, 143 | a second SIGINT or SIGTERM came while it stopped: ended at once |

use std::fmt::Display;
use std::process::ExitCode;

use crate::out;

/// A failure, told to a person in a sentence.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

/// A command's result.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Something a person can put right before the next start.
    pub(crate) fn input(message: impl Display) -> Failure {
        Failure { code: 1, message: message.to_string() }
    }

    /// Something went wrong while running.
    pub(crate) fn runtime(message: impl Display) -> Failure {
        Failure { code: 3, message: message.to_string() }
    }

    /// Prints the sentence and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        out::tell(&format!("error: {}", self.message));
        ExitCode::from(self.code)
    }
}
