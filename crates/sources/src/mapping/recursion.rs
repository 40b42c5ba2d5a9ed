//! Recursion that is refused before it runs.
//!
//! A definition that takes a filter as argument and calls itself captures, in each turn, what the
//! turn before captured. That chain lives on the heap, where no watch sees it, and is as long as
//! the loop ran; letting it go takes as much native stack. Definitions that take values (`$x`) or
//! nothing have no such chain, and neither have jq's own `recurse`, `until`, `while`, `repeat`.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::{Part, Path};

/// Name of a definition that takes a filter as argument and calls itself.
///
/// In jq a definition sees itself, earlier ones and those around it: every circle of calls leads
/// through a call inside a definition's body to that definition.
pub(super) fn find<'s>(term: &Term<&'s str>) -> Option<&'s str> {
    Search::default().term(term)
}

/// Name and number of arguments of each definition around here that takes filters.
#[derive(Default)]
struct Search<'s>(Vec<(&'s str, usize)>);

impl<'s> Search<'s> {
    fn term(&mut self, term: &Term<&'s str>) -> Option<&'s str> {
        match term {
            Term::Id | Term::Recurse | Term::Num(_) | Term::Var(_) | Term::Break(_) => None,
            Term::Str(_, parts) => parts.iter().find_map(|part| match part {
                StrPart::Term(inner) => self.term(inner),
                _ => None,
            }),
            Term::Arr(inner) => self.maybe(inner.as_deref()),
            Term::Obj(members) => members
                .iter()
                .find_map(|(name, value)| self.term(name).or_else(|| self.maybe(value.as_ref()))),
            Term::Neg(inner) | Term::Label(_, inner) => self.term(inner),
            Term::BinOp(left, op, right) => {
                self.term(left).or_else(|| self.term(right)).or_else(|| match op {
                    BinaryOp::Pipe(Some(bound)) => self.pattern(bound),
                    _ => None,
                })
            }
            Term::Fold(_, values, bound, terms) => {
                self.term(values).or_else(|| self.all(terms)).or_else(|| self.pattern(bound))
            }
            Term::TryCatch(inner, catch) => self.term(inner).or_else(|| self.maybe(catch.as_deref())),
            Term::IfThenElse(cases, otherwise) => cases
                .iter()
                .find_map(|(test, then)| self.term(test).or_else(|| self.term(then)))
                .or_else(|| self.maybe(otherwise.as_deref())),
            Term::Def(defs, inner) => {
                defs.iter().find_map(|def| self.definition(def)).or_else(|| self.term(inner))
            }
            Term::Call(name, args) => {
                let circle = self.0.contains(&(*name, args.len()));
                self.all(args).or_else(|| circle.then_some(*name))
            }
            Term::Path(from, Path(parts)) => self.term(from).or_else(|| {
                parts.iter().find_map(|(part, _)| match part {
                    Part::Index(at) => self.term(at),
                    Part::Range(from, to) => self.maybe(from.as_ref()).or_else(|| self.maybe(to.as_ref())),
                })
            }),
        }
    }

    fn maybe(&mut self, term: Option<&Term<&'s str>>) -> Option<&'s str> {
        term.and_then(|term| self.term(term))
    }

    fn all(&mut self, terms: &[Term<&'s str>]) -> Option<&'s str> {
        terms.iter().find_map(|term| self.term(term))
    }

    fn definition(&mut self, def: &Def<&'s str>) -> Option<&'s str> {
        let takes_filters = def.args.iter().any(|arg| !arg.starts_with('$'));
        if takes_filters {
            self.0.push((def.name, def.args.len()));
        }
        let found = self.term(&def.body);
        if takes_filters {
            self.0.pop();
        }
        found
    }

    fn pattern(&mut self, bound: &Pattern<&'s str>) -> Option<&'s str> {
        match bound {
            Pattern::Var(_) => None,
            Pattern::Arr(inner) => inner.iter().find_map(|inner| self.pattern(inner)),
            Pattern::Obj(members) => {
                members.iter().find_map(|(name, inner)| self.term(name).or_else(|| self.pattern(inner)))
            }
        }
    }
}
