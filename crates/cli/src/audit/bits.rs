//! A set of offsets: one bit for each offset of a range.

use std::ops::Range;

/// Offsets of a range, 8 of them in a byte.
#[derive(Clone, Debug)]
pub(super) struct Bits {
    range: Range<u64>,
    words: Vec<u64>,
}

impl Bits {
    /// The empty set.
    pub(super) fn of(range: Range<u64>) -> Bits {
        let words = range.end.saturating_sub(range.start).div_ceil(64) as usize;
        Bits { range, words: vec![0; words] }
    }

    fn place(&self, offset: u64) -> Option<(usize, u64)> {
        let at = self.range.contains(&offset).then(|| offset - self.range.start)?;
        Some(((at / 64) as usize, 1 << (at % 64)))
    }

    /// Adds an offset; offsets beyond the range are left out. Tells whether it was there already.
    pub(super) fn add(&mut self, offset: u64) -> bool {
        let Some((word, bit)) = self.place(offset) else { return false };
        let before = self.words[word] & bit != 0;
        self.words[word] |= bit;
        before
    }

    /// Whether an offset is there.
    pub(super) fn has(&self, offset: u64) -> bool {
        self.place(offset).is_some_and(|(word, bit)| self.words[word] & bit != 0)
    }

    /// How many are there.
    pub(super) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// How many are there from an offset on.
    pub(super) fn count_from(&self, offset: u64) -> u64 {
        let none = Bits { range: self.range.clone(), words: vec![0; self.words.len()] };
        if offset <= self.range.start {
            self.count()
        } else {
            self.without(&none, offset..u64::MAX).count() as u64
        }
    }

    /// Those of this set that the other does not have, within `range`, in order. Both are of the same range.
    pub(super) fn without<'b>(
        &'b self,
        other: &'b Bits,
        range: Range<u64>,
    ) -> impl Iterator<Item = u64> + 'b {
        let words = self.words.iter().zip(&other.words).enumerate();
        let offsets = words.flat_map(|(at, (mine, theirs))| {
            let first = self.range.start + at as u64 * 64;
            let left = mine & !theirs;
            (0..64).filter(move |bit| left >> bit & 1 == 1).map(move |bit| first + bit)
        });
        offsets.filter(move |offset| range.contains(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_knows_its_offsets_and_what_another_lacks() {
        let (mut mine, mut theirs) = (Bits::of(100..300), Bits::of(100..300));
        for offset in [100, 163, 164, 299] {
            assert!(!mine.add(offset) && mine.add(offset) && mine.has(offset));
        }
        for outside in [99, 300] {
            assert!(!mine.add(outside) && !mine.has(outside));
        }
        theirs.add(164);
        assert_eq!(
            (mine.count(), mine.count_from(0), mine.count_from(164), mine.count_from(300)),
            (4, 4, 2, 0)
        );
        assert_eq!(mine.without(&theirs, 0..u64::MAX).collect::<Vec<_>>(), [100, 163, 299]);
        assert_eq!(mine.without(&theirs, 101..299).collect::<Vec<_>>(), [163]);
        assert_eq!(Bits::of(5..5).count(), 0);
    }
}
