//! A receiver of webhooks that fails in every way.

use std::time::Duration;

use pricemonitor_testkit::webhook::{Answer, Receiver};

/// Longest that the channel waits for an answer, as its manifest says.
pub const TIMEOUT: &str = "2s";

/// What the receiver does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Takes it, like a busy receiver.
    Takes,
    /// Takes it after a second.
    Slowly,
    /// 500.
    Breaks,
    /// 503.
    Away,
    /// 429 with the wish for a pause.
    TooMany,
    /// Takes it and says nothing until the caller gives up.
    Hangs,
    /// Takes it and closes the connection.
    Drops,
    /// Takes it, and its answer breaks off within the first line.
    BreaksOff,
    /// Takes it, and says so by an answer that breaks off behind its head.
    Mumbles,
    /// 400: it will never take this one.
    Refuses,
}

impl Manner {
    /// All of them.
    pub const ALL: [Manner; 10] = [
        Manner::Takes,
        Manner::Slowly,
        Manner::Breaks,
        Manner::Away,
        Manner::TooMany,
        Manner::Hangs,
        Manner::Drops,
        Manner::BreaksOff,
        Manner::Mumbles,
        Manner::Refuses,
    ];

    /// The manner towards request `number`: all of them within the first forty.
    pub fn of(number: usize, phase: u64) -> Manner {
        match (number + (phase % 40) as usize) % 40 {
            5 => Manner::Breaks,
            9 => Manner::TooMany,
            13 => Manner::Drops,
            17 => Manner::Hangs,
            21 => Manner::Slowly,
            25 => Manner::Away,
            29 => Manner::BreaksOff,
            33 => Manner::Mumbles,
            37 => Manner::Refuses,
            _ => Manner::Takes,
        }
    }

    /// Whether the message is with the receiver.
    pub fn has_it(self) -> bool {
        !matches!(self, Manner::Breaks | Manner::Away | Manner::TooMany | Manner::Refuses)
    }

    /// Whether the caller cannot know that.
    pub fn is_ambiguous(self) -> bool {
        matches!(self, Manner::Hangs | Manner::Drops | Manner::BreaksOff)
    }
}

/// Where a monitor's channel sends to: the receiver has one for each.
pub fn path(monitor: &str) -> String {
    format!("/{monitor}")
}

/// Starts the receiver.
pub fn receiver(phase: u64) -> Receiver {
    let answer = move |number| match Manner::of(number, phase) {
        Manner::Takes => {
            // It takes its time: that is when a kill falls between send and mark.
            std::thread::sleep(Duration::from_millis(10));
            Answer::status(200)
        }
        Manner::Slowly => {
            std::thread::sleep(Duration::from_secs(1));
            Answer::status(200)
        }
        Manner::Breaks => Answer::status(500),
        Manner::Away => Answer::status(503),
        Manner::TooMany => Answer::Reply(429, vec![("Retry-After".into(), "1".into())], String::new()),
        Manner::Hangs => Answer::Hang(Duration::from_secs(5)),
        Manner::Drops => Answer::Drop,
        Manner::BreaksOff => Answer::Torn("HTTP/1.1 20"),
        Manner::Mumbles => Answer::Torn("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthank y"),
        Manner::Refuses => Answer::status(400),
    };
    Receiver::start(move |request| answer(request.number)).unwrap()
}
