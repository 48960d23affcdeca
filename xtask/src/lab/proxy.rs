//! A reverse proxy that counts and fails on demand: put between the server and its store, it tells what a page costs,
//! and what becomes of it when the store does not do its part.

use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};

use super::fault::Fault;
use super::http::{Body, Dropped, Serving, forward};

/// A request that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    pub method: String,
    /// Without the query, which holds signatures.
    pub path: String,
    pub range: Option<String>,
}

type Chooser = Box<dyn FnMut(&Passed) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    passed: Vec<Passed>,
    choose: Option<Chooser>,
}

/// The proxy; it stops when it is dropped.
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

    /// From now on, `choose` says what goes wrong with each request.
    pub fn fail(&self, choose: impl FnMut(&Passed) -> Option<Fault> + Send + 'static) {
        self.state.lock().unwrap().choose = Some(Box::new(choose));
    }

    /// Passes everything on again.
    pub fn mend(&self) {
        self.state.lock().unwrap().choose = None;
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
    let fault = {
        let mut state = state.lock().unwrap();
        let fault = state.choose.as_mut().and_then(|choose| choose(&passed));
        state.passed.push(passed);
        fault
    };
    if let Some(answer) = fault.as_ref().and_then(Fault::instead) {
        return answer;
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let address: Uri = format!("{upstream}{path}").parse().map_err(|_| Dropped)?;
    *request.uri_mut() = address;
    let answer = forward(request.map(BodyExt::boxed)).await.map_err(|_| Dropped)?;
    let Some(fault) = fault else { return Ok(answer.map(BodyExt::boxed)) };
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    Ok(fault.spoil(Response::from_parts(parts, bytes)).await)
}
