//! What a browser is shown while the token is missing.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The page. It needs nothing but the files of [`OPEN`].
const PAGE: &str = include_str!("../assets/locked.html");
/// The sentence on a wrong token, hidden and shown.
const HIDDEN: &str = "id=\"wrong\" hidden";
const SHOWN: &str = "id=\"wrong\"";

/// Files that whoever has no token may have: they make the page look like ours and tell nothing.
const OPEN: [&str; 6] = [
    "/assets/icon.svg",
    "/assets/style/base.css",
    "/assets/style/layout.css",
    "/assets/style/parts.css",
    "/assets/style/locked.css",
    "/assets/theme-early.js",
];

/// Whether `path` is open to everybody.
pub(crate) fn is_open(path: &str) -> bool {
    OPEN.contains(&path)
}

/// Whether a person asks, with a browser: it wants HTML, and says so. Programs get JSON.
pub(crate) fn asked_by_a_person(headers: &HeaderMap) -> bool {
    let wanted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    wanted
        .flat_map(|value| value.split(','))
        .filter_map(|kind| kind.split(';').next())
        .any(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
}

/// The page that says how to open the other one. `policy` is what every page is under, `wrong`
/// whether the address held a token that is not ours.
pub(crate) fn answer(policy: &str, wrong: bool) -> Response {
    let page = if wrong { PAGE.replace(HIDDEN, SHOWN) } else { PAGE.to_owned() };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"pricemonitor\""));
    // Its form comes back to us, and to nobody else.
    let policy = policy.replace("form-action 'none'", "form-action 'self'");
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    (StatusCode::UNAUTHORIZED, headers, page).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_page_needs_is_open_and_nothing_else() {
        let mut needed: Vec<&str> = PAGE.split('"').filter(|part| part.starts_with("/assets/")).collect();
        let mut open = OPEN.to_vec();
        for list in [&mut needed, &mut open] {
            list.sort_unstable();
            list.dedup();
        }
        assert_eq!(needed, open);
        assert_eq!(PAGE.matches(HIDDEN).count(), 1);
        assert!(is_open("/assets/icon.svg") && !is_open("/") && !is_open("/assets/js/main.js"));
    }

    #[test]
    fn browsers_are_told_from_programs_by_what_they_accept() {
        let asks = |accept: &'static str| {
            asked_by_a_person(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert!(asks("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(asks("application/xml, Text/HTML;q=0.9"));
        for program in ["*/*", "application/json", "text/event-stream", "text/html2", ""] {
            assert!(!asks(program), "{program}");
        }
        assert!(!asked_by_a_person(&HeaderMap::new()));
    }
}
