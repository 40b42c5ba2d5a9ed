//! Decimals in PostgreSQL's binary form.

use pricemonitor_model::Decimal;

/// Appends the field: its length, then sign, weight, scale and digits of base 10,000.
pub(super) fn numeric(decimal: Decimal, out: &mut Vec<u8>) {
    let mantissa = decimal.mantissa();
    let scale = decimal.scale();
    // Digits of base 10,000 begin at the decimal point.
    let fraction = scale.div_ceil(4);
    let mut rest = mantissa.unsigned_abs() * 10u128.pow(fraction * 4 - scale);
    // 29 digits and the padding.
    let mut digits = [0u16; 9];
    let mut count = 0;
    while rest > 0 {
        if let Ok(mut small) = u64::try_from(rest) {
            while small > 0 {
                digits[count] = (small % 10_000) as u16;
                small /= 10_000;
                count += 1;
            }
            break;
        }
        digits[count] = (rest % 10_000) as u16;
        rest /= 10_000;
        count += 1;
    }
    let weight = count as i32 - fraction as i32 - 1;
    let zeros = digits[..count].iter().take_while(|digit| **digit == 0).count();
    let kept = &digits[zeros..count];
    out.extend_from_slice(&(8 + 2 * kept.len() as u32).to_be_bytes());
    out.extend_from_slice(&(kept.len() as u16).to_be_bytes());
    out.extend_from_slice(&(if kept.is_empty() { 0 } else { weight as i16 }).to_be_bytes());
    out.extend_from_slice(&(if mantissa < 0 { 0x4000u16 } else { 0 }).to_be_bytes());
    out.extend_from_slice(&(scale as u16).to_be_bytes());
    kept.iter().rev().for_each(|digit| out.extend_from_slice(&digit.to_be_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PostgreSQL makes of the bytes.
    fn read(bytes: &[u8]) -> String {
        let word = |at: usize| i16::from_be_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!(u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len() - 4);
        let (count, weight, sign, scale) = (word(4), i32::from(word(6)), word(8), word(10) as usize);
        let digit = |place: i32| {
            let at = weight - place;
            if (0..i32::from(count)).contains(&at) { word(12 + 2 * at as usize) } else { 0 }
        };
        let whole: String = (0..=weight.max(0)).rev().map(|place| format!("{:04}", digit(place))).collect();
        let fraction: String = (1..8).map(|place| format!("{:04}", digit(-place))).collect();
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let point = if scale > 0 { "." } else { "" };
        format!("{}{whole}{point}{}", if sign == 0 { "" } else { "-" }, &fraction[..scale])
    }

    #[test]
    fn digits_are_those_of_the_decimal() {
        for text in [
            "0",
            "0.00",
            "1",
            "-1.5",
            "10000",
            "99999999",
            "12345678.90",
            "0.0001",
            "0.00001",
            "-0.000000001",
            "1000000000000.000000001",
            "100000000",
            "2879.20",
            "79228162514264337593543950335",
            "7.9228162514264337593543950335",
        ] {
            let mut out = Vec::new();
            numeric(text.parse::<Decimal>().unwrap(), &mut out);
            assert_eq!(read(&out), text);
        }
    }
}
