//! A reverse proxy that counts: put between the server and its store, it tells what a page costs.

use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};

use super::http::{Body, Dropped, Serving, forward, full};

/// A request that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    pub method: String,
    /// Without the query, which holds signatures.
    pub path: String,
    pub range: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    passed: Vec<Passed>,
    refuse_with: Option<u16>,
}

/// The proxy; it stops when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    state: Arc<Mutex<State>>,
    serving: Serving,
}

impl Proxy {
    /// Passes everything on to `upstream` (`http://HOST:PORT`), `Host` as it came: signatures cover it.
    pub fn start(upstream: &str) -> Proxy {
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, upstream) = (Arc::clone(&state), upstream.to_owned());
        let serving = Serving::start(move |request| handle(Arc::clone(&shared), upstream.clone(), request));
        Proxy { state, serving }
    }

    pub fn url(&self) -> String {
        self.serving.url()
    }

    /// What passed since the last call.
    pub fn take(&self) -> Vec<Passed> {
        std::mem::take(&mut self.state.lock().unwrap().passed)
    }

    /// From now on, answers so itself; `None` passes everything on again.
    pub fn refuse_with(&self, status: Option<u16>) {
        self.state.lock().unwrap().refuse_with = status;
    }
}

async fn handle(
    state: Arc<Mutex<State>>,
    upstream: String,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Dropped> {
    let range = request.headers().get("range");
    let range = range.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let passed = Passed { method: request.method().to_string(), path: request.uri().path().to_owned(), range };
    let refuse_with = {
        let mut state = state.lock().unwrap();
        state.passed.push(passed);
        state.refuse_with
    };
    if let Some(status) = refuse_with {
        let response = Response::builder().status(status).body(full("refused"));
        return response.map_err(|_| Dropped);
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let address: Uri = format!("{upstream}{path}").parse().map_err(|_| Dropped)?;
    *request.uri_mut() = address;
    let answer = forward(request.map(BodyExt::boxed)).await;
    answer.map(|answer| answer.map(BodyExt::boxed)).map_err(|_| Dropped)
}
