//! How many rows of a batch are written at once.

use std::time::Duration;

/// Longest that a write may take and fail without being too large: a server that is away says so sooner, and to wait
/// for a lock takes less.
const SLOW: Duration = Duration::from_secs(20);
/// Fewest rows of a piece. What a server cannot write of these in time it cannot write at all.
const FEWEST: usize = 250;

/// The size of pieces: the whole batch as a rule. A database that is too slow for it would be given the same batch for
/// ever, so after a write that was given up for its length the next one has half of it, and grows again with every one
/// that is written.
#[derive(Debug)]
pub(super) struct Pieces {
    most: usize,
}

impl Default for Pieces {
    fn default() -> Pieces {
        Pieces { most: usize::MAX }
    }
}

impl Pieces {
    /// Most rows that are to be written at once.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Learns from a write of so many rows.
    pub(super) fn after(&mut self, rows: usize, took: Duration, well: bool) {
        if !well && took >= SLOW {
            self.most = (rows / 2).max(FEWEST);
        } else if well && took < SLOW {
            self.most = self.most.saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(75);

    #[test]
    fn a_batch_that_takes_too_long_comes_in_pieces_that_become_whole_again() {
        let mut pieces = Pieces::default();
        pieces.after(40_000, Duration::from_millis(30), false);
        assert_eq!(pieces.most(), usize::MAX, "a server that is away is not slow");
        pieces.after(40_000, LONG, false);
        pieces.after(20_000, LONG, false);
        assert_eq!(pieces.most(), 10_000);
        pieces.after(10_000, Duration::from_secs(50), true);
        assert_eq!(pieces.most(), 10_000, "no more than it just bears");
        pieces.after(10_000, Duration::from_secs(10), true);
        assert_eq!(pieces.most(), 20_000);
        for _ in 0..64 {
            pieces.after(20_000, Duration::from_millis(30), true);
        }
        assert_eq!(pieces.most(), usize::MAX);
        for _ in 0..64 {
            pieces.after(pieces.most().min(40_000), LONG, false);
        }
        assert_eq!(pieces.most(), FEWEST, "it stays something");
    }
}
