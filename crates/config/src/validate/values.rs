//! Texts of the manifest to the values they mean. Each error is the end of a sentence that starts
//! with the path; none shows a text that could be a secret.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use pricemonitor_model::price::{MAX_MAGNITUDE, MAX_SCALE, parse_decimal};
use pricemonitor_model::{Decimal, Millis};

use crate::nearest::shown;
use crate::secrets::{SecretRef, valid_key, valid_name};
use crate::spec::DecimalText;

type Read<T> = Result<T, String>;

/// A DNS label.
pub(super) fn name(text: &str) -> Read<&str> {
    let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    let inside = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    if bytes.len() <= 63 && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inside) {
        return Ok(text);
    }
    Err(format!(
        "`{}` is not a name: use at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends",
        shown(text)
    ))
}

/// A duration such as `10s` or `1h30m` within bounds, both included.
pub(super) fn duration(text: &str, min: &str, max: &str) -> Read<Duration> {
    let told = || {
        format!(
            "`{}` is not a duration: write a number with a unit (ms, s, m, h, d, w), such as `10s` or `1h30m`",
            shown(text)
        )
    };
    let value = parse_duration(text).ok_or_else(told)?;
    let inside = |bound: &str, keep: fn(&Duration, &Duration) -> bool| {
        parse_duration(bound).is_none_or(|bound| keep(&value, &bound))
    };
    if inside(min, Duration::ge) && inside(max, Duration::le) {
        return Ok(value);
    }
    Err(format!("`{}` must be from `{min}` to `{max}`", shown(text)))
}

/// The same in milliseconds.
pub(super) fn millis(text: &str, min: &str, max: &str) -> Read<Millis> {
    let value = duration(text, min, max)?;
    Millis::try_from(value.as_millis()).map_err(|_| format!("`{}` is too long", shown(text)))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text, 0u64);
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        let unit = match rest.get(..letters)? {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = rest.get(letters..)?;
        if rest.is_empty() {
            return Some(Duration::from_millis(total));
        }
    }
}

/// Bytes, such as `10MiB`: 1 byte to 100 MiB.
pub(super) fn size(text: &str) -> Read<u64> {
    const MOST: u64 = 100 * 1024 * 1024;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "" | "B" => Some(1u64),
        "KiB" | "Ki" => Some(1024),
        "MiB" | "Mi" => Some(1024 * 1024),
        _ => None,
    };
    let (Ok(number), Some(unit)) = (number.parse::<u64>(), unit) else {
        return Err(format!(
            "`{}` is not a size: write a number with a unit (B, KiB, MiB), such as `10MiB`",
            shown(text)
        ));
    };
    match number.checked_mul(unit) {
        Some(bytes) if (1..=MOST).contains(&bytes) => Ok(bytes),
        _ => Err(format!("`{}` must be from `1B` to `100MiB`", shown(text))),
    }
}

/// An exact decimal that a price may have.
pub(super) fn decimal(text: &DecimalText) -> Read<Decimal> {
    let DecimalText(text) = text;
    let told = || {
        format!(
            "`{}` is not a decimal number: write digits with a point, such as `10` or `-0.50`",
            shown(text)
        )
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    let mut bytes = digits.bytes();
    let (first, second) = (bytes.next(), bytes.next());
    // `.5` and `010` mean different things to different readers of YAML.
    let leading_zero = first == Some(b'0') && second.is_some_and(|b| b.is_ascii_digit());
    if !first.is_some_and(|b| b.is_ascii_digit()) || leading_zero || digits.ends_with('.') {
        return Err(told());
    }
    let value = parse_decimal(text).map_err(|_| told())?;
    if value.abs() > Decimal::from(MAX_MAGNITUDE) || value.scale() > MAX_SCALE {
        return Err(format!(
            "`{}` must be at most 10^12, with at most {MAX_SCALE} digits after the point",
            shown(text)
        ));
    }
    Ok(value)
}

/// An http or https address without credentials. The text is not shown: it may hold them.
pub(super) fn web_address(text: &str) -> Read<String> {
    if text.len() > 2048 {
        return Err("must have at most 2048 characters".to_owned());
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must be an address without spaces".to_owned());
    }
    let url = url::Url::parse(text)
        .map_err(|error| format!("must be an address such as `https://example.org/prices.json`: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("must start with http:// or https://, not `{}:`", shown(url.scheme())));
    }
    // The parser is as lenient as a browser: `http:/x` and `http:x` pass it.
    let slashes = text.get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://"));
    if !slashes || url.host_str().is_none_or(str::is_empty) {
        return Err("must be an address with a host, such as `https://example.org/prices.json`".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password: keep them in a secret".to_owned());
    }
    Ok(text.to_owned())
}

/// A path without `..`.
fn path(text: &str) -> Read<&Path> {
    if text.is_empty() || text.len() > 1024 {
        return Err("must be a path of 1 to 1024 characters".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    if text.starts_with('~') {
        return Err(format!("`{}`: `~` has no meaning here, write the path out", shown(text)));
    }
    let path = Path::new(text);
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("`{}` must not leave its folder by `..`", shown(text)));
    }
    if path.file_name().is_none() || text.ends_with(['/', '\\']) {
        return Err(format!("`{}` must name a file, not a folder", shown(text)));
    }
    Ok(path)
}

/// A file that is read: relative to the manifest, or absolute.
pub(super) fn input_path(text: &str) -> Read<PathBuf> {
    path(text).map(Path::to_path_buf)
}

/// A CSV file that is written: below the data folder. The ending keeps it off the database.
pub(super) fn csv_path(text: &str) -> Read<PathBuf> {
    let path = path(text)?;
    if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        || text.contains('\\')
    {
        return Err(format!("`{}` must be relative to the data folder and separated by `/`", shown(text)));
    }
    if path.extension().is_none_or(|ending| ending != "csv") {
        return Err(format!("`{}` must end in `.csv`", shown(text)));
    }
    Ok(path.components().filter(|part| matches!(part, Component::Normal(_))).collect())
}

/// A reference to a secret.
pub(super) fn secret(reference: &SecretRef) -> Result<SecretRef, (&'static str, String)> {
    if !valid_name(&reference.name) {
        return Err((
            "name",
            "must be the name of a Secret: lower-case letters, digits, `-` and `.`".to_owned(),
        ));
    }
    if !valid_key(&reference.key) {
        return Err(("key", "must be a key of a Secret: letters, digits, `-`, `_` and `.`".to_owned()));
    }
    Ok(reference.clone())
}

/// A text on one line, of `min` to `max` bytes.
pub(super) fn line(text: &str, min: usize, max: usize) -> Read<String> {
    if !(min..=max).contains(&text.len()) {
        return Err(format!("must have {min} to {max} characters, not {}", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold line ends or other control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// An ISO 4217 code.
pub(super) fn currency(text: &str) -> Read<String> {
    if text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase()) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is not a currency: write three capital letters, such as `EUR`", shown(text)))
}

/// A name of a Kafka topic.
pub(super) fn topic(text: &str) -> Read<String> {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if (1..=249).contains(&text.len()) && text.bytes().all(known) && text != "." && text != ".." {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{}` is not a topic's name: use letters, digits, `.`, `_` and `-`, at most 249",
        shown(text)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact_and_bounded() {
        for (text, millis) in
            [("10s", 10_000), ("1h30m", 5_400_000), ("250ms", 250), ("2w", 1_209_600_000), ("1m1ms", 60_001)]
        {
            assert_eq!(super::millis(text, "1ms", "3650d"), Ok(millis), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "10 s",
            "1.5h",
            "-1s",
            "10S",
            "10y",
            "1h30",
            "99999999999999999999s",
            "18446744073709551615w",
            "١s",
        ] {
            assert!(duration(text, "0s", "36500d").is_err(), "{text}");
        }
        assert_eq!(duration("99ms", "100ms", "7d"), Err("`99ms` must be from `100ms` to `7d`".to_owned()));
        assert!(duration("100ms", "100ms", "7d").is_ok() && duration("7d", "100ms", "7d").is_ok());
        assert!(duration("604800001ms", "100ms", "7d").is_err());
    }

    #[test]
    fn sizes_are_bytes_up_to_a_hundred_mebibytes() {
        for (text, bytes) in [("1", 1), ("512B", 512), ("4KiB", 4096), ("4Ki", 4096), ("100MiB", 104_857_600)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "MiB", "10MB", "101MiB", "1GiB", "-1", "1.5MiB", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn decimals_keep_their_digits_and_leave_no_doubt() {
        for text in ["10", "-0.50", "0", "0.000000001", "1000000000000"] {
            assert_eq!(decimal(&DecimalText(text.to_owned())).unwrap().to_string(), text);
        }
        for text in [
            "",
            "abc",
            ".5",
            "5.",
            "010",
            "+1",
            "1,5",
            "1_000",
            "0x10",
            ".inf",
            "1000000000001",
            "0.0000000001",
            "--1",
            "1e400",
        ] {
            assert!(decimal(&DecimalText(text.to_owned())).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_http_with_a_host_and_without_credentials() {
        for text in ["https://example.org", "http://127.0.0.1:8080/a?b=c", "http://[::1]/x"] {
            assert_eq!(web_address(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            "example.org",
            "ftp://example.org",
            "file:///etc/passwd",
            "http://",
            "http:/x",
            "http:x",
            "https://a b",
            "javascript:alert(1)",
        ] {
            assert!(web_address(text).is_err(), "{text}");
        }
        for text in ["https://user:hunter2@example.org", "https://hunter2@example.org/"] {
            let error = web_address(text).unwrap_err();
            assert!(!error.contains("hunter2") && error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn paths_stay_where_they_belong() {
        for text in ["a.json", "data/latest-prices.json", "./a.json", "/srv/prices.json"] {
            assert!(input_path(text).is_ok(), "{text}");
        }
        for text in ["", ".", "..", "../a", "a/../../b", "a/", "~/a", "a\nb", "/"] {
            assert!(input_path(text).is_err(), "{text}");
        }
        for text in ["electricity_prices.csv", "out/prices.csv", "./prices.csv"] {
            assert!(csv_path(text).is_ok(), "{text}");
        }
        assert_eq!(csv_path("./a/./b.csv"), Ok(PathBuf::from("a/b.csv")));
        for text in ["/a.csv", "../a.csv", "a\\b.csv", "log.sqlite", "a", ".csv"] {
            assert!(csv_path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_dns_labels() {
        for text in ["a", "0", "concert-tickets", &"a".repeat(63)] {
            assert!(name(text).is_ok(), "{text}");
        }
        for text in ["", "-a", "a-", "A", "a_b", "a.b", "ä", &"a".repeat(64)] {
            assert!(name(text).is_err(), "{text}");
        }
        for (text, ok) in
            [("raw_prices", true), ("electricity-prices", true), ("..", false), ("a b", false), ("", false)]
        {
            assert_eq!(topic(text).is_ok(), ok, "{text}");
        }
        assert!(currency("EUR").is_ok() && currency("eur").is_err() && currency("EURO").is_err());
    }
}
