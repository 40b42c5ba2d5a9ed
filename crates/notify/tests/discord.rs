//! The Discord channel against a loopback server that answers as Discord and its proxies do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{Act, NOW, Server, TOKEN, alert, closed_port, discord, reply, send, told};
use pricemonitor_notify::{BuildError, build};
use serde_json::{Value, json};

#[tokio::test]
async fn a_message_is_posted_and_its_id_is_kept() {
    let server = Server::start(vec![reply(200, &[], r#"{"id":"1137","type":0}"#)]).await;
    let sent = send(&*discord(server.port), 12).await;
    assert_eq!(told(&sent), ("delivered", "1137".to_owned()));
    assert_eq!((sent.taken, sent.pause, sent.pause_all), (10, None, false));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let line = requests[0].head.lines().next().unwrap();
    assert_eq!(line, format!("POST /api/webhooks/1234567/{TOKEN}?wait=true HTTP/1.1"));
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    assert!(requests[0].header("user-agent").unwrap().starts_with("PriceMonitor/"));
    let body: Value = serde_json::from_str(&requests[0].body).unwrap();
    assert_eq!(body["embeds"].as_array().unwrap().len(), 10);
    assert_eq!(body["allowed_mentions"], json!({"parse": []}));
}

#[tokio::test]
async fn every_answer_is_told_for_what_it_is() {
    let limited = r#"{"message":"You are being rate limited.","retry_after":0.75,"global":false}"#;
    let invalid = r#"{"message":"Invalid Form Body","code":50035,"errors":{"embeds":{"0":{"title":{"_errors":[{"code":"BASE_TYPE_MAX_LENGTH","message":"Must be 256 or fewer in length."}]}}}}}"#;
    let echo = format!("no such thing: /api/webhooks/1234567/{TOKEN}");
    let table = [
        (reply(204, &[], ""), "delivered", "", None),
        (reply(429, &[("Retry-After", "2")], limited), "retry", "rate limited", Some(2.0)),
        (reply(429, &[("Retry-After", "7")], ""), "retry", "it answered 429", Some(7.0)),
        (reply(404, &[], r#"{"message":"Unknown Webhook","code":10015}"#), "gone", "Unknown Webhook", None),
        (reply(401, &[], ""), "gone", "it answered 401 Unauthorized", None),
        (reply(500, &[], &echo), "retry", "no such thing: [secret]", None),
        (reply(400, &[], invalid), "refused", "Must be 256 or fewer in length.", None),
        (
            reply(301, &[("Location", &format!("/{TOKEN}"))], ""),
            "refused",
            "redirects are not followed",
            None,
        ),
    ];
    for (act, kind, part, pause) in table {
        let server = Server::start(vec![act]).await;
        let sent = send(&*discord(server.port), 1).await;
        let (told, reason) = told(&sent);
        assert_eq!(told, kind, "{reason}");
        assert!(reason.contains(part), "{reason}");
        assert!(reason.chars().count() < 400, "{reason}");
        assert_eq!(sent.pause.map(|it| it.as_secs_f64()), pause, "{reason}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_global_limit_pauses_every_webhook_of_the_process() {
    let global = r#"{"message":"You are being rate limited.","retry_after":30,"global":true}"#;
    let server = Server::start(vec![reply(429, &[], global), reply(200, &[], r#"{"id":"1"}"#)]).await;
    let sent = send(&*discord(server.port), 1).await;
    assert!(sent.pause_all);
    // Another channel of the process: nothing is sent.
    let other = discord(server.port);
    let (kind, reason) = told(&send(&*other, 1).await);
    assert_eq!(kind, "retry");
    assert!(reason.contains("every webhook to pause for another 31 s"), "{reason}");
    assert_eq!(server.requests().len(), 1);
    // When the pause is over, it goes on.
    let sent = other.send(&[alert()], NOW.plus(30_000)).await;
    assert_eq!(told(&sent).0, "delivered");
}

#[tokio::test]
async fn what_was_surely_not_sent_is_tried_again_and_what_may_have_arrived_is_ambiguous() {
    let (kind, reason) = told(&send(&*discord(closed_port().await), 1).await);
    assert_eq!(kind, "retry", "{reason}");
    assert!(reason.starts_with("cannot connect to the address in secret `hook`, key `url`: "), "{reason}");
    for act in [
        Act::Drop,
        Act::DropUnread,
        Act::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        Act::Bytes(vec![0xff; 300]),
        Act::Bytes(b"HTTP/1.1 2".to_vec()),
        Act::Bytes(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(2_000_000)).into_bytes()),
    ] {
        let server = Server::start(vec![act]).await;
        let (kind, reason) = told(&send(&*discord(server.port), 1).await);
        assert_eq!(kind, "ambiguous", "{reason}");
        assert!(reason.contains("the message may have arrived"), "{reason}");
    }
}

#[tokio::test]
async fn an_answer_counts_once_its_status_is_there_however_its_body_ends() {
    let broken = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":".to_vec();
    let server = Server::start(vec![Act::Bytes(broken)]).await;
    assert_eq!(told(&send(&*discord(server.port), 1).await), ("delivered", String::new()));
    let server = Server::start(vec![Act::Endless]).await;
    let started = Instant::now();
    assert_eq!(told(&send(&*discord(server.port), 1).await), ("delivered", String::new()));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let huge = format!("{TOKEN} ").repeat(20_000);
    let server = Server::start(vec![reply(400, &[], &huge)]).await;
    let (kind, reason) = told(&send(&*discord(server.port), 1).await);
    assert_eq!(kind, "refused");
    assert!(reason.chars().count() < 400, "{reason}");
}

#[test]
fn what_is_wrong_with_a_channel_is_said_without_its_secret() {
    let settings = common::discord_settings();
    let error = |url: &str| build(&settings, &common::secrets(url)).err().unwrap();
    assert!(matches!(error(TOKEN), BuildError::Address { .. }));
    let wrong = error(&format!("https://discord.com/channels/1/{TOKEN}"));
    let text = format!("{wrong} {wrong:?}");
    assert!(text.contains("in secret `hook`, key `url`") && !text.contains(TOKEN), "{text}");
    let missing = build(&settings, &pricemonitor_config::Secrets::default()).err().unwrap();
    assert!(matches!(missing, BuildError::Secret(_)));
    assert!(missing.to_string().contains("hook"), "{missing}");
}
