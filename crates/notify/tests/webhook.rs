//! The generic webhook against a loopback server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use base64::Engine as _;
use common::{Act, NOW, SIGNING, Server, TOKEN, alert, closed_port, reply, send, told, webhook};
use hmac::{Hmac, KeyInit as _, Mac as _};
use pricemonitor_config::{ChannelKind, WebhookUrl};
use pricemonitor_model::wire;
use pricemonitor_notify::{BuildError, build};
use serde_json::Value;
use sha2::Sha256;

/// As the receiver in docs/channels.md does it.
fn verified(request: &common::Request) -> bool {
    let part = |name| request.header(name).unwrap();
    let key = base64::prelude::BASE64_STANDARD.decode(SIGNING.trim_start_matches("whsec_")).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.{}.{}", part("webhook-id"), part("webhook-timestamp"), request.body).as_bytes());
    let want = base64::prelude::BASE64_STANDARD.encode(mac.finalize().into_bytes());
    part("webhook-signature") == format!("v1,{want}")
}

#[tokio::test]
async fn an_alert_is_one_signed_post_of_its_wire_form() {
    let server = Server::start(vec![reply(204, &[], "")]).await;
    let sent = send(&*webhook(server.port), 3).await;
    assert_eq!(told(&sent), ("delivered", String::new()));
    assert_eq!((sent.taken, sent.pause), (1, None));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert!(request.head.starts_with(&format!("POST /in/{TOKEN}?key={TOKEN} HTTP/1.1\r\n")));
    assert_eq!(wire::read_alert(request.body.as_bytes()).unwrap().unwrap(), alert());
    assert_eq!(request.header("webhook-id"), Some(alert().id.as_str()));
    assert_eq!(request.header("webhook-timestamp"), Some("1700000000"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert!(request.header("user-agent").unwrap().starts_with("PriceMonitor/"));
    assert!(verified(request));
}

#[tokio::test]
async fn a_repeat_has_the_same_id_and_body_and_a_signature_of_its_own_time() {
    let server = Server::start(vec![Act::Drop, reply(200, &[], "ok")]).await;
    let channel = webhook(server.port);
    assert_eq!(told(&send(&*channel, 1).await).0, "ambiguous");
    assert_eq!(told(&channel.send(&[alert()], NOW.plus(5_999)).await).0, "delivered");
    let [first, second] = <[_; 2]>::try_from(server.requests()).unwrap();
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(first.body, second.body);
    assert_eq!(second.header("webhook-timestamp"), Some("1700000005"));
    assert!(verified(&first) && verified(&second));
}

#[tokio::test]
async fn every_answer_is_told_for_what_it_is() {
    let echo = format!("you sent {TOKEN} signed by {SIGNING}, and PLANTED-bearer-4713");
    let table = [
        (reply(200, &[("Retry-After", "9")], "ok"), "delivered", "", None),
        (reply(202, &[], ""), "delivered", "", None),
        (reply(400, &[], &echo), "refused", "you sent [secret] signed by [secret], and [secret]", None),
        (reply(401, &[], ""), "refused", "it answered 401 Unauthorized", None),
        (reply(404, &[], ""), "refused", "it answered 404 Not Found", None),
        (reply(410, &[], ""), "gone", "it answered 410 Gone", None),
        (reply(408, &[], ""), "retry", "it answered 408", None),
        (reply(425, &[], ""), "retry", "it answered 425", None),
        (reply(429, &[], ""), "retry", "it answered 429", None),
        (reply(429, &[("Retry-After", "12")], ""), "retry", "it answered 429", Some(12)),
        (reply(503, &[("Retry-After", "Tue, 14 Nov 2023 22:14:20 GMT")], "x"), "retry", "503", Some(60)),
        (reply(500, &[], &echo), "retry", "you sent [secret]", None),
        (
            reply(302, &[("Location", "http://127.0.0.1:1/")], ""),
            "refused",
            "redirects are not followed",
            None,
        ),
        (
            reply(307, &[("Location", "http://127.0.0.1:1/")], ""),
            "refused",
            "redirects are not followed",
            None,
        ),
    ];
    for (act, kind, part, pause) in table {
        let server = Server::start(vec![act]).await;
        let sent = send(&*webhook(server.port), 1).await;
        let (told, reason) = told(&sent);
        assert_eq!(told, kind, "{reason}");
        assert!(reason.contains(part), "{reason}");
        assert!(!reason.contains("PLANTED"), "{reason}");
        assert_eq!(sent.pause, pause.map(Duration::from_secs), "{reason}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_makes_it_ambiguous_within_the_time_out() {
    for act in [Act::Hang, Act::HeadThenHang(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec())] {
        let server = Server::start(vec![act]).await;
        let started = Instant::now();
        let (kind, reason) = told(&send(&*webhook(server.port), 1).await);
        assert_eq!(kind, "ambiguous", "{reason}");
        assert!(reason.contains("did not answer within 600ms; the message may have arrived"), "{reason}");
        let took = started.elapsed();
        assert!((Duration::from_millis(550)..Duration::from_secs(5)).contains(&took), "{took:?}");
        assert_eq!(server.requests().len(), 1);
    }
    // A status is an answer, even when the body never comes.
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".to_vec();
    let server = Server::start(vec![Act::HeadThenHang(head)]).await;
    assert_eq!(told(&send(&*webhook(server.port), 1).await).0, "delivered");
}

#[tokio::test]
async fn what_was_surely_not_sent_is_tried_again_and_what_may_have_arrived_is_ambiguous() {
    assert_eq!(told(&send(&*webhook(closed_port().await), 1).await).0, "retry");
    for act in [Act::Drop, Act::DropUnread, Act::Bytes(b"nonsense\r\n\r\n".to_vec())] {
        let server = Server::start(vec![act]).await;
        assert_eq!(told(&send(&*webhook(server.port), 1).await).0, "ambiguous");
    }
}

#[tokio::test]
async fn a_tls_handshake_that_fails_or_hangs_means_that_nothing_was_sent() {
    for (act, part) in [(Act::Deaf, "timed out"), (Act::Bytes(b"no TLS".to_vec()), ""), (Act::DropUnread, "")]
    {
        let server = Server::start(vec![act]).await;
        match common::secure_webhook(server.port) {
            Ok(channel) => {
                let (kind, reason) = told(&send(&*channel, 1).await);
                assert_eq!(kind, "retry", "{reason}");
                assert!(reason.starts_with("cannot connect to ") && reason.contains(part), "{reason}");
            }
            // A machine without certificates is told so.
            Err(error) => assert!(error.to_string().contains("ca-certificates"), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_template_adds_its_text_and_changes_nothing_else() {
    let server = Server::start(vec![reply(200, &[], "")]).await;
    let mut settings = common::webhook_settings(Duration::from_secs(2));
    settings.template = Some("{{ event }} is \"now\" {{ price }} <{{ unit }}>".to_owned());
    let url = format!("http://127.0.0.1:{}/", server.port);
    let channel = common::built(build(&settings, &common::secrets(&url)));
    assert_eq!(told(&send(&*channel, 1).await).0, "delivered");
    let request = &server.requests()[0];
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["text"], "Test event is \"now\" 84.00 <USD>");
    assert_eq!(wire::read_alert(request.body.as_bytes()).unwrap().unwrap(), alert());
    assert!(verified(request));
    let preview: Value = serde_json::from_str(&channel.preview(&[alert()])).unwrap();
    assert_eq!(preview, body);
}

#[test]
fn what_is_wrong_with_a_channel_is_said_without_its_secret() {
    let plain = |url: &str, signing: bool| {
        let url = WebhookUrl::Plain(url.to_owned());
        let signing_secret = signing.then(|| common::reference("hook"));
        common::settings(ChannelKind::Webhook { url, signing_secret, timeout: Duration::from_secs(1) })
    };
    let error = |settings, secret: &str| build(&settings, &common::secrets(secret)).err().unwrap();
    let metadata = error(plain("http://169.254.169.254/latest", false), "");
    assert!(metadata.to_string().contains("link-local and metadata"), "{metadata}");
    let signing = error(plain("http://h/", true), "whsec_!secret!");
    assert!(matches!(signing, BuildError::SigningSecret { .. }));
    assert!(!format!("{signing} {signing:?}").contains("!secret!"), "{signing}");
    let mut wrong = plain("http://h/", false);
    wrong.template = Some("{{ prise }}".to_owned());
    let template = error(wrong, "");
    assert!(
        template.to_string().starts_with("the template cannot be used: it has no value `prise`"),
        "{template}"
    );
}
