//! What keeps a filter within bounds.
//!
//! jq can loop for ever, recurse without end and read the environment. Three measures:
//!
//! - **Allow-list.** Only the functions named in [`super::functions`] exist. What reads the environment, the
//!   clock, the time zone or further inputs, and what prints or halts, is not among them, nor
//!   would be what a later jaq adds.
//! - **Ticks.** Before it is compiled, every part of a filter (and of jaq's own definitions) that
//!   does any work is rewritten from `f` to `tick | f`. `tick` passes its input through and looks
//!   at the clock, the number of steps, the depth of the native stack, and the size and nesting
//!   of the value. Every loop of jq goes through such a part or through `range`, which ticks too.
//! - **Halt.** What `tick` raises is jq's `halt`, which `try` cannot catch.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};

/// Names that no filter can spell: the function that watches, multiplication, and its factor.
pub(super) const TICK: &str = "!tick";
pub(super) const TIMES: &str = "!times";
const FACTOR: &str = "$!factor";

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
