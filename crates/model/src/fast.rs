//! The records that there are most of, without a general JSON reader and writer.
//!
//! An observation as this program writes it is read in one pass, and an event is written straight into the buffer;
//! that is a third of what the processor costs. Whatever looks different in the least goes the general way, so
//! nothing means anything else here: the tests compare both.

use std::borrow::Cow;

use crate::digits;
use crate::event::PriceEvent;
use crate::labels::Labels;
use crate::observation::Observation;
use crate::price::{Decimal, parse_decimal};

/// Reads an observation with the members that a quote has, in the order in which they are written, and no escapes.
/// `None` for everything else, which may still be an observation.
pub(crate) fn read_observation(value: &[u8]) -> Option<Observation<'_>> {
    let mut text = Text(std::str::from_utf8(value).ok()?);
    text.skip(r#"{"v":1,"kind":"observation","source":""#)?;
    let source = text.string()?;
    text.skip(r#","item":""#)?;
    let item = text.string()?;
    let mut labels = Labels::new();
    if text.skip(r#","labels":{"#).is_some() {
        loop {
            text.skip("\"")?;
            let name = text.string()?;
            text.skip(":\"")?;
            labels.set(name, text.string()?);
            if text.skip("}").is_some() {
                break;
            }
            text.skip(",")?;
        }
    }
    text.skip(r#","price":""#)?;
    let price = text.decimal()?;
    let base = match text.skip(r#","base":""#) {
        Some(()) => Some(text.decimal()?),
        None => None,
    };
    text.skip(r#","currency":""#)?;
    let currency = text.string()?;
    let unit = match text.skip(r#","unit":""#) {
        Some(()) => Some(Cow::Borrowed(text.string()?)),
        None => None,
    };
    text.skip(r#","observed_at":""#)?;
    let observed_at = text.string()?.parse().ok()?;
    if text.0 != "}" {
        return None;
    }
    Some(Observation { labels, base, unit, ..Observation::new(source, item, price, currency, observed_at) })
}

/// What is left to read.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Goes behind `expected`, if that comes next.
    fn skip(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// The text up to the closing quote, and goes behind it. `None` where something is escaped, or should be.
    fn string(&mut self) -> Option<&'a str> {
        let end = self.0.bytes().position(special)?;
        let (string, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix('"')?;
        Some(string)
    }

    fn decimal(&mut self) -> Option<Decimal> {
        parse_decimal(self.string()?).ok()
    }
}

/// A byte that ends a string, or cannot stand in one as it is.
fn special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < b' '
}

/// Appends an event to `out`; `false` for one that goes the general way, and then nothing is appended.
pub(crate) fn write_event(event: &PriceEvent<'_>, out: &mut Vec<u8>) -> bool {
    let PriceEvent { slot: None, source, item, labels, price, previous, delta, percent, .. } = event else {
        return false;
    };
    out.extend(br#"{"v":1,"kind":"price_event","source":"#);
    string(source, out);
    out.extend(br#","item":"#);
    string(item, out);
    if !labels.is_empty() {
        out.extend(br#","labels":"#);
        for (at, (name, value)) in labels.iter().enumerate() {
            out.push(if at == 0 { b'{' } else { b',' });
            string(name, out);
            out.push(b':');
            string(value, out);
        }
        out.push(b'}');
    }
    number(r#","price":""#, Some(price), out);
    number(r#","previous":""#, previous.as_ref(), out);
    number(r#","delta":""#, delta.as_ref(), out);
    number(r#","percent":""#, percent.as_ref(), out);
    out.extend(br#","direction":""#);
    out.extend(event.direction.as_str().as_bytes());
    out.extend(br#"","currency":"#);
    string(&event.currency, out);
    if let Some(unit) = &event.unit {
        out.extend(br#","unit":"#);
        string(unit, out);
    }
    out.extend(br#","observed_at":""#);
    event.observed_at.write(out);
    let at = event.coordinates;
    out.extend(br#"","coordinates":{"incarnation":"#);
    digits::whole(at.incarnation.0, out);
    out.extend(br#","partition":"#);
    digits::whole(u64::from(at.partition), out);
    out.extend(br#","offset":"#);
    digits::whole(at.offset, out);
    out.extend(b"}}");
    true
}

fn string(text: &str, out: &mut Vec<u8>) {
    if text.bytes().any(special) {
        // A `Vec` cannot refuse a write, and text is always JSON.
        let _ = serde_json::to_writer(out, text);
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn number(name: &str, value: Option<&Decimal>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.extend_from_slice(name.as_bytes());
        digits::decimal(value, out);
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinates::{Coordinates, Incarnation};
    use crate::event::Direction;
    use crate::observation::{Availability, Slot};
    use crate::time::Time;

    const TEXTS: [&str; 8] =
        ["marketplace", "", "a \"b\"", "c\\d", "Mötley Crüe 🎸", "line\nbreak", "tab\t", "\u{1}\u{7f}"];

    /// xorshift64*: the same cases everywhere.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
        }
        fn text(&mut self) -> &'static str {
            // Most texts are plain.
            if self.below(3) > 0 { "plain" } else { TEXTS[self.below(8) as usize] }
        }
        fn decimal(&mut self) -> Decimal {
            Decimal::new(self.below(2_000_000) as i64 - 1_000_000, self.below(6) as u32)
        }
        fn time(&mut self) -> Time {
            Time::from_millis(self.below(1 << 31) as i64 * self.below(3000) as i64 - (1 << 40))
        }
        fn labels(&mut self) -> Labels<'static> {
            (0..self.below(3)).map(|_| (self.text(), self.text())).collect()
        }
    }

    fn general(value: &[u8]) -> Option<Observation<'_>> {
        serde_json::from_slice(value).ok()
    }

    #[test]
    fn an_observation_is_read_as_the_general_reader_reads_it_or_not_at_all() {
        let mut random = Random(7);
        let (mut fast, mut value) = (0, Vec::new());
        for _ in 0..20_000 {
            let mut o =
                Observation::new(random.text(), random.text(), random.decimal(), "USD", random.time());
            o.labels = random.labels();
            o.base = (random.below(2) == 0).then(|| random.decimal());
            o.unit = (random.below(4) == 0).then(|| random.text().into());
            o.availability = (random.below(9) == 0).then_some(Availability::InStock);
            value.clear();
            crate::wire::write_observation(&o, &mut value);
            let read = read_observation(&value);
            fast += usize::from(read.is_some());
            assert!(read.is_none_or(|read| read == o), "{}", String::from_utf8_lossy(&value));
            // Broken in some place: it may be read only as the general reader reads it.
            let at = random.below(value.len() as u64) as usize;
            match random.below(3) {
                0 => value[at] = random.below(256) as u8,
                1 => drop(value.remove(at)),
                _ => value.insert(at, b" \"\\,:}{0"[random.below(8) as usize]),
            }
            if let Some(read) = read_observation(&value) {
                assert_eq!(Some(read), general(&value), "{}", String::from_utf8_lossy(&value));
            }
        }
        assert!(fast > 5_000, "only {fast} were read the short way");
    }

    #[test]
    fn an_event_is_written_as_the_general_writer_writes_it() {
        let mut random = Random(9);
        use Direction::{Drop, First, Late, Revised, Rise, Unchanged};
        for n in 0..20_000 {
            let event = PriceEvent {
                source: random.text().into(),
                item: random.text().into(),
                labels: random.labels(),
                price: random.decimal(),
                previous: (random.below(2) == 0).then(|| random.decimal()),
                delta: (random.below(2) == 0).then(|| random.decimal()),
                percent: (random.below(2) == 0).then(|| random.decimal()),
                direction: [First, Unchanged, Drop, Rise, Revised, Late][n % 6],
                currency: random.text().into(),
                unit: (random.below(4) == 0).then(|| random.text().into()),
                observed_at: random.time(),
                slot: (random.below(9) == 0).then_some(Slot { start: Time::MIN, end: Time::MAX }),
                coordinates: Coordinates {
                    incarnation: Incarnation(random.below(u64::MAX)),
                    partition: random.below(9) as u32,
                    offset: random.below(1 << 40),
                },
            };
            let (mut fast, mut general) = (Vec::new(), Vec::new());
            let done = write_event(&event, &mut fast);
            assert_eq!(done, event.slot.is_none());
            crate::wire::write_generally(&event, &mut general);
            if done {
                assert_eq!(String::from_utf8(fast).unwrap(), String::from_utf8(general).unwrap());
            } else {
                assert!(fast.is_empty());
            }
        }
    }
}
