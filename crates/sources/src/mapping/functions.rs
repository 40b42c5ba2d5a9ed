//! What filters may call: an allow-list of jaq's functions, and a few of our own in their place.

use jaq_core::box_iter::box_once;
use jaq_core::load::parse::Def;
use jaq_core::{Bind, Exn, Native, native::Fun};
use jaq_json::Val;

use super::guard::{TICK, TIMES, definition};
use super::input;
use super::watch::{Halt, Kind, NESTING, SIZE};

/// Functions of jaq that filters may use, beside what is defined in jq itself.
const ALLOWED: &str = "\
    error_empty path path_value keys_unsorted key_values first last limit skip floor round ceil \
    utf8bytelength explode implode ascii_downcase ascii_upcase reverse sort sort_by group_by \
    min_by_or_empty max_by_or_empty startswith endswith ltrimstr rtrimstr trim ltrim rtrim escape_sh \
    escape_html unescape_html encode_uri decode_uri encode_base64 decode_base64 fabs pow log log2 \
    log10 exp exp2 exp10 sqrt cbrt trunc rint nearbyint fmin fmax fmod matches split_matches split_ \
    fromdateiso8601 todateiso8601 strftime gmtime strptime mktime tojson tobytes length contains has \
    indices bsearch";

/// Definitions of jaq that need functions which are not allowed.
const LEFT_OUT: &[&str] =
    &["stderr", "debug", "halt", "halt_error", "logb", "significand", "drem", "nexttoward", "scalb", "gamma"];

/// The definitions that come with jq, watched.
pub(super) fn definitions<'s>() -> impl Iterator<Item = Def<&'s str>> {
    let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    all.filter(|def| !LEFT_OUT.contains(&def.name)).map(|def| -> Def<&'s str> { definition(def) })
}

/// The functions that a filter may use.
pub(super) fn functions() -> impl Iterator<Item = Fun<Kind>> {
    let all = jaq_core::funs::<Kind>().chain(jaq_std::funs::<Kind>()).chain(jaq_json::funs::<Kind>());
    let allowed = all.filter(|(name, _, _)| ALLOWED.split(' ').any(|allowed| allowed == *name));
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
