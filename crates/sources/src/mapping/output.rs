//! What a filter yields, as observations.

use jaq_json::{Num, Val};
use pricemonitor_model::price::{MAX_SCALE, parse_decimal};
use pricemonitor_model::{AsWritten, Availability, Decimal, Labels, Observation, Slot, Time};

use super::program::brief;
use crate::porssisahko::{exclusive, in_range, short};

const MEMBERS: &str =
    "item, price, labels, base, currency, unit, observedAt, slot, quantity, url, availability";
/// Integers below are seconds since 1970, above milliseconds: the year 5138, or the year 1973.
const SECONDS_END: i64 = 100_000_000_000;

/// What every observation of a document shares.
pub(super) struct Shape<'m> {
    pub(super) source: &'m str,
    pub(super) currency: Option<&'m str>,
    pub(super) unit: Option<&'m str>,
    pub(super) at: Time,
}

/// Why an output is no observation: begins with the path of the member.
type Wrong = String;

impl Shape<'_> {
    /// Reads one output; nothing when it says that there is no price now (`price: null`).
    ///
    /// # Errors
    /// `.price: ...`
    pub(super) fn observation(&self, value: &Val) -> Result<Option<Observation<'static>>, Wrong> {
        let Val::Obj(members) = value else {
            return Err(format!(" is {}: yield one object for each price", kind(value)));
        };
        let member =
            |name: &str| members.get(&Val::from(name.to_owned())).filter(|v| !matches!(v, Val::Null));
        if let Some(name) = members.keys().find(|name| !known(name)) {
            return Err(format!(" has a member {}; there are {MEMBERS}", brief(name)));
        }
        if !members.contains_key(&Val::from("price".to_owned())) {
            return Err(".price: is missing; `null` says that there is none now".to_owned());
        }
        let item = member("item").ok_or(".item: is missing")?;
        let item = text(item).map_err(at(".item"))?;
        if item.is_empty() {
            return Err(".item: is empty; give a key that stays the same from look to look".to_owned());
        }
        let Some(price) = member("price") else { return Ok(None) };
        let (price, digits) = amount(price).map_err(at(".price"))?;
        let currency = match member("currency") {
            Some(currency) => text(currency).map_err(at(".currency"))?,
            None => self
                .currency
                .map(str::to_owned)
                .ok_or(".currency: is missing; yield one, or set `currency` beside `jq`")?,
        };
        let mut o = Observation::new(self.source.to_owned(), item, price, currency, self.at);
        o.unit = match member("unit") {
            Some(unit) => Some(text(unit).map_err(at(".unit"))?.into()),
            None => self.unit.map(|unit| unit.to_owned().into()),
        };
        o.base =
            member("base").map(|base| amount(base).map(|(base, _)| base)).transpose().map_err(at(".base"))?;
        o.labels = member("labels").map_or(Ok(Labels::new()), labels)?;
        if let Some(seen) = member("observedAt") {
            // A feed's clock may be ahead of ours, what it shows is not.
            o.observed_at = instant(seen).map_err(at(".observedAt"))?.0.min(self.at);
        }
        if let Some(value) = member("slot") {
            let (slot, start, end) = slot(value)?;
            o.slot = Some(slot);
            let written = |text: Option<String>| text.map(Into::into);
            o.as_written = Some(AsWritten { price: digits.into(), start: written(start), end: written(end) });
        }
        o.quantity = member("quantity").map(quantity).transpose().map_err(at(".quantity"))?;
        o.url = member("url").map(url).transpose().map_err(at(".url"))?.map(Into::into);
        o.availability = member("availability").map(availability).transpose().map_err(at(".availability"))?;
        Ok(Some(o))
    }
}

fn known(name: &Val) -> bool {
    let Val::TStr(name) = name else { return false };
    MEMBERS.split(", ").any(|member| member.as_bytes() == &name[..])
}

fn at(path: &str) -> impl Fn(String) -> Wrong {
    move |why| format!("{path}: {why}")
}

fn kind(value: &Val) -> &'static str {
    match value {
        Val::Null => "null",
        Val::Bool(_) => "a boolean",
        Val::Num(_) => "a number",
        Val::TStr(_) | Val::BStr(_) => "a text",
        Val::Arr(_) => "a list",
        Val::Obj(_) => "an object",
    }
}

/// A text, or a number as one.
fn text(value: &Val) -> Result<String, String> {
    match value {
        Val::TStr(bytes) => {
            std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "is not UTF-8".to_owned())
        }
        Val::Num(number) => Ok(number.to_string()),
        other => Err(format!("is {}, not a text", kind(other))),
    }
}

/// A price and its digits.
fn amount(value: &Val) -> Result<(Decimal, String), String> {
    let digits = match value {
        Val::TStr(_) | Val::Num(_) => text(value)?,
        other => return Err(format!("is {}, not a number", kind(other))),
    };
    let exact = parse_decimal(&digits).map_err(|error| error.to_string());
    match value {
        // Computed, not read: more digits than these are noise of the computation.
        Val::Num(Num::Float(_)) => {
            let rounded = in_range(exact?.round_dp(MAX_SCALE).normalize())?;
            Ok((rounded, rounded.to_string()))
        }
        _ => Ok((in_range(exact?)?, digits)),
    }
}

/// An instant, and the text if it was one.
fn instant(value: &Val) -> Result<(Time, Option<String>), String> {
    let number = match value {
        Val::TStr(_) => {
            let text = text(value)?;
            let time = text.parse::<Time>().map_err(|error| {
                format!("{error}; a time without an offset needs one: `+ \"Z\"` if it is UTC")
            })?;
            return Ok((time, Some(text)));
        }
        Val::Num(number) => whole(&number.to_string())?,
        other => return Err(format!("is {}, not a time", kind(other))),
    };
    let seconds = number.unsigned_abs() < SECONDS_END.unsigned_abs();
    Ok((if seconds { Time::from_seconds(number) } else { Time::from_millis(number) }, None))
}

/// A whole number, however it is written: `1746568800`, `1746568800.0`, `1.7465688e9`.
fn whole(digits: &str) -> Result<i64, String> {
    let refuse = || format!("{} is not a whole number of seconds or milliseconds", short(digits));
    let number = parse_decimal(digits).map_err(|_| refuse())?;
    if number.fract().is_zero() { i64::try_from(number).map_err(|_| refuse()) } else { Err(refuse()) }
}

fn slot(value: &Val) -> Result<(Slot, Option<String>, Option<String>), Wrong> {
    let Val::Obj(members) = value else {
        return Err(format!(".slot: is {}; write {{start, end}}", kind(value)));
    };
    let side = |name: &str| {
        let path = format!(".slot.{name}");
        let value = members.get(&Val::from(name.to_owned())).ok_or_else(|| format!("{path}: is missing"))?;
        instant(value).map_err(at(&path))
    };
    let ((start, start_text), (end, end_text)) = (side("start")?, side("end")?);
    if end <= start {
        return Err(format!(".slot.end: {end} is not after the start {start}"));
    }
    Ok((Slot { start, end: exclusive(end) }, start_text, end_text))
}

fn labels(value: &Val) -> Result<Labels<'static>, Wrong> {
    let Val::Obj(members) = value else {
        return Err(format!(".labels: is {}; write an object of texts", kind(value)));
    };
    let mut labels = Labels::new();
    for (name, value) in members.iter() {
        let name = text(name).map_err(at(".labels"))?;
        let value = match value {
            Val::Null => continue,
            Val::Bool(value) => value.to_string(),
            value => text(value).map_err(at(&format!(".labels.{}", short(&name))))?,
        };
        labels.set(name, value);
    }
    Ok(labels)
}

fn quantity(value: &Val) -> Result<u32, String> {
    let digits = text(value)?;
    digits.parse().map_err(|_| format!("`{}` is not a whole number from 0 on", short(&digits)))
}

fn url(value: &Val) -> Result<String, String> {
    let url = text(value)?;
    let web = ["http://", "https://"];
    let starts =
        web.iter().any(|scheme| url.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme)));
    if starts { Ok(url) } else { Err(format!("`{}` does not begin with http:// or https://", short(&url))) }
}

/// `in_stock`, `InStock`, `https://schema.org/InStock`.
fn availability(value: &Val) -> Result<Availability, String> {
    let text = text(value)?;
    let name = text.rsplit('/').next().unwrap_or_default().replace(['_', '-', ' '], "").to_ascii_lowercase();
    match name.as_str() {
        "instock" | "limitedavailability" | "onlineonly" | "instoreonly" => Ok(Availability::InStock),
        "outofstock" | "soldout" | "discontinued" => Ok(Availability::OutOfStock),
        "preorder" | "presale" | "backorder" => Ok(Availability::PreOrder),
        _ => Err(format!("`{}` is none of in_stock, out_of_stock, pre_order", short(&text))),
    }
}
