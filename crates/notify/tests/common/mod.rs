//! A loopback server that answers as it is told, and channels that talk to it.

// Each test program uses its own part.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pricemonitor_config::{ChannelKind, ChannelSettings, SecretRef, SecretString, Secrets, WebhookUrl};
use pricemonitor_model::{Alert, MonitorId, Time};
use pricemonitor_notify::{BuildError, Channel, Outcome, Sent, build, sample_alert};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The secret part of every address here.
pub const TOKEN: &str = "tOkEn-of.the_hook-zZz";
/// The signing secret.
pub const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What to do with a connection.
#[derive(Clone)]
pub enum Act {
    /// Reads the request, writes these bytes, closes.
    Bytes(Vec<u8>),
    /// Reads the request, then says nothing.
    Hang,
    /// Reads the request, then closes.
    Drop,
    /// Reads nothing, says nothing.
    Deaf,
    /// Closes at once.
    DropUnread,
    /// Reads the request and answers 200 with a body that never ends.
    Endless,
    /// Reads the request, answers this head, then says nothing.
    HeadThenHang(Vec<u8>),
}

/// An answer.
pub fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Act {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\nConnection: close\r\n");
    if status != 204 {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    Act::Bytes(format!("{text}\r\n{body}").into_bytes())
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: String,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.trim()))
    }
}

/// The server. Acts are taken one after another; the last one stays.
pub struct Server {
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(acts: Vec<Act>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            for n in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let act = acts[n.min(acts.len() - 1)].clone();
                // One at a time: the tests send one message after another.
                serve(stream, act, &seen).await;
            }
        });
        Server { port, requests, task }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, act: Act, seen: &Mutex<Vec<Request>>) {
    match act {
        Act::DropUnread => return,
        Act::Deaf => return tokio::time::sleep(Duration::from_secs(30)).await,
        _ => {}
    }
    let Some(request) = read(&mut stream).await else { return };
    seen.lock().unwrap().push(request);
    match act {
        Act::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Act::Hang => tokio::time::sleep(Duration::from_secs(30)).await,
        Act::HeadThenHang(head) => {
            let _ = stream.write_all(&head).await;
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        Act::Endless => {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head).await;
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
        }
        Act::Drop | Act::DropUnread | Act::Deaf => {}
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let request = Request { head: head.to_owned(), body: String::new() };
            let length: usize = request.header("content-length").map_or(0, |it| it.parse().unwrap());
            let start = head.len() + 4;
            if bytes.len() >= start + length {
                let body = String::from_utf8(bytes[start..].to_vec()).unwrap();
                return Some(Request { body, ..request });
            }
        }
        let count = stream.read(&mut buffer).await.ok().filter(|&count| count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
    }
}

pub fn reference(name: &str) -> SecretRef {
    SecretRef { name: name.to_owned(), key: "url".to_owned() }
}

/// Secrets with the address `url`, as `hook/url`, and the signing secret, as `signing/url`.
pub fn secrets(url: &str) -> Secrets {
    let variables = [("PRICEMONITOR_SECRET_HOOK_URL", url), ("PRICEMONITOR_SECRET_SIGNING_URL", SIGNING)];
    let variables =
        variables.into_iter().map(|(name, value)| (name.to_owned(), SecretString::new(value))).collect();
    Secrets { dir: None, variables }
}

pub fn settings(kind: ChannelKind) -> ChannelSettings {
    ChannelSettings {
        name: "hook".to_owned(),
        max_age: Duration::from_secs(3600),
        send_resolved: false,
        template: None,
        kind,
    }
}

pub fn discord_settings() -> ChannelSettings {
    settings(ChannelKind::Discord { webhook_url: reference("hook"), thread_id: None })
}

pub fn webhook_settings(timeout: Duration) -> ChannelSettings {
    let url = WebhookUrl::Secret(reference("hook"));
    settings(ChannelKind::Webhook { url, signing_secret: Some(reference("signing")), timeout })
}

pub fn built(result: Result<Box<dyn Channel>, BuildError>) -> Box<dyn Channel> {
    match result {
        Ok(channel) => channel,
        Err(error) => panic!("{error}"),
    }
}

/// A Discord channel on a port of this machine.
pub fn discord(port: u16) -> Box<dyn Channel> {
    built(build(
        &discord_settings(),
        &secrets(&format!("http://127.0.0.1:{port}/api/webhooks/1234567/{TOKEN}")),
    ))
}

/// A webhook on an https port of this machine; an error where the system has no certificates.
pub fn secure_webhook(port: u16) -> Result<Box<dyn Channel>, BuildError> {
    let secrets = secrets(&format!("https://127.0.0.1:{port}/in/{TOKEN}"));
    build(&webhook_settings(Duration::from_millis(600)), &secrets)
}

/// A signed webhook on a port of this machine.
pub fn webhook(port: u16) -> Box<dyn Channel> {
    let secrets = secrets(&format!("http://127.0.0.1:{port}/in/{TOKEN}?key={TOKEN}"));
    built(build(&webhook_settings(Duration::from_millis(600)), &secrets))
}

pub const NOW: Time = Time::from_seconds(1_700_000_000);

pub fn alert() -> Alert<'static> {
    sample_alert(&MonitorId::new(None, "m"), NOW)
}

/// Sends `count` alerts and checks that nothing said holds a secret.
pub async fn send(channel: &dyn Channel, count: usize) -> Sent {
    let alerts: Vec<_> = (0..count).map(|_| alert()).collect();
    let sent = channel.send(&alerts, NOW).await;
    assert_eq!(sent.taken, channel.fits(&alerts), "what was announced is what was sent");
    let shown = format!("{sent:?} {}", channel.preview(&alerts));
    for secret in [TOKEN, SIGNING, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "tOkEn"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    sent
}

/// The outcome's name and its reason.
pub fn told(sent: &Sent) -> (&'static str, String) {
    match sent.outcome.clone() {
        Outcome::Delivered { message_id } => ("delivered", message_id.unwrap_or_default()),
        Outcome::Retry { reason } => ("retry", reason),
        Outcome::Ambiguous { reason } => ("ambiguous", reason),
        Outcome::Refused { reason } => ("refused", reason),
        Outcome::Gone { reason } => ("gone", reason),
    }
}

/// A port where nobody listens.
pub async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}
