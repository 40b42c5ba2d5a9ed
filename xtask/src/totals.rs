//! Counting what libtest reports.

use std::fmt;
use std::ops::AddAssign;

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Totals {
    /// What a line such as `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; ...` counts;
    /// `None` for any other line.
    pub(crate) fn of(line: &str) -> Option<Totals> {
        let plain = without_colour(line);
        let (_, counts) = plain.trim().strip_prefix("test result: ")?.split_once(". ")?;
        let mut totals = Totals::default();
        for part in counts.split(';') {
            match part.trim().split_once(' ') {
                Some((count, "passed")) => totals.passed = count.parse().ok()?,
                Some((count, "failed")) => totals.failed = count.parse().ok()?,
                Some((count, "ignored")) => totals.skipped = count.parse().ok()?,
                _ => {}
            }
        }
        Some(totals)
    }

    /// Counts so many that passed as skipped: libtest knows no test that finds out for itself that it has to be.
    pub(crate) fn skip(&mut self, count: u64) {
        let count = count.min(self.passed);
        self.passed -= count;
        self.skipped += count;
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

fn without_colour(line: &str) -> String {
    let mut plain = String::new();
    let mut within = false;
    for letter in line.chars() {
        match (within, letter) {
            (false, '\u{1b}') => within = true,
            (false, letter) => plain.push(letter),
            (true, 'm') => within = false,
            (true, _) => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_counted_with_and_without_colour() {
        let ok =
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s";
        assert_eq!(Totals::of(ok), Some(Totals { passed: 5, failed: 0, skipped: 1 }));
        let failed =
            "test result: \u{1b}[31mFAILED\u{1b}(B\u{1b}[m. 1 passed; 2 failed; 0 ignored; 0 measured";
        assert_eq!(Totals::of(failed), Some(Totals { passed: 1, failed: 2, skipped: 0 }));
        for other in ["running 5 tests", "test a ... ok", "", "note: test result: ok. 5 passed"] {
            assert_eq!(Totals::of(other), None, "{other}");
        }
    }

    #[test]
    fn totals_add_up_and_are_plain() {
        let mut all = Totals { passed: 1, failed: 0, skipped: 2 };
        all += Totals { passed: 10, failed: 3, skipped: 0 };
        assert_eq!(all.to_string(), "11 passed, 3 failed, 2 skipped");
    }

    #[test]
    fn a_test_that_says_that_it_is_skipped_is_not_counted_as_passed() {
        let mut totals = Totals { passed: 2, failed: 1, skipped: 3 };
        totals.skip(1);
        assert_eq!(totals.to_string(), "1 passed, 1 failed, 4 skipped");
        totals.skip(5);
        assert_eq!(totals.to_string(), "0 passed, 1 failed, 5 skipped");
    }
}
