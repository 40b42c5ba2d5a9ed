//! Numbers as text without the formatting machinery, which cost as much as the rest of an event.

use std::io::Write as _;

use rust_decimal::Decimal;

/// Digits of the largest `u64`, its point, and the zeros before it that the largest scale (28) may ask for.
const ROOM: usize = 32;

/// Appends a whole number.
pub(crate) fn whole(number: u64, out: &mut Vec<u8>) {
    let mut text = [0; ROOM];
    let from = fill(number, &mut text, ROOM);
    out.extend_from_slice(&text[from..]);
}

/// Appends a decimal as its `Display` does: every digit of its scale, also zeros.
pub(crate) fn decimal(value: &Decimal, out: &mut Vec<u8>) {
    let (scale, mantissa) = (value.scale() as usize, value.mantissa());
    let Ok(digits) = u64::try_from(mantissa.unsigned_abs()) else {
        // A `Vec` cannot refuse a write.
        let _ = write!(out, "{value}");
        return;
    };
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let mut text = [b'0'; ROOM];
    let from = fill(digits, &mut text, ROOM);
    // One digit at least stands before the point.
    let from = from.min(ROOM - scale - 1);
    let (before, behind) = text[from..].split_at(ROOM - scale - from);
    out.extend_from_slice(before);
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(behind);
    }
}

/// Writes the digits of `number` so that they end at `end`. Tells where they begin.
fn fill(mut number: u64, text: &mut [u8; ROOM], end: usize) -> usize {
    let mut at = end;
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Decimal) -> String {
        let mut out = Vec::new();
        decimal(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals_are_written_as_display_writes_them() {
        let edges = [0, 1, 9, 10, 99, 100, 12_345, u64::MAX / 2, u64::MAX - 1, u64::MAX];
        for digits in edges.map(i128::from).into_iter().chain([i128::from(u64::MAX) + 1, (1 << 96) - 1]) {
            for scale in 0..=28 {
                for number in [digits, -digits] {
                    let value = Decimal::from_i128_with_scale(number, scale);
                    assert_eq!(written(&value), value.to_string(), "{number} with {scale}");
                }
            }
        }
        let mut nothing = Decimal::new(0, 2);
        nothing.set_sign_negative(true);
        assert_eq!(written(&nothing), nothing.to_string());
    }

    #[test]
    fn whole_numbers_are_written_as_display_writes_them() {
        for number in [0, 7, 10, 1_000_000, u64::MAX] {
            let mut out = Vec::new();
            whole(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
