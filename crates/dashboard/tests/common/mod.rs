//! A page that is served for a test, and a client that may lie about everything.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pricemonitor_dashboard::{Options, Prices, bind};
use tokio_util::sync::CancellationToken;

/// A served page; stops when dropped.
pub struct Served {
    pub address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

pub fn serve(prices: Arc<dyn Prices>, options: Options) -> Served {
    serve_at(SocketAddr::from(([127, 0, 0, 1], 0)), prices, options)
}

pub fn serve_at(listen: SocketAddr, prices: Arc<dyn Prices>, options: Options) -> Served {
    let stop = CancellationToken::new();
    let (told, address) = std::sync::mpsc::channel();
    let ending = stop.clone();
    let thread = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let bound = bind(listen).await.unwrap();
            told.send(bound.address()).unwrap();
            let extra = axum::Router::new().route("/livez", axum::routing::get(|| async { "alive\n" }));
            let answers = bound.answers();
            let page = answers.page(options, prices, extra, ending.clone());
            let ((), served) = tokio::join!(page, bound.serve(ending));
            served.unwrap();
        });
        runtime.shutdown_timeout(Duration::from_millis(200));
    });
    Served { address: address.recv().unwrap(), stop, thread: Some(thread) }
}

impl Served {
    /// Stops and tells how long it took.
    pub fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        begun.elapsed()
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(path, &[])
    }

    pub fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        request(self.address, "GET", path, headers)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body came to its proper end.
    pub whole: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// Opens a connection and sends a request's head; a `host` among the headers replaces the true one.
pub fn open(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head += &format!("host: {address}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    BufReader::new(stream)
}

/// Reads a status line and headers.
pub fn head(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {line:?}")).parse().unwrap();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    (status, headers)
}

pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut reader = open(address, method, path, headers);
    if reader.fill_buf().is_ok_and(<[u8]>::is_empty) {
        // Broken off before the first byte.
        return Answer { status: 0, headers: Vec::new(), body: Vec::new(), whole: false };
    }
    let (status, headers) = head(&mut reader);
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let mut body = Vec::new();
    let mut whole = true;
    if chunked {
        whole = chunks(&mut reader, &mut body);
    } else {
        reader.read_to_end(&mut body).unwrap();
    }
    Answer { status, headers, body, whole }
}

fn chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> bool {
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return false;
        }
        let Ok(length) = usize::from_str_radix(line.trim(), 16) else { return false };
        let mut chunk = vec![0; length + 2];
        if reader.read_exact(&mut chunk).is_err() {
            return false;
        }
        if length == 0 {
            return true;
        }
        body.extend_from_slice(&chunk[..length]);
    }
}
