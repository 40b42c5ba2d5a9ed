//! Quantities of Kubernetes, such as `500m` or `128Mi`: a server stores `1000m` as `1` and `0.5Gi` as `512Mi`.

/// The smallest part of a quantity that a server keeps.
const NANO: i128 = 1_000_000_000;

/// Whether two texts are the same quantity. What is none, or too large to be worked with, is compared as a text.
pub fn is_same(left: &str, right: &str) -> bool {
    left == right || nanos(left).is_some_and(|left| nanos(right) == Some(left))
}

/// In parts of a thousand millionth, rounded up as servers do.
fn nanos(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let parts = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let (times, divided) = unit_of(unit)?;
    let (value, by) = (digits.checked_mul(times)?.checked_mul(NANO)?, parts.checked_mul(divided)?);
    Some(value / by + i128::from(value % by > 0))
}

/// What a unit multiplies by and divides by.
fn unit_of(unit: &str) -> Option<(i128, i128)> {
    const DECIMAL: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    const SMALL: [&str; 4] = ["", "m", "u", "n"];
    let power = |units: &[&str], base: i128| {
        let exponent = units.iter().position(|one| *one == unit)?;
        base.checked_pow(u32::try_from(exponent).ok()?)
    };
    let larger = power(&DECIMAL, 1_000).or_else(|| power(&BINARY, 1_024));
    larger.map(|times| (times, 1)).or_else(|| power(&SMALL, 1_000).map(|by| (1, by)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_the_same_however_it_is_written() {
        for (left, right) in [
            ("1000m", "1"),
            ("0.5Gi", "512Mi"),
            ("0.5", "500m"),
            ("1.5G", "1500M"),
            ("1024Ki", "1Mi"),
            ("2.0", "2"),
            ("0.0000000001", "1n"),
            ("16Ei", "16384Pi"),
            ("odd", "odd"),
        ] {
            assert!(is_same(left, right) && is_same(right, left), "{left} {right}");
        }
        for (left, right) in
            [("1", "1001m"), ("1G", "1Gi"), ("1", "1x"), ("", "0"), ("1m", "1M"), ("1.", "1..")]
        {
            assert!(!is_same(left, right), "{left} {right}");
        }
    }
}
