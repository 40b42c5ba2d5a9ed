//! The API as a stranger meets it: over the wire.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod fixture;

use std::sync::Arc;

use common::{Served, request, serve};
use fixture::{Memory, samples};
use pricemonitor_config::SecretString;
use pricemonitor_dashboard::{Error, Notice, Options, bind};
use pricemonitor_model::Time;

fn now() -> Time {
    Time::from_jiff(jiff::Timestamp::now())
}

fn filled() -> Arc<Memory> {
    let memory = Arc::new(Memory::default());
    samples::tickets(&memory, now(), 2, 30);
    samples::electricity(&memory, now(), 3);
    memory
}

fn served() -> Served {
    let notice = || vec![Notice { failing: true, monitor: "m".into(), text: "the source is gone".into() }];
    serve(filled(), Options { version: "1.2.3", notices: Arc::new(notice), ..Options::default() })
}

#[test]
fn the_page_and_its_files_come_with_their_types_and_are_not_sent_twice() {
    let served = served();
    for (path, kind, holds) in [
        ("/", "text/html; charset=utf-8", "<main id=\"content\""),
        ("/assets/js/main.js", "text/javascript; charset=utf-8", "import"),
        ("/assets/style/base.css", "text/css; charset=utf-8", ":root"),
        ("/assets/vendor/echarts.mjs", "text/javascript; charset=utf-8", "Apache ECharts"),
        ("/assets/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let answer = served.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{path}");
        assert!(answer.text().contains(holds), "{path}");
        let tag = answer.header("etag").unwrap();
        let again = served.ask(path, &[("if-none-match", tag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(served.ask(path, &[("if-none-match", "\"old\"")]).status, 200);
    }
    for nothing in [
        "/assets/",
        "/assets/../Cargo.toml",
        "/assets/js/%2e%2e/index.html",
        "/index.html",
        "/api",
        "/api/v1/x",
    ] {
        let answer = served.get(nothing);
        assert_eq!(answer.status, 404, "{nothing}");
        assert!(answer.json()["error"].as_str().unwrap().contains("there is no"), "{nothing}");
    }
}

#[test]
fn every_answer_tells_the_browser_to_trust_nobody_else() {
    let served = served();
    for path in
        ["/", "/api/v1/facets", "/api/v1/nothing", "/assets/js/main.js", "/livez", "/api/v1/prices.csv"]
    {
        let answer = served.get(path);
        let policy =
            answer.header("content-security-policy").unwrap_or_else(|| panic!("{path} has no policy"));
        for part in [
            "default-src 'self'",
            "script-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
    assert_eq!(served.get("/api/v1/facets").header("cache-control"), Some("no-store"));
}

#[test]
fn a_host_that_is_not_ours_learns_nothing() {
    let options = Options { allowed_hosts: vec!["Prices.example.org".into()], ..Options::default() };
    let served = serve(filled(), options);
    for path in ["/", "/api/v1/facets", "/livez", "/assets/js/main.js"] {
        for host in ["evil.example", "evil.example:8501", "127.0.0.1.evil.example", "10.0.0.1"] {
            let answer = served.ask(path, &[("host", host)]);
            assert_eq!(answer.status, 421, "{path} {host}");
            assert!(
                !answer.text().contains("concert") && answer.text().contains("localhost"),
                "{}",
                answer.text()
            );
        }
        let port = served.address.port();
        for host in [
            "localhost".to_owned(),
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
            format!("[::1]:{port}"),
            "prices.example.org".to_owned(),
        ] {
            assert_eq!(served.ask(path, &[("host", &host)]).status, 200, "{path} {host}");
        }
    }
}

#[test]
fn nothing_can_be_changed() {
    let served = served();
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for path in ["/", "/api/v1/facets", "/api/v1/alerts"] {
            assert_eq!(
                request(served.address, method, path, &[("content-length", "0")]).status,
                405,
                "{method} {path}"
            );
        }
    }
}

#[test]
fn a_parameter_that_cannot_be_used_is_named_with_a_remedy() {
    let served = served();
    for (query, parameter) in [
        ("statistics?from=yesterday", "from"),
        ("statistics?from=2026-01-01", "from"),
        ("statistics?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("statistics?lines=3", "lines"),
        ("statistics?monitor=a&monitor=b", "monitor"),
        ("history?lines=0", "lines"),
        ("history?lines=51", "lines"),
        ("history?points=9", "points"),
        ("history?points=-1", "points"),
        ("history?points=99999999999", "points"),
        ("distribution?bars=1e3", "bars"),
        ("hours?zone=Mars/Olympus", "zone"),
        ("hours?zone=../../etc/passwd", "zone"),
        ("alerts?limit=x", "limit"),
        ("facets?x=1", "x"),
        ("live?x=1", "x"),
        ("prices.csv?format=xls", "format"),
    ] {
        let answer = served.get(&format!("/api/v1/{query}"));
        assert_eq!(answer.status, 400, "{query}");
        let json = answer.json();
        assert_eq!(json["parameter"], parameter, "{query}");
        assert!(json["error"].is_string() && json["remedy"].is_string(), "{query}: {json}");
    }
    let long = "x".repeat(1025);
    assert_eq!(served.get(&format!("/api/v1/statistics?event={long}")).status, 400);
    assert_eq!(served.get("/api/v1/statistics?event=&section=&from=").status, 200, "empty means absent");
}

#[test]
fn filters_reach_the_store() {
    let served = served();
    let figures = |query: &str| served.get(&format!("/api/v1/statistics?{query}")).json();
    let all = figures(&format!("monitor={}", samples::TICKETS));
    assert_eq!(all["listings"], 16);
    let one = figures(&format!("monitor={}&event=The%20Paper%20Kites&section=Floor", samples::TICKETS));
    assert_eq!(one["listings"], 2);
    assert_eq!(figures("monitor=nobody")["listings"], 0);
    let history =
        served.get(&format!("/api/v1/history?monitor={}&lines=5&points=20", samples::TICKETS)).json();
    assert_eq!(history["lines"].as_array().unwrap().len(), 5);
    assert_eq!(history["matched"], 16);
    assert!(history["bucket"].as_i64().unwrap() > 0);
    let limited = served.get("/api/v1/alerts?limit=2").json();
    assert_eq!(limited.as_array().unwrap().len(), 2);
    let winter = served.get("/api/v1/hours?zone=Europe/Helsinki").json();
    assert!(!winter.as_array().unwrap().is_empty());
    assert_eq!(served.get("/api/v1/notices").json()[0]["text"], "the source is gone");
    assert_eq!(served.get("/api/v1/about").json()["version"], "1.2.3");
}

#[test]
fn the_download_is_exact_and_harmless_to_spreadsheets() {
    let memory = Arc::new(Memory::default());
    let mut row = samples::ticket("=1+1", "@SUM(A1:A9)", "plain, \"quoted\"", -12.5, now());
    memory.add([row.clone()]);
    row.item = "ok".to_owned();
    row.event = "+358".to_owned();
    memory.add([row.clone()]);
    let served = serve(memory, Options::default());
    let answer = served.get(&format!("/api/v1/prices.csv?monitor={}", samples::TICKETS));
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
    let disposition = "attachment; filename=\"prices-default.concert-tickets.csv\"";
    assert_eq!(answer.header("content-disposition"), Some(disposition));
    assert!(answer.whole);
    let at = row.at;
    assert_eq!(
        answer.text(),
        format!(
            "monitor,source,item,event,section,price,base,unit,observed_at,slot_start,slot_end\n\
             default.concert-tickets,fixture,'=1+1,'@SUM(A1:A9),\"plain, \"\"quoted\"\"\",-12.50,,USD,{at},,\n\
             default.concert-tickets,fixture,ok,'+358,\"plain, \"\"quoted\"\"\",-12.50,,USD,{at},,\n"
        )
    );
}

#[test]
fn a_store_that_fails_is_told_in_words_and_breaks_a_download() {
    let memory = filled();
    let served = serve(memory.clone(), Options::default());
    assert!(served.get("/api/v1/prices.csv").whole);
    memory.break_export_after(700);
    assert!(!served.get("/api/v1/prices.csv").whole, "a part must not look like the whole");
    memory.break_down();
    for path in ["prices.csv", "facets", "statistics", "history", "distribution", "hours", "alerts"] {
        let answer = served.get(&format!("/api/v1/{path}"));
        assert_eq!(answer.status, 500, "{path}");
        assert!(answer.json()["error"].as_str().unwrap().contains("told to fail"), "{path}");
    }
    assert_eq!(served.get("/").status, 200);
}

#[test]
fn a_token_opens_the_page_once_and_stays_out_of_the_address() {
    let options = Options { token: Some(SecretString::new("open sesame")), ..Options::default() };
    assert!(!format!("{options:?}").contains("sesame"));
    let served = serve(filled(), options);
    for path in ["/", "/api/v1/facets", "/assets/js/main.js", "/api/v1/live", "/nothing", "/?token=wrong"] {
        let answer = served.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert!(
            answer.header("set-cookie").is_none() && answer.header("www-authenticate").is_some(),
            "{path}"
        );
    }
    // A person is told in the page's own looks; nothing of the prices comes with it.
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    for path in ["/", "/?event=x", "/api/v1/prices.csv"] {
        let told = served.ask(path, &browser);
        assert_eq!((told.status, told.header("cache-control")), (401, Some("no-store")), "{path}");
        assert!(told.header("content-type").unwrap().starts_with("text/html"), "{path}");
        assert!(told.header("www-authenticate").is_some() && told.header("set-cookie").is_none(), "{path}");
        assert!(told.header("content-security-policy").unwrap().contains("form-action 'self'"), "{path}");
        let text = told.text();
        assert!(text.contains("This page wants a token") && text.contains("/?token=THE_TOKEN"), "{text}");
        assert!(text.contains("id=\"wrong\" hidden") && !text.contains("js/main.js"), "{text}");
        for file in text.split('"').filter(|part| part.starts_with("/assets/")) {
            assert_eq!(served.get(file).status, 200, "{file}");
        }
    }
    let wrong = served.ask("/?token=wrong", &browser).text();
    assert!(wrong.contains("That is not the token") && !wrong.contains("id=\"wrong\" hidden"));
    let program = served.ask("/api/v1/facets", &[("accept", "application/json")]);
    assert!(program.json()["remedy"].as_str().unwrap().contains("?token=THE_TOKEN"));
    assert_eq!(served.get("/livez").status, 200, "probes have no token");
    assert_eq!(served.ask("/api/v1/facets", &[("authorization", "Bearer open sesame")]).status, 200);
    let opened = served.get("/?event=x&token=open%20sesame");
    assert_eq!((opened.status, opened.header("location")), (303, Some("/?event=x")));
    let cookie = opened.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("sesame"));
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(served.ask("/api/v1/facets", &[("cookie", pair)]).status, 200);
}

#[test]
fn a_taken_port_is_one_clear_sentence() {
    let served = served();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(bind(served.address)).unwrap_err();
    assert!(matches!(error, Error::Taken(_)));
    let text = error.to_string();
    assert!(text.contains(&served.address.to_string()) && text.contains("--listen"), "{text}");
}
