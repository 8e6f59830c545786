// SPDX-License-Identifier: MIT
//! From a request to its answer.

use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use hyper::{Body, Method, Request, Response};

use crate::slow::{slow_endpoint, Backend};

const FRONT_PAGE: &str = "<!doctype html>\n<title>Forum</title>\n<h1>Forum</h1>\n\
<p>A <a href=\"/slow\">slow page</a>, and <a href=\"/truth\">why</a>.</p>\n";

/// The query's value of key; None when the key is absent.
fn query_value<'a>(request: &'a Request<Body>, key: &str) -> Option<&'a str> {
    let pairs = request.uri().query()?.split('&');

    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).find(|(name, _)| *name == key).map(|(_, value)| value)
}

fn truth_page(backend: &Backend, reset: bool) -> String {
    let text = backend.truth.write(backend.options.threads);

    if reset {
        backend.truth.reset();
    }
    text
}

async fn answer(backend: &Arc<Backend>, request: &Request<Body>) -> (u16, &'static str, String) {
    let plain = "text/plain";

    if ![Method::GET, Method::HEAD, Method::POST].contains(request.method()) {
        return (405, plain, "Method Not Allowed\n".to_string());
    }
    match request.uri().path() {
        "/slow" => {
            let (status, text) = slow_endpoint(backend, query_value(request, "mode").unwrap_or("cpu")).await;
            (status, plain, text)
        }
        "/" => (200, "text/html", FRONT_PAGE.to_string()),
        "/health" => (200, plain, "ok\n".to_string()),
        "/truth" => (200, "application/json", truth_page(backend, query_value(request, "reset") == Some("1"))),
        _ => (404, plain, "no such page\n".to_string()),
    }
}

pub async fn handle_request(backend: Arc<Backend>, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    backend.truth.requests.fetch_add(1, Relaxed);
    let (status, kind, text) = answer(&backend, &request).await;
    let made = Response::builder().status(status).header("Content-Type", kind).body(Body::from(text));

    // Only a status or a header that is none could fail, and these are fixed.
    Ok(made.unwrap_or_default())
}
