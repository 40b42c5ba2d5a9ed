//! Where a source stands, as the producer keeps it: its own line in front of the source's bytes.

use pricemonitor_model::{Outcome, Time};
use serde::{Deserialize, Serialize};

/// What the producer remembers of a source beside the source's own checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Format.
    pub v: u32,
    /// Time of the last look that was appended; the next one is never earlier.
    pub at: Time,
    /// Time of the last tick.
    pub tick: Time,
    /// Outcome that the last tick told.
    pub outcome: Outcome,
}

/// Format of [`Head`] that this program writes.
pub(super) const FORMAT: u32 = 1;

/// One line of JSON, then the source's bytes.
pub(super) fn encode(head: &Head, inner: &[u8]) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(head).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(inner);
    bytes
}

/// The head and the source's bytes; `None` for bytes that this program does not know.
pub(super) fn decode(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    (head.v <= FORMAT).then_some((head, &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_survives_with_any_inner_bytes() {
        let head = Head {
            v: FORMAT,
            at: Time::from_seconds(5),
            tick: Time::from_seconds(4),
            outcome: Outcome::Failed,
        };
        for inner in [&b""[..], b"\n", b"{}\nx\xff\x00"] {
            assert_eq!(decode(&encode(&head, inner)), Some((head, inner)));
        }
        for broken in [&b""[..], b"{}", b"{}\n", b"\n", b"{\"v\":9,\"at\":\"2026-01-01T00:00:00Z\"}\n"] {
            assert_eq!(decode(broken), None);
        }
    }
}
