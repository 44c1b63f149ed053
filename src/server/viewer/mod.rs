//! The viewer: a page that is part of the program. Its files are compiled in, so there is nothing to install and nothing
//! to find at run time.
//!
//! A browser keeps them and asks each time whether they are still the same, by the hash of their content: after an update
//! nobody sees a page made of old and new parts.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use xxhash_rust::xxh3::xxh3_128;

use super::{Shared, http::error::Refused};

/// The page itself.
const INDEX: &str = "index.html";

/// A file of the viewer.
struct Asset {
    bytes: Bytes,
    kind: HeaderValue,
    etag: HeaderValue,
}

macro_rules! assets {
    ($($name:literal),* $(,)?) => { [$(($name, include_bytes!(concat!("assets/", $name)).as_slice())),*] };
}

/// The files by their names.
static ASSETS: LazyLock<HashMap<&'static str, Asset>> = LazyLock::new(|| {
    let files = assets![
        "announce.js",
        "ansi.js",
        "bar.css",
        "base64.js",
        "chunk.js",
        "controls.js",
        "deadline.js",
        "details.js",
        "dom.js",
        "early.js",
        "errors.js",
        "grpcweb.js",
        "histogram.js",
        "icon.svg",
        "index.html",
        "jsontree.js",
        "keys.js",
        "levels.js",
        "list.css",
        "list.js",
        "lookup.js",
        "main.js",
        "messages.js",
        "narrow.css",
        "notices.js",
        "origins.js",
        "page.css",
        "panes.css",
        "plainhttp.js",
        "position.js",
        "protobuf.js",
        "row.js",
        "search.js",
        "selection.js",
        "session.js",
        "sources.js",
        "status.js",
        "store.js",
        "theme.css",
        "theme.js",
        "time.js",
        "token.js",
        "transport.js",
        "urlstate.js",
        "view.js"
    ];
    files.into_iter().map(|(name, bytes)| (name, Asset::new(name, bytes))).collect()
});

/// The page under `/`, and what belongs to it under `/assets/`. Both are open to all: they show nothing of any log.
pub fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/", get(|request: Request| async move { serve(INDEX, &request) })).route(
        "/assets/{name}",
        get(|Path(name): Path<String>, request: Request| async move { serve(&name, &request) }),
    )
}

impl Asset {
    fn new(name: &'static str, bytes: &'static [u8]) -> Self {
        let kind = match name.rsplit_once('.') {
            Some((_, "html")) => "text/html; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            _ => "application/octet-stream",
        };
        let etag = format!("\"{:032x}\"", xxh3_128(bytes));
        Self {
            bytes: Bytes::from_static(bytes),
            kind: HeaderValue::from_static(kind),
            etag: HeaderValue::try_from(etag).expect("hexadecimal digits are text"),
        }
    }
}

fn serve(name: &str, request: &Request) -> Response {
    let Some(asset) = ASSETS.get(name) else {
        return Refused::not_found(request.uri().path()).into_response();
    };
    let mut response = if has(request.headers(), &asset.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(asset.bytes.clone()));
        response.headers_mut().insert(header::CONTENT_TYPE, asset.kind.clone());
        response
    };
    response.headers_mut().insert(header::ETAG, asset.etag.clone());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Whether the client has the file already. A proxy that compressed it has made the hash a weak one.
fn has(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let given = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = given.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_compiled_in_under_its_type() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/viewer/assets");
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .expect("the assets")
            .map(|file| file.expect("a file").file_name().into_string().expect("a name in UTF-8"))
            .collect();
        names.sort();
        let mut compiled: Vec<&str> = ASSETS.keys().copied().collect();
        compiled.sort_unstable();
        assert_eq!(compiled, names);
        assert!(ASSETS.values().all(|asset| asset.kind != "application/octet-stream"));
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let etag = &ASSETS[INDEX].etag;
        let ask = |tag: &str| {
            let request = Request::get("/").header(header::IF_NONE_MATCH, tag).body(Body::empty()).expect("a request");
            serve(INDEX, &request).status().as_u16()
        };
        let text = etag.to_str().expect("text");
        for tag in [text, "*", &format!("W/{text}"), &format!("\"other\", {text}")] {
            assert_eq!(ask(tag), 304, "{tag}");
        }
        assert_eq!(ask("\"other\""), 200);
    }
}
