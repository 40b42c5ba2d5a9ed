//! What keeps a filter within bounds.
//!
//! jq can loop for ever, recurse without end and read the environment. Three measures:
//!
//! - **Allow-list.** Only the functions named in [`ALLOWED`] exist. What reads the environment, the
//!   clock, the time zone or further inputs, and what prints or halts, is not among them, nor
//!   would be what a later jaq adds.
//! - **Ticks.** Before it is compiled, every part of a filter (and of jaq's own definitions) that
//!   does any work is rewritten from `f` to `tick | f`. `tick` passes its input through and looks
//!   at the clock, the number of steps, the depth of the native stack, and the size and nesting
//!   of the value. Every loop of jq goes through such a part or through `range`, which ticks too.
//! - **Halt.** What `tick` raises is jq's `halt`, which `try` cannot catch.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use jaq_core::box_iter::box_once;
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};
use jaq_core::{Bind, DataT, Exn, Lut, Native, data::HasLut, native::Fun};
use jaq_json::{Num, Val};

use super::input;
use crate::bounded::STACK;

/// Longest that a filter runs over one document.
pub(super) const TIME: Duration = Duration::from_secs(5);
/// Most steps (parts of the filter that are entered) over one document.
pub(super) const STEPS: u64 = 50_000_000;
/// Most bytes of native stack that a filter may take.
const DEPTH: usize = STACK / 2;
/// Most bytes of a text, and most elements of a list or object, that pass through a part.
const SIZE: usize = 128 * 1024 * 1024;
const LENGTH: usize = 8 * 1024 * 1024;
/// Deepest nesting of a value and longest path; deeper than any document may be.
const NESTING: usize = 512;
/// Most bits of a whole number.
const BITS: u64 = 8192;
/// Between two looks at the clock.
const CLOCK: u64 = 64;

/// Names that no filter can spell: the function that watches, multiplication, and its factor.
const TICK: &str = "!tick";
const TIMES: &str = "!times";
const FACTOR: &str = "$!factor";

/// Functions of jaq that filters may use, beside what is defined in jq itself.
const ALLOWED: &[&str] = &[
    "error_empty",
    "path",
    "path_value",
    "keys_unsorted",
    "key_values",
    "first",
    "last",
    "limit",
    "skip",
    "floor",
    "round",
    "ceil",
    "utf8bytelength",
    "explode",
    "implode",
    "ascii_downcase",
    "ascii_upcase",
    "reverse",
    "sort",
    "sort_by",
    "group_by",
    "min_by_or_empty",
    "max_by_or_empty",
    "startswith",
    "endswith",
    "ltrimstr",
    "rtrimstr",
    "trim",
    "ltrim",
    "rtrim",
    "escape_sh",
    "escape_html",
    "unescape_html",
    "encode_uri",
    "decode_uri",
    "encode_base64",
    "decode_base64",
    "fabs",
    "pow",
    "log",
    "log2",
    "log10",
    "exp",
    "exp2",
    "exp10",
    "sqrt",
    "cbrt",
    "trunc",
    "rint",
    "nearbyint",
    "fmin",
    "fmax",
    "fmod",
    "matches",
    "split_matches",
    "split_",
    "fromdateiso8601",
    "todateiso8601",
    "strftime",
    "gmtime",
    "strptime",
    "mktime",
    "tojson",
    "tobytes",
    "length",
    "contains",
    "has",
    "indices",
    "bsearch",
];

/// Definitions of jaq that need functions which are not allowed.
const LEFT_OUT: &[&str] =
    &["stderr", "debug", "halt", "halt_error", "logb", "significand", "drem", "nexttoward", "scalb", "gamma"];

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

    fn check(&self, value: &Val) -> Result<(), Halt> {
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

/// The definitions that come with jq, watched.
pub(super) fn definitions<'s>() -> impl Iterator<Item = Def<&'s str>> {
    let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    all.filter(|def| !LEFT_OUT.contains(&def.name)).map(|def| -> Def<&'s str> { definition(def) })
}

/// The functions that a filter may use.
pub(super) fn functions() -> impl Iterator<Item = Fun<Kind>> {
    let all = jaq_core::funs::<Kind>().chain(jaq_std::funs::<Kind>()).chain(jaq_json::funs::<Kind>());
    let allowed = all.filter(|(name, _, _)| ALLOWED.contains(name));
    let values = |n: usize| vec![Bind::Var(()); n].into();
    let own = [
        (TICK, values(0), tick()),
        (TIMES, values(2), times()),
        ("range", values(3), range()),
        ("fromjson", values(0), from_json()),
    ];
    allowed.chain(own)
}

fn tick() -> Native<Kind> {
    Native::<Kind>::new(|(ctx, value)| {
        let checked = ctx.data().check(&value);
        box_once(checked.map(|()| value).map_err(|halt| Exn::halt(halt as i32)))
    })
    .with_paths(|(ctx, value)| {
        let checked = match value.1.get(NESTING) {
            Some(_) => Err(Halt::Size),
            None => ctx.data().check(&value.0),
        };
        box_once(checked.map(|()| value).map_err(|halt| Exn::halt(halt as i32)))
    })
    .with_update(|(ctx, value), update| match ctx.data().check(&value) {
        Ok(()) => update(value),
        Err(halt) => box_once(Err(Exn::halt(halt as i32))),
    })
}

/// jaq's `range/3`, with a tick for every number.
fn range() -> Native<Kind> {
    Native::<Kind>::new(|mut cv| {
        let by = cv.0.pop_var();
        let to = cv.0.pop_var();
        let mut next = Some(cv.0.pop_var());
        let watch = *cv.0.data();
        let zero = Val::from(0usize);
        Box::new(std::iter::from_fn(move || {
            let now = next.take()?;
            if let Err(halt) = watch.check(&now) {
                return Some(Err(Exn::halt(halt as i32)));
            }
            let more = match by.cmp(&zero) {
                std::cmp::Ordering::Greater => now < to,
                std::cmp::Ordering::Less => now > to,
                std::cmp::Ordering::Equal => now != to,
            };
            if !more {
                return None;
            }
            match now.clone() + by.clone() {
                Ok(after) => {
                    next = Some(after);
                    Some(Ok(now))
                }
                Err(error) => Some(Err(Exn::from(error))),
            }
        }))
    })
}

/// `l * r`, which repeats texts: one step could fill the memory.
fn times() -> Native<Kind> {
    Native::<Kind>::new(|mut cv| {
        let right = cv.0.pop_var();
        let left = cv.0.pop_var();
        let length = match (&left, &right) {
            (Val::TStr(text) | Val::BStr(text), Val::Num(times))
            | (Val::Num(times), Val::TStr(text) | Val::BStr(text)) => {
                text.len() as f64 * times.to_string().parse::<f64>().unwrap_or(f64::MAX)
            }
            _ => 0.0,
        };
        if length > SIZE as f64 {
            return box_once(Err(Exn::halt(Halt::Size as i32)));
        }
        box_once((left * right).map_err(Exn::from))
    })
}

/// `fromjson` as strict and as bounded as the reading of a document.
fn from_json() -> Native<Kind> {
    Native::<Kind>::new(|(_, value)| {
        let text = match &value {
            Val::TStr(bytes) => std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned()),
            _ => Err("not a text".to_owned()),
        };
        let read = text.and_then(input::json);
        box_once(read.map_err(|why| Exn::from(jaq_core::Error::str(format!("cannot parse as JSON: {why}")))))
    })
}

/// A definition whose every part is watched.
pub(super) fn definition(def: Def<&str>) -> Def<&str> {
    Def { name: def.name, args: def.args, body: watched(def.body) }
}

/// `f` as `tick | f | tick`, for what builds values: they may go on as arguments, where the
/// next part does not see them as its input.
fn judged(term: Term<&str>) -> Term<&str> {
    let tick = Box::new(Term::Call(TICK, Vec::new()));
    Term::BinOp(Box::new(ticked(term)), BinaryOp::Pipe(None), tick)
}

/// `f` as `tick | f`.
fn ticked(term: Term<&str>) -> Term<&str> {
    let tick = Box::new(Term::Call(TICK, Vec::new()));
    Term::BinOp(tick, BinaryOp::Pipe(None), Box::new(term))
}

/// A term whose every part that does any work begins with a tick.
pub(super) fn watched<'s>(term: Term<&'s str>) -> Term<&'s str> {
    let boxed = |term: Box<Term<&'s str>>| Box::new(watched(*term));
    match term {
        // One value at once, or no work that the size of a value would not bound.
        Term::Id | Term::Recurse | Term::Num(_) | Term::Var(_) | Term::Break(_) | Term::Arr(None) => term,
        Term::Str(_, ref parts) if !parts.iter().any(|part| matches!(part, StrPart::Term(_))) => term,
        Term::Str(format, parts) => judged(Term::Str(format, text(parts))),
        Term::Arr(Some(inner)) => judged(Term::Arr(Some(boxed(inner)))),
        Term::Obj(members) => {
            let members = members.into_iter().map(|(name, value)| (key(name), value.map(watched)));
            judged(Term::Obj(members.collect()))
        }
        Term::Neg(inner) => ticked(Term::Neg(boxed(inner))),
        Term::BinOp(left, BinaryOp::Math(Math::Mul), right) => {
            judged(Term::Call(TIMES, vec![watched(*left), watched(*right)]))
        }
        // `left *= right` is `right as $factor | left |= . * $factor`.
        Term::BinOp(left, BinaryOp::UpdateMath(Math::Mul), right) => {
            let product = Term::Call(TIMES, vec![Term::Id, Term::Var(FACTOR)]);
            let update = Term::BinOp(boxed(left), BinaryOp::Update, Box::new(ticked(product)));
            let bound = BinaryOp::Pipe(Some(Pattern::Var(FACTOR)));
            ticked(Term::BinOp(boxed(right), bound, Box::new(update)))
        }
        Term::BinOp(left, op @ BinaryOp::Math(_), right) => {
            judged(Term::BinOp(boxed(left), op, boxed(right)))
        }
        Term::BinOp(left, op, right) => {
            let op = match op {
                BinaryOp::Pipe(Some(bound)) => BinaryOp::Pipe(Some(pattern(bound))),
                other => other,
            };
            ticked(Term::BinOp(boxed(left), op, boxed(right)))
        }
        Term::Label(name, inner) => ticked(Term::Label(name, boxed(inner))),
        Term::Fold(kind, values, bound, terms) => {
            let terms = terms.into_iter().map(watched).collect();
            ticked(Term::Fold(kind, boxed(values), pattern(bound), terms))
        }
        Term::TryCatch(inner, catch) => ticked(Term::TryCatch(boxed(inner), catch.map(boxed))),
        Term::IfThenElse(cases, otherwise) => {
            let cases = cases.into_iter().map(|(test, then)| (watched(test), watched(then))).collect();
            ticked(Term::IfThenElse(cases, otherwise.map(boxed)))
        }
        Term::Def(defs, inner) => {
            Term::Def(defs.into_iter().map(definition).collect(), Box::new(ticked(watched(*inner))))
        }
        Term::Call(name, args) => ticked(Term::Call(name, args.into_iter().map(watched).collect())),
        Term::Path(from, Path(parts)) => {
            let parts = parts.into_iter().map(|(part, optional)| {
                let part = match part {
                    Part::Index(at) => Part::Index(watched(at)),
                    Part::Range(from, to) => Part::Range(from.map(watched), to.map(watched)),
                };
                (part, optional)
            });
            ticked(Term::Path(boxed(from), Path(parts.collect())))
        }
    }
}

fn text<'s>(parts: Vec<StrPart<&'s str, Term<&'s str>>>) -> Vec<StrPart<&'s str, Term<&'s str>>> {
    let part = |part| match part {
        StrPart::Term(term) => StrPart::Term(watched(term)),
        other => other,
    };
    parts.into_iter().map(part).collect()
}

/// A member's name keeps its shape: `{a}` and `{$x}` mean something because of it.
fn key(name: Term<&str>) -> Term<&str> {
    match name {
        Term::Str(format, parts) => Term::Str(format, text(parts)),
        Term::Var(_) => name,
        other => watched(other),
    }
}

fn pattern(bound: Pattern<&str>) -> Pattern<&str> {
    match bound {
        Pattern::Var(_) => bound,
        Pattern::Arr(inner) => Pattern::Arr(inner.into_iter().map(pattern).collect()),
        Pattern::Obj(members) => {
            Pattern::Obj(members.into_iter().map(|(name, inner)| (key(name), pattern(inner))).collect())
        }
    }
}
