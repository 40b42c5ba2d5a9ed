//! A client for loopback pages, small enough to be above suspicion.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines as they came.
    pub head: String,
    /// Body; chunks are put together.
    pub body: String,
}

/// Gets `path` from a loopback port, with 5 s for every step.
///
/// # Errors
/// When nobody listens or the answer is no HTTP.
pub fn get(port: u16, path: &str) -> Result<Answer> {
    get_at(loopback(port), path)
}

/// As [`get`], from another address of this machine or its networks.
///
/// # Errors
/// As for [`get`].
pub fn get_at(at: SocketAddr, path: &str) -> Result<Answer> {
    get_as(&at.to_string(), at, path)
}

/// As [`get_at`], under another name than the address, as a browser asks that was told `localhost`.
///
/// # Errors
/// As for [`get`].
pub fn get_as(host: &str, at: SocketAddr, path: &str) -> Result<Answer> {
    request_at(at, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

/// Sends `raw` as it is and reads the answer to its end (at most 64 MiB).
///
/// # Errors
/// As for [`get`].
pub fn request(port: u16, raw: &str) -> Result<Answer> {
    request_at(loopback(port), raw)
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// As [`request`], to another address of this machine or its networks.
///
/// # Errors
/// As for [`get`].
pub fn request_at(at: SocketAddr, raw: &str) -> Result<Answer> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&at, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(raw.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(64 << 20).read_to_end(&mut bytes)?;
    parse(&bytes).context("not an HTTP answer")
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(bytes.get(..split)?).into_owned();
    let rest = bytes.get(split + 4..)?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { dechunk(rest)? } else { rest.to_vec() };
    Some(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..line)?).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(line + 2..line + 2 + size)?);
        rest = rest.get(line + 2 + size + 2..)?;
    }
}

/// The value of a metric in the text of `/metrics`: the sum over every label set whose line starts
/// with `name` and holds all of `labels` (such as `source="spot"`). `None` when there is no such line.
pub fn metric(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let mut found = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(rest) = line.strip_prefix(name) else { continue };
        if !(rest.starts_with('{') || rest.starts_with(' '))
            || !labels.iter().all(|label| rest.contains(label))
        {
            continue;
        }
        let value: f64 = rest.rsplit(' ').next()?.parse().ok()?;
        found = Some(found.unwrap_or(0.0) + value);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_chunked_answers_are_read() {
        let plain = parse(b"HTTP/1.1 503 No\r\nX: y\r\n\r\nbody").unwrap();
        assert_eq!((plain.status, plain.body.as_str()), (503, "body"));
        let chunked =
            parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n")
                .unwrap();
        assert_eq!(chunked.body, "abcde");
        assert!(parse(b"nonsense").is_none());
    }

    #[test]
    fn a_metric_is_summed_over_its_matching_labels_only() {
        let text = "# HELP a_total x\na_total{s=\"1\"} 2\na_total{s=\"2\"} 3\na_total_more 9\nb 4\n";
        assert_eq!(metric(text, "a_total", &[]), Some(5.0));
        assert_eq!(metric(text, "a_total", &["s=\"2\""]), Some(3.0));
        assert_eq!(metric(text, "b", &[]), Some(4.0));
        assert_eq!(metric(text, "c", &[]), None);
    }
}
