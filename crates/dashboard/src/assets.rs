//! The page's files, embedded in the binary.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::api::Failure;
use crate::options::Options;

/// A file of the page.
struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($kind:ident $path:literal,)*) => {
        &[$(Asset {
            path: $path,
            kind: $kind,
            bytes: include_bytes!(concat!("../assets/", $path)),
        },)*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

const ASSETS: &[Asset] = assets![
    HTML "index.html",
    HTML "locked.html",
    SVG "icon.svg",
    CSS "style/base.css",
    CSS "style/layout.css",
    CSS "style/parts.css",
    CSS "style/locked.css",
    JS "theme-early.js",
    JS "js/main.js",
    JS "js/api.js",
    JS "js/state.js",
    JS "js/live.js",
    JS "js/format.js",
    JS "js/dom.js",
    JS "js/theme.js",
    JS "js/filters.js",
    JS "js/ranges.js",
    JS "js/tiles.js",
    JS "js/alerts.js",
    JS "js/notices.js",
    JS "js/panel.js",
    JS "js/charts/chart.js",
    JS "js/charts/history.js",
    JS "js/charts/lines.js",
    JS "js/charts/legend.js",
    JS "js/charts/distribution.js",
    JS "js/charts/hours.js",
    JS "vendor/echarts.mjs",
    TEXT "vendor/LICENSE-echarts",
    TEXT "vendor/NOTICE-echarts",
    TEXT "vendor/LICENSE-zrender",
    TEXT "vendor/LICENSE-d3",
    TEXT "vendor/LICENSE-tslib",
];

/// One hash over all files: modules import each other, so they are new together or not at all.
static ETAG: LazyLock<HeaderValue> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in ASSETS {
        hash.update((asset.bytes.len() as u64).to_le_bytes());
        hash.update(asset.bytes);
    }
    let hex: String = hash.finalize()[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
});

/// The page and its files, and what is said where nothing is.
pub(crate) fn router(_: &Options) -> Router {
    let mut router = Router::new();
    for asset in ASSETS {
        let answer = move |headers: HeaderMap| async move { file(asset, &headers) };
        let path = match asset.path {
            "index.html" => "/".to_owned(),
            path => format!("/assets/{path}"),
        };
        router = router.route(&path, get(answer));
    }
    router.fallback(nothing)
}

fn file(asset: &Asset, headers: &HeaderMap) -> Response {
    let common = [
        (header::ETAG, ETAG.clone()),
        // Asked for anew each time and mostly answered by 304: an upgrade is seen at once.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let wanted = ETAG.to_str().unwrap_or_default();
    let same = |tag: &str| tag.trim().trim_start_matches("W/") == wanted;
    if known.flat_map(|value| value.split(',')).any(same) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(header::CONTENT_TYPE, asset.kind)], asset.bytes).into_response()
}

async fn nothing(request: Request) -> Failure {
    let path: String = request.uri().path().chars().take(80).collect();
    Failure::new(StatusCode::NOT_FOUND, format!("there is no {path}")).remedy("the page is at /")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn walk(folder: &Path, into: &mut Vec<String>) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, into),
                false => into.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_embedded_and_nothing_asks_another_host() {
        let mut files = Vec::new();
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("assets"), &mut files);
        for file in files.iter().filter(|file| !file.ends_with("README.md") && !file.ends_with("build.mjs")) {
            assert!(ASSETS.iter().any(|asset| asset.path == file), "{file} is not in the list");
        }
        for asset in ASSETS.iter().filter(|asset| !asset.path.starts_with("vendor/")) {
            let text = std::str::from_utf8(asset.bytes).unwrap().replace("http://www.w3.org/2000/svg", "");
            for foreign in ["http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval("] {
                // `format.js` names the schemes that a link may have.
                let allowed = asset.path == "js/format.js" && foreign.starts_with("http");
                assert!(allowed || !text.contains(foreign), "{} holds {foreign}", asset.path);
            }
        }
    }
}
