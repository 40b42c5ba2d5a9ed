//! Texts for people: on one line, within limits, prices and times as people write them.

use pricemonitor_model::price::Decimal;
use pricemonitor_model::{Slot, Time};

/// `text` on one line: white space and control characters become single spaces, characters that
/// turn the direction of writing or cannot be seen are left out.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|&c| !hidden(c)) {
        if c.is_whitespace() || c.is_control() {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
        } else {
            out.push(c);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Marks of writing direction, and invisible characters that are good for nothing but deceit. The
/// joiners U+200C and U+200D stay: scripts and emoji need them.
fn hidden(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
}

/// How many Unicode characters `text` has.
pub(crate) fn count(text: &str) -> usize {
    text.chars().count()
}

/// The first characters of `text`, at most `limit`; the last is `…` where something was left out.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    if count(text) <= limit {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(limit.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// A price with its unit.
pub(crate) fn price(value: Decimal, unit: &str) -> String {
    format!("{value} {unit}")
}

/// A number with its sign, also when it is positive.
pub(crate) fn signed(value: Decimal) -> String {
    if value > Decimal::ZERO { format!("+{value}") } else { value.to_string() }
}

/// A slot in UTC: `2026-01-04 22:45 to 23:00 UTC`, with the second date where it is another day.
pub(crate) fn slot(slot: &Slot) -> String {
    let text = |time: Time, form: &str| time.to_jiff().strftime(form).to_string();
    let (day, minute) = ("%Y-%m-%d", "%Y-%m-%d %H:%M");
    let end = if text(slot.start, day) == text(slot.end, day) { "%H:%M" } else { minute };
    format!("{} to {} UTC", text(slot.start, minute), text(slot.end, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_brought_on_one_line_without_hidden_characters() {
        for (text, want) in [
            ("  a\r\n\tb\u{0}c\u{2028}d ", "a b c d"),
            ("\u{202e}evil\u{2066}\u{200b}", "evil"),
            ("👨\u{200d}👩\u{200d}👧 e\u{301}", "👨\u{200d}👩\u{200d}👧 e\u{301}"),
            (" \n ", ""),
        ] {
            assert_eq!(one_line(text), want);
        }
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        assert_eq!(shortened("ääkköset", 8), "ääkköset");
        assert_eq!(shortened("ääkköset", 7), "ääkkös…");
        assert_eq!(shortened("😀😀😀", 2), "😀…");
        assert_eq!(shortened("abc", 1), "…");
    }

    #[test]
    fn a_slot_names_the_second_day_only_where_it_is_another() {
        let from =
            |start: &str, end: &str| slot(&Slot { start: start.parse().unwrap(), end: end.parse().unwrap() });
        assert_eq!(from("2026-01-04T22:45:00Z", "2026-01-04T23:00:00Z"), "2026-01-04 22:45 to 23:00 UTC");
        assert_eq!(
            from("2026-01-04T23:00:00Z", "2026-01-05T00:00:00Z"),
            "2026-01-04 23:00 to 2026-01-05 00:00 UTC"
        );
    }

    #[test]
    fn a_sign_is_written_for_rises_too() {
        assert_eq!(signed(Decimal::new(125, 1)), "+12.5");
        assert_eq!(signed(Decimal::new(-300, 1)), "-30.0");
        assert_eq!(signed(Decimal::new(0, 1)), "0.0");
    }
}
