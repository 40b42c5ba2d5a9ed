//! Who may ask, and what every answer says to the browser.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};

use crate::api::Failure;
use crate::locked;
use crate::options::Options;
use crate::token::Gate;

/// The address at which a connection reached us.
#[derive(Clone, Copy)]
pub(crate) struct Local(pub(crate) SocketAddr);

/// Everything comes from here and goes nowhere else; nothing inline runs.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Said with every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// `pages` behind host and token, `extra` behind the host alone.
pub(crate) fn protect(pages: Router, extra: Router, options: &Options, port: u16) -> Router {
    let gate = options.token.as_ref().map(|token| Arc::new(Gate::new(token, port)));
    let hosts: Arc<[String]> = options.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    pages
        .layer(middleware::from_fn_with_state(gate, token))
        .merge(extra)
        .layer(middleware::from_fn_with_state(hosts, host))
}

/// Refuses hosts that are not ours: a page of another origin whose name was rebound to our address
/// cannot ask under that name.
async fn host(
    State(allowed): State<Arc<[String]>>,
    Extension(Local(local)): Extension<Local>,
    request: Request,
    next: Next,
) -> Response {
    let asked = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let mut response = match asked {
        None => Failure::new(StatusCode::BAD_REQUEST, "the request names no host").into_response(),
        Some(asked) if !is_ours(asked, local, &allowed) => Failure::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this page is not served under the host asked for",
        )
        .remedy(format!(
            "open http://localhost:{port}/ or http://{local}/, or allow the host where the page is started",
            port = local.port()
        ))
        .into_response(),
        Some(_) => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether `asked` (a `Host` header) means us.
///
/// The loopback names are ours with any port, for a forwarded port (`ssh -L 9000:localhost:8501`):
/// no name service can make them somebody else's. Our own address counts with our port.
fn is_ours(asked: &str, local: SocketAddr, allowed: &[String]) -> bool {
    let Ok(authority) = asked.parse::<Authority>() else { return false };
    if asked.contains('@') {
        return false;
    }
    let host = authority.host().to_ascii_lowercase();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok();
    if host == "localhost" || address.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    let port = authority.port_u16().unwrap_or(80);
    if address.is_some_and(|ip| ip == local.ip().to_canonical()) && port == local.port() {
        return true;
    }
    allowed.iter().any(|entry| *entry == host || *entry == format!("{host}:{port}"))
}

/// Wants the token, where one is set.
async fn token(State(gate): State<Option<Arc<Gate>>>, request: Request, next: Next) -> Response {
    let Some(gate) = gate else { return next.run(request).await };
    if gate.admits(request.headers()) || locked::is_open(request.uri().path()) {
        return next.run(request).await;
    }
    if request.method() == Method::GET
        && let Some(elsewhere) = shown(request.uri(), &gate)
        && let Ok(cookie) = HeaderValue::from_str(&gate.set_cookie())
    {
        let mut headers = HeaderMap::new();
        headers.insert(header::SET_COOKIE, cookie);
        headers.insert(header::LOCATION, elsewhere);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return (StatusCode::SEE_OTHER, headers).into_response();
    }
    if request.method() == Method::GET && locked::asked_by_a_person(request.headers()) {
        let tried = |query: &str| query.split('&').any(|pair| pair.starts_with("token="));
        return locked::answer(POLICY, request.uri().query().is_some_and(tried));
    }
    Failure::new(StatusCode::UNAUTHORIZED, "this page wants a token")
        .remedy("open it once with ?token=THE_TOKEN, or send the header `Authorization: Bearer THE_TOKEN`")
        .into_response()
}

/// Where to go when the address itself shows the token: the same address without it, so that it
/// stays neither in the history nor in a bookmark.
fn shown(uri: &Uri, gate: &Gate) -> Option<HeaderValue> {
    let mut right = false;
    let kept: Vec<&str> = uri
        .query()?
        .split('&')
        .filter(|pair| match pair.strip_prefix("token=") {
            Some(token) => {
                // A form writes a space as `+`, a person may mean the sign.
                right |= gate.is_token(&decoded(token)) || gate.is_token(&decoded(&token.replace('+', " ")));
                false
            }
            None => true,
        })
        .collect();
    // Never `//elsewhere`, which a browser would take for another host.
    let path = format!("/{}", uri.path().trim_start_matches('/'));
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    right.then(|| HeaderValue::from_str(&format!("{path}{query}")).ok()).flatten()
}

/// Percent signs resolved; what is no UTF-8 then is no token of ours either.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        match (bytes[at], digits.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pricemonitor_config::SecretString;

    #[test]
    fn only_our_own_names_are_ours() {
        let local: SocketAddr = "192.168.1.5:8501".parse().unwrap();
        let allowed = ["prices.example.org".to_owned(), "other.example.org:8443".to_owned()];
        for ours in [
            "localhost:8501",
            "LOCALHOST:9000",
            "127.0.0.1:8501",
            "[::1]:8501",
            "192.168.1.5:8501",
            "prices.example.org",
            "prices.example.org:8501",
            "Other.example.org:8443",
        ] {
            assert!(is_ours(ours, local, &allowed), "{ours}");
        }
        for foreign in [
            "evil.example:8501",
            "localhost.evil.example:8501",
            "192.168.1.6:8501",
            "192.168.1.5:80",
            "192.168.1.5",
            "other.example.org",
            "localhost@evil.example",
            "evil@localhost",
            "",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_ours(foreign, local, &allowed), "{foreign}");
        }
    }

    #[test]
    fn a_shown_token_leaves_the_address() {
        let gate = Gate::new(&SecretString::new("a b&c"), 1);
        let go = |uri: &str| shown(&uri.parse().unwrap(), &gate).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(go("/?event=x&token=a%20b%26c&range=24h").as_deref(), Some("/?event=x&range=24h"));
        assert_eq!(go("//evil.example/?token=a%20b%26c").as_deref(), Some("/evil.example/"));
        assert_eq!(go("/?token=a+b%26c").as_deref(), Some("/"), "as a form writes it");
        assert_eq!(go("/?token=wrong"), None);
        assert_eq!(go("/?token=%"), None);
        assert_eq!(go("/"), None);
    }
}
