//! What an address answers with may change while connections are open.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod fixture;

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use common::{head, request};
use pricemonitor_dashboard::{Options, bind};
use tokio_util::sync::CancellationToken;

fn probe(text: &'static str) -> Router {
    Router::new().route("/livez", get(move || async move { text }))
}

/// One more request on a connection that stays open, and the body of its answer.
fn ask(connection: &mut BufReader<TcpStream>) -> String {
    let address = connection.get_ref().peer_addr().unwrap();
    write!(connection.get_mut(), "GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let (_, headers) = head(connection);
    let length = headers.iter().find(|(name, _)| name == "content-length").unwrap().1.parse().unwrap();
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

#[test]
fn no_connection_is_broken_off_when_the_page_comes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let bound = runtime.block_on(bind(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
    let (address, answers, stop) = (bound.address(), bound.answers(), CancellationToken::new());
    let serving = runtime.spawn(bound.serve(stop.clone()));
    assert_eq!(request(address, "GET", "/livez", &[]).status, 404);
    answers.only(probe("opening"));
    let connect = || BufReader::new(TcpStream::connect(address).unwrap());
    let (mut silent, mut asked) = (connect(), connect());
    assert_eq!(ask(&mut asked), "opening");

    let page = runtime.spawn({
        let (answers, stop) = (answers.clone(), stop.clone());
        let prices = Arc::new(fixture::Memory::default());
        async move { answers.page(Options::default(), prices, probe("open"), stop).await }
    });
    let began = Instant::now();
    while request(address, "GET", "/", &[]).status != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "there is no page");
    }
    assert_eq!(ask(&mut asked), "open", "between two requests");
    assert_eq!(ask(&mut silent), "open", "before the first request");

    stop.cancel();
    runtime.block_on(async {
        page.await.unwrap();
        serving.await.unwrap().unwrap();
    });
}
