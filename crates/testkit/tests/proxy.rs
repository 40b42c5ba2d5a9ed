//! The proxy does to a connection what it is told, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pricemonitor_testkit::proxy::Proxy;
use pricemonitor_testkit::wait;

const SOON: Duration = Duration::from_secs(10);

/// A server that says everything back. It takes `connections` and ends with the last of them.
fn echo(connections: usize) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let threads: Vec<_> = (0..connections)
            .map(|_| {
                let (mut stream, _) = listener.accept().unwrap();
                std::thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut bytes) {
                        if stream.write_all(&bytes[..count]).is_err() {
                            break;
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    (port, server)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

fn said_back(stream: &mut TcpStream, text: &str) -> std::io::Result<()> {
    stream.write_all(text.as_bytes())?;
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back)?;
    assert_eq!(back, text.as_bytes());
    Ok(())
}

/// The other end is gone: no bytes, or an error.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn bytes_go_through_in_order_and_the_end_too() {
    let (port, server) = echo(1);
    let proxy = Proxy::to(port).unwrap();
    let mut stream = connect(&proxy);
    let much: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let mut writing = stream.try_clone().unwrap();
    let sent = much.clone();
    let writer = std::thread::spawn(move || {
        writing.write_all(&sent).unwrap();
        writing.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writer.join().unwrap();
    assert!(back == much, "{} of {} bytes came back", back.len(), much.len());
    server.join().unwrap();
    wait::until("the link to be over", SOON, || proxy.connections() == 0).unwrap();
    assert_eq!(proxy.accepted(), 1);
}

#[test]
fn latency_is_added_in_each_direction_and_taken_away_again() {
    let (port, server) = echo(1);
    let proxy = Proxy::to(port).unwrap();
    let mut stream = connect(&proxy);
    said_back(&mut stream, "warm").unwrap();
    proxy.delay(Duration::from_millis(150));
    let began = Instant::now();
    said_back(&mut stream, "slow").unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(300) && took < SOON, "{took:?}");
    proxy.resume().unwrap();
    let began = Instant::now();
    said_back(&mut stream, "fast").unwrap();
    assert!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
    drop(stream);
    server.join().unwrap();
}

#[test]
fn a_cut_closes_both_ends_and_new_connections_are_taken() {
    let (port, server) = echo(2);
    let proxy = Proxy::to(port).unwrap();
    let mut stream = connect(&proxy);
    said_back(&mut stream, "before").unwrap();
    assert_eq!(proxy.cut(), 1);
    assert!(is_closed(&mut stream));
    assert_eq!((proxy.connections(), proxy.cut()), (0, 0));
    let mut again = connect(&proxy);
    said_back(&mut again, "after").unwrap();
    drop(again);
    // The server saw the end of the first too, else it would not end.
    server.join().unwrap();
}

#[test]
fn new_connections_are_refused_while_the_open_ones_stay() {
    let (port, server) = echo(2);
    let proxy = Proxy::to(port).unwrap();
    let mut stream = connect(&proxy);
    said_back(&mut stream, "before").unwrap();
    proxy.refuse().unwrap();
    let refused = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    said_back(&mut stream, "still there").unwrap();
    proxy.resume().unwrap();
    said_back(&mut connect(&proxy), "let in").unwrap();
    drop(stream);
    server.join().unwrap();
}

#[test]
fn half_open_connections_swallow_every_byte_and_are_cut_afterwards() {
    let (port, server) = echo(3);
    let proxy = Proxy::to(port).unwrap();
    let (mut talks, mut silent) = (connect(&proxy), connect(&proxy));
    said_back(&mut talks, "before").unwrap();
    said_back(&mut silent, "before").unwrap();
    proxy.swallow();
    let wait = Duration::from_millis(200);
    for stream in [&mut talks, &mut connect(&proxy)] {
        stream.set_read_timeout(Some(wait)).unwrap();
        let kind = said_back(stream, "is anybody there").unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "open, but silent: {kind}");
    }
    assert_eq!(proxy.connections(), 3, "nor does the server hear that one was dropped");
    proxy.resume().unwrap();
    talks.set_read_timeout(Some(SOON)).unwrap();
    assert!(is_closed(&mut talks), "a hole in the stream ends it");
    said_back(&mut silent, "nothing was lost here").unwrap();
    drop(silent);
    server.join().unwrap();
}

#[test]
fn while_bytes_are_swallowed_nobody_has_to_be_behind() {
    let proxy = Proxy::new().unwrap();
    assert!(is_closed(&mut connect(&proxy)), "it leads nowhere");
    proxy.swallow();
    let mut stream = connect(&proxy);
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    stream.write_all(b"hello").unwrap();
    assert!(!is_closed(&mut stream));
    let (port, server) = echo(1);
    proxy.aim(port);
    proxy.resume().unwrap();
    said_back(&mut connect(&proxy), "now").unwrap();
    server.join().unwrap();
}

#[test]
fn when_it_is_dropped_its_port_is_free_and_its_threads_are_gone() {
    let (port, server) = echo(1);
    let proxy = Proxy::to(port).unwrap();
    let own = proxy.port();
    let mut stream = connect(&proxy);
    said_back(&mut stream, "before").unwrap();
    proxy.delay(Duration::from_secs(60));
    stream.write_all(b"under way").unwrap();
    let began = Instant::now();
    drop(proxy);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(is_closed(&mut stream));
    assert!(TcpListener::bind(("127.0.0.1", own)).is_ok());
    server.join().unwrap();
}
