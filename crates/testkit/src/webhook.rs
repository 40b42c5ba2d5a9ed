//! A webhook receiver that remembers everything and can misbehave.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What to do with a request after it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This status, header lines and body.
    Reply(u16, Vec<(String, String)>, String),
    /// No answer for so long, then the connection is closed.
    Hang(Duration),
    /// The connection is closed without an answer.
    Drop,
    /// These bytes as they are, then the connection is closed: an answer that breaks off.
    Torn(&'static str),
}

impl Answer {
    /// A status without headers or body.
    pub fn status(status: u16) -> Answer {
        Answer::Reply(status, Vec::new(), String::new())
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// How many came before it.
    pub number: usize,
    /// Header `webhook-id`.
    pub id: Option<String>,
    /// Path with query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
    /// When.
    pub at: Instant,
}

impl Received {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

type Script = dyn Fn(&Received) -> Answer + Send + Sync;

/// A receiver on a port of its own. Dropping it closes the port and joins its threads.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    /// Connections stay open for the next request.
    keeps: bool,
    stopped: AtomicBool,
    script: Box<Script>,
}

impl Receiver {
    /// Listens; `script` decides about every request once it was read and recorded.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Result<Receiver> {
        Receiver::start_at(Ipv4Addr::LOCALHOST, script)
    }

    /// As [`Receiver::start`], with connections that stay open for the next request, as those of real servers do.
    ///
    /// # Errors
    /// When no port is free.
    pub fn keeping_connections(
        script: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Result<Receiver> {
        Receiver::listening(Ipv4Addr::LOCALHOST, true, script)
    }

    /// As [`Receiver::start`], at another address of this machine.
    ///
    /// # Errors
    /// When the machine has no such address.
    pub fn start_at(
        address: Ipv4Addr,
        script: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Result<Receiver> {
        Receiver::listening(address, false, script)
    }

    fn listening(
        address: Ipv4Addr,
        keeps: bool,
        script: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Result<Receiver> {
        let socket = TcpListener::bind((address, 0)).with_context(|| format!("listening at {address}"))?;
        let address = socket.local_addr()?;
        let shared = Arc::new(Shared {
            received: Mutex::new(Vec::new()),
            keeps,
            stopped: AtomicBool::new(false),
            script: Box::new(script),
        });
        let inner = Arc::clone(&shared);
        let listener = std::thread::spawn(move || listen(&socket, &inner));
        Ok(Receiver { address, shared, listener: Some(listener) })
    }

    /// Its address with a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Everything received so far, in the order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener out of its wait for a connection.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn listen(socket: &TcpListener, shared: &Arc<Shared>) {
    let mut serving: Vec<JoinHandle<()>> = Vec::new();
    for stream in socket.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            break;
        }
        serving.retain(|thread| !thread.is_finished());
        if let Ok(stream) = stream {
            let shared = Arc::clone(shared);
            // A caller that was killed leaves a broken connection: its request counts only if complete.
            serving.push(std::thread::spawn(move || drop(serve(&stream, &shared))));
        }
    }
    for thread in serving {
        let _ = thread.join();
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    while comes(&mut reader, shared)? {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let request = read(&mut reader.by_ref().take(16 << 20))?;
        let request = {
            let mut received = shared.received.lock().unwrap_or_else(PoisonError::into_inner);
            let request = Received { number: received.len(), ..request };
            received.push(request.clone());
            request
        };
        let answer = (shared.script)(&request);
        let closes = !(shared.keeps && matches!(answer, Answer::Reply(..)));
        reply(stream, shared, answer, closes)?;
        if closes {
            break;
        }
    }
    Ok(())
}

/// Whether another request begins, before the other side closes the connection or the receiver goes.
fn comes(reader: &mut BufReader<&TcpStream>, shared: &Shared) -> Result<bool> {
    reader.get_ref().set_read_timeout(Some(Duration::from_millis(100)))?;
    loop {
        match reader.fill_buf() {
            Ok(bytes) => return Ok(!bytes.is_empty()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if shared.stopped.load(Ordering::SeqCst) {
                    return Ok(false);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn reply(mut stream: &TcpStream, shared: &Shared, answer: Answer, closes: bool) -> Result<()> {
    match answer {
        Answer::Drop => {}
        Answer::Torn(bytes) => stream.write_all(bytes.as_bytes())?,
        Answer::Hang(time) => {
            let end = Instant::now() + time;
            while Instant::now() < end && !shared.stopped.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Answer::Reply(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
            if closes {
                head += "Connection: close\r\n";
            }
            if status != 204 {
                head += &format!("Content-Length: {}\r\n", body.len());
            }
            for (name, value) in headers {
                head += &format!("{name}: {value}\r\n");
            }
            stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> Result<Received> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split_whitespace().nth(1).context("no request line")?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        anyhow::ensure!(reader.read_line(&mut line)? > 0, "the request broke off");
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let length: usize = header("content-length").map_or(Ok(0), |text| text.parse())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).context("the request broke off")?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Received { number: 0, id: header("webhook-id"), path, headers, body, at: Instant::now() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(receiver: &Receiver, id: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(receiver.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "POST /hook HTTP/1.1\r\nWebhook-Id: {id}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn requests_are_remembered_and_answered_by_the_script() {
        let receiver = Receiver::start(|request| match request.number {
            0 => Answer::status(500),
            1 => Answer::Drop,
            2 => Answer::Torn("HTTP/1.1 2"),
            _ => Answer::Reply(200, vec![("X-Y".into(), "z".into())], "ok".into()),
        })
        .unwrap();
        assert!(post(&receiver, "a", "one").unwrap().starts_with("HTTP/1.1 500 "));
        assert_eq!(post(&receiver, "a", "one").unwrap_or_default(), "");
        assert_eq!(post(&receiver, "a", "one").unwrap(), "HTTP/1.1 2");
        let last = post(&receiver, "b", "two").unwrap();
        assert!(last.contains("X-Y: z") && last.ends_with("ok"), "{last}");
        let received = receiver.received();
        let seen: Vec<_> =
            received.iter().map(|request| (request.id.as_deref().unwrap(), request.body.as_str())).collect();
        assert_eq!(seen, [("a", "one"), ("a", "one"), ("a", "one"), ("b", "two")]);
        assert_eq!(received[0].path, "/hook");
    }

    #[test]
    fn one_that_keeps_connections_takes_several_requests_on_one_and_still_goes_at_once() {
        let receiver = Receiver::keeping_connections(|_| Answer::status(200)).unwrap();
        let mut stream = BufReader::new(TcpStream::connect(receiver.address).unwrap());
        for body in ["one", "two"] {
            write!(stream.get_mut(), "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n{body}").unwrap();
            let mut lines = String::new();
            while !lines.ends_with("\r\n\r\n") {
                assert!(stream.read_line(&mut lines).unwrap() > 0, "{lines}");
            }
            assert_eq!(lines, "HTTP/1.1 200 Scripted\r\nContent-Length: 0\r\n\r\n");
        }
        assert_eq!(receiver.received().iter().map(|one| &*one.body).collect::<Vec<_>>(), ["one", "two"]);
        let begun = Instant::now();
        drop(receiver);
        assert!(begun.elapsed() < Duration::from_secs(5), "somebody still listens to the open connection");
    }

    #[test]
    fn half_a_request_counts_as_none() {
        let receiver = Receiver::start(|_| Answer::status(200)).unwrap();
        let mut stream = TcpStream::connect(receiver.address).unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
        drop(stream);
        drop(post(&receiver, "whole", ""));
        assert_eq!(receiver.received().len(), 1);
    }
}
