//! Documents on the web, asked for on a loopback server that answers byte for byte as told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pricemonitor_config::{
    MappingInput, ReaderSettings, SecretRef, SecretString, Secrets, SourceKind, SourceSettings,
};
use pricemonitor_sources::{Context, build, check};
use support::{AT, PORSSISAHKO, Polled, hourly, mapping, settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What the server does with one request.
enum Act {
    /// Sends the bytes and closes.
    Send(Vec<u8>),
    /// Sends the bytes and then nothing more, but stays.
    Hang(Vec<u8>),
}

struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers one request after the other by `acts`; later ones like the last.
    async fn start(acts: Vec<Act>) -> Server {
        Server::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), acts)
    }

    fn on(listener: TcpListener, acts: Vec<Act>) -> Server {
        let url = url(&listener);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            for n in 0.. {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if socket.read(&mut byte).await.unwrap_or(0) == 0 {
                        break;
                    }
                    request.push(byte[0]);
                }
                seen.lock().unwrap().push(String::from_utf8(request).unwrap());
                match &acts[n.min(acts.len() - 1)] {
                    Act::Send(bytes) => {
                        let _ = socket.write_all(bytes).await;
                        let _ = socket.shutdown().await;
                    }
                    Act::Hang(bytes) => {
                        let _ = socket.write_all(bytes).await;
                        tokio::spawn(async move {
                            tokio::time::sleep(Duration::from_secs(60)).await;
                            drop(socket);
                        });
                    }
                }
            }
        });
        Server { url, requests }
    }

    async fn once(act: Act) -> Server {
        Server::start(vec![act]).await
    }

    fn request(&self, n: usize) -> String {
        self.requests.lock().unwrap()[n].to_ascii_lowercase()
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn url(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().unwrap())
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Act {
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    Act::Send([head.as_bytes(), body].concat())
}

fn ok(headers: &str, body: &str) -> Act {
    answer("200 OK", headers, body.as_bytes())
}

fn http(url: &str, token: bool) -> SourceSettings {
    http_with(url, token, PORSSISAHKO)
}

fn http_with(url: &str, token: bool, reader: ReaderSettings) -> SourceSettings {
    settings(SourceKind::Http {
        url: url.to_owned(),
        reader,
        max_size: 64 * 1024,
        timeout: Duration::from_secs(2),
        user_agent: "PriceMonitor/test".to_owned(),
        bearer_token: token.then(|| SecretRef { name: "feed".to_owned(), key: "token".to_owned() }),
    })
}

fn context() -> Context {
    let variable = ("PRICEMONITOR_SECRET_FEED_TOKEN".to_owned(), SecretString::new("s3cret"));
    Context {
        secrets: Secrets { dir: None, variables: [variable].into() },
        ..support::context(std::path::Path::new("."))
    }
}

fn polled(settings: &SourceSettings) -> Polled {
    Polled::new(build(settings, &context()).unwrap())
}

#[tokio::test]
async fn what_changed_is_asked_for_by_etag_and_last_modified() {
    let known = "etag: \"v1\"\r\nlast-modified: Wed, 07 May 2025 10:00:00 GMT\r\n";
    let server = Server::start(vec![
        ok(known, &hourly(&["1", "2"])),
        answer("304 Not Modified", "", b""),
        ok("etag: \"v2\"\r\n", &hourly(&["1", "2.5"])),
        answer("304 Not Modified", "", b""),
    ])
    .await;
    let url = format!("{}/latest-prices.json?key=abc", server.url);
    let mut source = polled(&http(&url, false));
    assert_eq!(source.sent().await, ["1", "2"]);
    assert!(source.poll().await.unwrap().is_none());
    assert_eq!(source.sent().await, ["2.5"]);
    let first = server.request(0);
    assert!(first.starts_with("get /latest-prices.json?key=abc http/1.1"), "{first}");
    assert!(first.contains("user-agent: pricemonitor/test"), "{first}");
    assert!(!first.contains("if-none-match") && !first.contains("authorization"), "{first}");
    let second = server.request(1);
    assert!(second.contains("if-none-match: \"v1\""), "{second}");
    assert!(second.contains("if-modified-since: wed, 07 may 2025 10:00:00 gmt"), "{second}");
    // Another process goes on from the checkpoint; another address asks anew.
    let mut again = polled(&http(&url, false));
    again.checkpoint = source.checkpoint.clone();
    assert!(again.poll().await.unwrap().is_none());
    assert!(server.request(3).contains("if-none-match: \"v2\""));
    let mut other = polled(&http(&format!("{}/other", server.url), false));
    other.checkpoint = source.checkpoint.clone();
    assert_eq!(other.fails().await.0, "status");
    assert!(!server.request(4).contains("if-none-match"));
}

#[tokio::test]
async fn the_same_document_without_etag_is_unchanged() {
    let server = Server::once(ok("", &hourly(&["1"]))).await;
    let mut source = polled(&http(&server.url, false));
    assert_eq!(source.sent().await, ["1"]);
    assert!(source.poll().await.unwrap().is_none());
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn nothing_published_yet_is_no_failure() {
    let server =
        Server::once(Act::Send(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec())).await;
    assert!(polled(&http(&server.url, false)).poll().await.unwrap().is_none());
}

#[tokio::test]
async fn refusals_say_what_and_how_long_and_never_the_query() {
    let s = Duration::from_secs;
    let date = "retry-after: Wed, 07 May 2025 12:01:30 GMT\r\n";
    for (status, headers, reason, wait) in [
        ("404 Not Found", "", "status", None),
        ("401 Unauthorized", "", "status", None),
        ("500 Internal Server Error", "", "status", None),
        ("304 Not Modified", "", "status", None),
        ("206 Partial Content", "", "status", None),
        ("429 Too Many Requests", "retry-after: 120\r\n", "rate_limited", Some(s(120))),
        ("429 Too Many Requests", date, "rate_limited", Some(s(90))),
        ("429 Too Many Requests", "", "rate_limited", None),
        ("503 Service Unavailable", "retry-after: 7\r\n", "rate_limited", Some(s(7))),
    ] {
        let server = Server::once(answer(status, headers, hourly(&["1"]).as_bytes())).await;
        let mut source = polled(&http(&format!("{}/p?apikey=hidden", server.url), true));
        let error = source.poll().await.unwrap_err();
        assert_eq!((error.reason, error.retry_after), (reason, wait), "{status}");
        assert!(error.message.contains(&status[..3]), "{error}");
        assert!(error.message.contains(&server.url), "{error}");
        assert!(!error.message.contains("hidden") && !error.message.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn broken_answers_are_told_apart_and_keep_the_checkpoint() {
    let body = hourly(&["1", "2"]);
    let cut = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", body.len(), &body[..40]);
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{}\r\n", &body[..16]);
    let big = " ".repeat(80 * 1024);
    let endless = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{big}");
    for (act, reason) in [
        (Act::Send(cut.into_bytes()), "network"),
        (Act::Send(chunked.into_bytes()), "network"),
        (Act::Send(Vec::new()), "network"),
        (Act::Send(b"SSH-2.0-server\r\n\r\n".to_vec()), "network"),
        (Act::Hang(Vec::new()), "timeout"),
        (Act::Hang(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec()), "timeout"),
        (ok("", &big), "too_large"),
        (Act::Hang(endless.into_bytes()), "too_large"),
        (ok("", ""), "malformed"),
        (ok("", &body[..40]), "malformed"),
        (ok("content-type: text/html\r\n", "<html>captive portal</html>"), "malformed"),
    ] {
        let server = Server::start(vec![ok("", &hourly(&["1"])), act, ok("", &body)]).await;
        let mut source = polled(&http(&format!("{}/p?apikey=hidden", server.url), true));
        assert_eq!(source.sent().await, ["1"]);
        let (found, message) = source.fails().await;
        assert_eq!(found, reason, "{message}");
        assert!(!message.contains("hidden") && !message.contains("s3cret"), "{message}");
        assert_eq!(source.sent().await, ["2"]);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_network_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{}/?apikey=hidden", url(&listener));
    drop(listener);
    let (reason, message) = polled(&http(&url, false)).fails().await;
    assert_eq!(reason, "network");
    assert!(message.contains("cannot be reached") && !message.contains("hidden"), "{message}");
    let (reason, _) = polled(&http("http://no-such-host.invalid/", false)).fails().await;
    assert_eq!(reason, "network");
}

/// 1 MiB of spaces and then a document, in 1 kB of gzip.
const BOMB: &[u8] = include_bytes!("data/bomb.json.gz");
/// `{"prices":...}` with one slot of 4.5, in gzip.
const PACKED: &[u8] = include_bytes!("data/packed.json.gz");

#[tokio::test]
async fn a_small_answer_cannot_unfold_into_a_large_one() {
    assert!(BOMB.len() < 2048);
    let server = Server::start(vec![
        answer("200 OK", "content-encoding: gzip\r\n", PACKED),
        answer("200 OK", "content-encoding: gzip\r\n", BOMB),
        answer("200 OK", "content-encoding: gzip\r\n", &PACKED[..PACKED.len() / 2]),
    ])
    .await;
    let mut source = polled(&http(&server.url, false));
    assert_eq!(source.sent().await, ["4.5"]);
    assert!(server.request(0).contains("accept-encoding: gzip"));
    assert_eq!(source.fails().await.0, "too_large");
    assert_eq!(source.fails().await.0, "network");
}

#[tokio::test]
async fn redirects_are_followed_but_the_token_stays_at_home() {
    let body = hourly(&["1"]);
    let away = Server::once(ok("", &body)).await;
    let moved = |to: &str| answer("302 Found", &format!("location: {to}\r\n"), b"");
    let home = Server::start(vec![moved("/inner"), moved(&format!("{}/there", away.url))]).await;
    let mut source = polled(&http(&home.url, true));
    assert_eq!(source.sent().await, ["1"]);
    assert!(home.request(0).contains("authorization: bearer s3cret"));
    assert!(home.request(1).starts_with("get /inner "));
    assert!(home.request(1).contains("authorization: bearer s3cret"));
    assert!(away.request(0).starts_with("get /there "));
    assert!(!away.request(0).contains("authorization"), "{}", away.request(0));
}

#[tokio::test]
async fn a_token_that_was_led_away_is_not_led_back() {
    let moved = |to: &str| answer("302 Found", &format!("location: {to}\r\n"), b"");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = Server::once(moved(&format!("{}/chosen-by-away", url(&listener)))).await;
    let home = Server::on(listener, vec![moved(&away.url), ok("", &hourly(&["1"]))]);
    assert_eq!(polled(&http(&home.url, true)).sent().await, ["1"]);
    assert!(home.request(0).contains("authorization"));
    assert!(!away.request(0).contains("authorization"));
    assert!(home.request(1).starts_with("get /chosen-by-away "));
    assert!(!home.request(1).contains("authorization"));
}

#[tokio::test]
async fn redirects_end_and_lead_nowhere_bad() {
    let moved = |to: &str| answer("302 Found", &format!("location: {to}\r\n"), b"");
    let circle = Server::once(moved("/again")).await;
    assert_eq!(polled(&http(&circle.url, false)).fails().await.0, "status");
    assert_eq!(circle.count(), 6);
    for bad in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://100.100.100.200/",
        "http://[fd00:ec2::254]/",
        "file:///etc/passwd",
        "ftp://localhost/",
    ] {
        let server = Server::once(moved(bad)).await;
        let (reason, message) = polled(&http(&server.url, false)).fails().await;
        assert_eq!(reason, "refused", "{bad}: {message}");
    }
    let lost = Server::once(answer("302 Found", "", b"")).await;
    assert_eq!(polled(&http(&lost.url, false)).fails().await.0, "status");
}

#[tokio::test]
async fn a_mapping_reads_from_the_web_as_well() {
    let server = Server::once(ok("", "name,price\na,1.50\n")).await;
    let reader = mapping(MappingInput::Csv, ".[] | {item: .name, price}");
    let mut source = polled(&http_with(&server.url, false, reader));
    let snapshot = source.poll().await.unwrap().unwrap();
    assert!(snapshot.complete);
    assert_eq!(support::prices(&snapshot), ["1.50"]);
    assert_eq!(snapshot.observations[0].observed_at, AT);
}

#[test]
fn addresses_and_headers_are_judged_before_anything_is_sent() {
    for (url, why) in [
        ("http://169.254.169.254/", "link-local"),
        ("http://[fe80::1%25eth0]/", "no address"),
        ("ftp://example.com/", "must begin with http"),
        ("example.com/prices", "no address"),
        ("http://user:pw@example.com/", "user name or password"),
        ("", "no address"),
    ] {
        let told = check(&http(url, false), std::path::Path::new(".")).unwrap_err().to_string();
        assert!(told.contains(why) && !told.contains("pw@"), "{url}: {told}");
    }
    let missing = build(&http("https://example.com/", true), &support::context(std::path::Path::new(".")));
    let told = missing.map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("PRICEMONITOR_SECRET_FEED_TOKEN"), "{told}");
    let mut bad = context();
    bad.secrets.variables.insert("PRICEMONITOR_SECRET_FEED_TOKEN".into(), SecretString::new("s3cret\nx"));
    let told = build(&http("https://example.com/", true), &bad).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("bearerToken") && !told.contains("s3cret"), "{told}");
    assert!(build(&http("https://example.com/", true), &context()).is_ok());
}
