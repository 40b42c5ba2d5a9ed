//! The watch over one run of a filter: its bounds, and what happens at them.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use jaq_core::{DataT, Lut, data::HasLut};
use jaq_json::{Num, Val};

use crate::bounded::STACK;

/// Longest that a filter runs over one document.
pub(super) const TIME: Duration = Duration::from_secs(5);
/// Most steps (parts of the filter that are entered) over one document.
pub(super) const STEPS: u64 = 50_000_000;
/// Most bytes of native stack that a filter may take.
const DEPTH: usize = STACK / 2;
/// Most bytes of a text, and most elements of a list or object, that pass through a part.
pub(super) const SIZE: usize = 128 * 1024 * 1024;
const LENGTH: usize = 8 * 1024 * 1024;
/// Deepest nesting of a value and longest path; deeper than any document may be.
pub(super) const NESTING: usize = 512;
/// Most bits of a whole number.
const BITS: u64 = 8192;
/// Between two looks at the clock.
const CLOCK: u64 = 64;

/// The kind of data that filters work on: values, and the watch over one run.
pub(super) struct Kind;

impl DataT for Kind {
    type V<'a> = Val;
    type Data<'a> = &'a Watch<'a>;
}

/// The bounds of one run.
pub(super) struct Watch<'a> {
    lut: &'a Lut<Kind>,
    until: Instant,
    steps: Cell<u64>,
    /// Where the stack was when the run began.
    base: usize,
}

impl<'a> HasLut<'a, Kind> for &'a Watch<'a> {
    fn lut(&self) -> &'a Lut<Kind> {
        self.lut
    }
}

/// Why a filter was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    Time,
    Steps,
    Depth,
    Size,
}

impl Halt {
    const ALL: [Halt; 4] = [Halt::Time, Halt::Steps, Halt::Depth, Halt::Size];

    /// From the code that travels through jaq; nothing else in a filter can halt.
    pub(super) fn of(code: i32) -> Halt {
        Self::ALL.into_iter().find(|halt| *halt as i32 == code).unwrap_or(Halt::Steps)
    }

    /// The word for metrics.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Halt::Time | Halt::Steps => "timeout",
            Halt::Depth | Halt::Size => "too_large",
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::Time => f.write_str("the filter runs too long over one document: look for a loop"),
            Halt::Steps => write!(f, "the filter takes more than {STEPS} steps: look for a loop"),
            Halt::Depth => f.write_str("the filter recurses too deeply: look for a loop"),
            Halt::Size => f.write_str("the filter builds a value that is too large or too deeply nested"),
        }
    }
}

impl<'a> Watch<'a> {
    /// Begins to watch; to be called on the stack that the filter will run on.
    pub(super) fn new(lut: &'a Lut<Kind>, time: Duration) -> Watch<'a> {
        Watch { lut, until: Instant::now() + time, steps: Cell::new(0), base: stack() }
    }

    /// One step, with `value` as input.
    ///
    /// # Errors
    /// The bound that was reached.
    pub(super) fn check(&self, value: &Val) -> Result<(), Halt> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps > STEPS {
            return Err(Halt::Steps);
        }
        if steps.is_multiple_of(CLOCK) && Instant::now() > self.until {
            return Err(Halt::Time);
        }
        if stack().abs_diff(self.base) > DEPTH {
            return Err(Halt::Depth);
        }
        if fits(value) { Ok(()) } else { Err(Halt::Size) }
    }
}

/// About where the native stack is. Never inlined, so that it is never far above its caller.
#[inline(never)]
fn stack() -> usize {
    let here = 0u8;
    std::hint::black_box(&raw const here) as usize
}

/// Whether a value is of sane size, and not one that was nested level by level: going down along
/// the last elements finds that, without walking through the whole value.
fn fits(value: &Val) -> bool {
    let mut at = value;
    for _ in 0..NESTING {
        let below = match at {
            Val::TStr(text) | Val::BStr(text) => return text.len() <= SIZE,
            Val::Arr(list) if list.len() > LENGTH => return false,
            Val::Obj(map) if map.len() > LENGTH => return false,
            Val::Arr(list) => list.last(),
            Val::Obj(map) => map.last().map(|(_, value)| value),
            Val::Num(Num::BigInt(number)) => return number.bits() <= BITS,
            _ => None,
        };
        match below {
            Some(below) => at = below,
            None => return true,
        }
    }
    false
}
