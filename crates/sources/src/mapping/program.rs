//! Compiling and running a filter.

use std::fmt;
use std::time::Duration;

use jaq_core::load::lex::{self, Lexer, Token};
use jaq_core::load::parse::{self, Def, Parser, Term};
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Filter, Vars, compile};
use jaq_json::Val;

use super::FilterError;
use super::watch::{Halt, Kind, TIME, Watch};
use super::{functions, guard, recursion};
use crate::porssisahko::short;
use crate::source::SourceError;

/// Name of the definition that a filter becomes.
const MAIN: &str = "pricemonitor_mapping";
/// Most characters of an error's text.
const BRIEF: usize = 200;
/// Address space for the stack of the compiler: it recurses with the filter's text.
const STACK: usize = 256 * 1024 * 1024;

/// A compiled filter.
pub(super) struct Program {
    filter: Filter<Kind>,
    /// Longest that it runs over one document.
    pub(super) time: Duration,
}

/// A run that did not come to its end.
pub(super) enum Stopped {
    /// Whoever takes the outputs wants no more.
    Refused(SourceError),
    /// An error of the filter that it did not catch.
    Failed(String),
    /// Out of bounds.
    Halted(Halt),
}

impl Program {
    /// Compiles a filter.
    ///
    /// # Errors
    /// What is wrong, and the line where that is known.
    pub(super) fn compile(jq: &str) -> Result<Program, FilterError> {
        let filter = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK);
            let thread = thread
                .spawn_scoped(scope, || compile(jq))
                .map_err(|error| FilterError(format!("cannot be compiled: no thread for it: {error}")))?;
            thread.join().unwrap_or_else(|_| Err(FilterError("cannot be compiled by jaq".to_owned())))
        })?;
        Ok(Program { filter, time: TIME })
    }

    /// Runs the filter and hands each output to `take`, until that refuses.
    ///
    /// # Errors
    /// [`Stopped`].
    pub(super) fn run(
        &self,
        input: Val,
        mut take: impl FnMut(Val) -> Result<(), SourceError>,
    ) -> Result<(), Stopped> {
        let watch = Watch::new(&self.filter.lut, self.time);
        let context = Ctx::<Kind>::new(&watch, Vars::new([]));
        for output in self.filter.id.run((context, input)) {
            match output {
                Ok(value) => take(value).map_err(Stopped::Refused)?,
                Err(raised) => {
                    return Err(match raised.get_halt() {
                        Ok(code) => Stopped::Halted(Halt::of(code)),
                        Err(raised) => Stopped::Failed(match raised.get_err() {
                            Ok(error) => told(&error),
                            Err(_) => "`break` without its `label`".to_owned(),
                        }),
                    });
                }
            }
        }
        Ok(())
    }
}

/// What a filter says with `error("...")`, or jaq by itself.
fn told(error: &jaq_core::Error<Val>) -> String {
    let text = brief(error);
    // A text comes as JSON.
    let inner = text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"'));
    inner.unwrap_or(&text).to_owned()
}

/// The beginning of what may be very long: an error can quote the whole document, and a value can
/// be written much longer than it is held.
pub(super) fn brief(shown: &impl fmt::Display) -> String {
    struct Beginning(String);
    impl fmt::Write for Beginning {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = BRIEF.saturating_sub(self.0.chars().count());
            match text.char_indices().nth(room) {
                Some((end, _)) => {
                    self.0.push_str(&text[..end]);
                    Err(fmt::Error)
                }
                None => {
                    self.0.push_str(text);
                    Ok(())
                }
            }
        }
    }
    let mut beginning = Beginning(String::new());
    if fmt::Write::write_fmt(&mut beginning, format_args!("{shown}")).is_err() {
        beginning.0.push_str("...");
    }
    beginning.0
}

fn compile(jq: &str) -> Result<Filter<Kind>, FilterError> {
    let term = parse(jq)?;
    if let Some(name) = recursion::find(&term) {
        return Err(FilterError(format!(
            "defines `{name}`, which takes a filter as argument and calls itself: let it take values (`$x`), \
             or use recurse, until or reduce"
        )));
    }
    let main = Def { name: MAIN, args: Vec::new(), body: guard::watched(term) };
    let arena = Arena::default();
    let loader = Loader::new(functions::definitions().chain([main]));
    let modules = loader
        .load(&arena, File { code: MAIN, path: () })
        .map_err(|_| FilterError("cannot be loaded by jaq".to_owned()))?;
    Compiler::<_, Kind>::default().with_funs(functions::functions()).compile(modules).map_err(|errors| {
        let unknown = errors.iter().flat_map(|(_, errors)| errors);
        let mut named: Vec<String> = unknown.map(|(name, what)| unknown_name(name, what)).collect();
        named.sort();
        named.dedup();
        FilterError(named.join("; "))
    })
}

fn unknown_name(name: &str, what: &compile::Undefined) -> String {
    const FORBIDDEN: [&str; 14] = [
        "env",
        "$ENV",
        "input",
        "inputs",
        "input_filename",
        "now",
        "debug",
        "stderr",
        "halt",
        "halt_error",
        "localtime",
        "strflocaltime",
        "input_line_number",
        "getpid",
    ];
    if FORBIDDEN.contains(&name) {
        return format!("uses `{name}`: a mapping reads its document and nothing else");
    }
    match what {
        compile::Undefined::Filter(arguments) => {
            format!("uses `{name}/{arguments}`, which does not exist (name/number of arguments)")
        }
        other => format!("uses the {} `{name}`, which does not exist", other.as_str()),
    }
}

fn parse(jq: &str) -> Result<Term<&str>, FilterError> {
    let tokens = Lexer::new(jq).lex().map_err(|errors| {
        let told = errors.iter().map(|(expected, at): &lex::Error<&str>| {
            format!("misses {}", place(jq, expected.as_str(), Some(at)))
        });
        FilterError(told.collect::<Vec<_>>().join("; "))
    })?;
    Parser::new(&tokens).parse(|parser| parser.term()).map_err(|errors| {
        let told = errors.iter().map(|(expected, found): &parse::TError<'_, &str>| {
            let found = found.map(|Token(text, _)| *text);
            format!("misses {}", place(jq, expected.as_str(), found.as_ref()))
        });
        FilterError(told.collect::<Vec<_>>().join("; "))
    })
}

/// `a term before `...` on line 2`, or at the end.
fn place(jq: &str, expected: &str, found: Option<&&str>) -> String {
    match found.filter(|found| !found.is_empty()) {
        Some(found) => {
            let start = jaq_core::load::span(jq, found).start;
            let line = jq[..start].matches('\n').count() + 1;
            format!("\"{expected}\" before `{}` on line {line}", short(found))
        }
        None => format!("\"{expected}\" at its end"),
    }
}
