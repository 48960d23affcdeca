//! A reverse proxy between the server and its store. It counts requests, and injects faults.

use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};

use super::fault::Fault;
use super::http::{Body, Dropped, Serving, forward};

/// A forwarded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    pub method: String,
    /// Without the query, which contains signatures.
    pub path: String,
    pub range: Option<String>,
}

type Chooser = Box<dyn FnMut(&Forwarded) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    forwarded: Vec<Forwarded>,
    choose: Option<Chooser>,
}

/// The proxy; it stops when it is dropped.
pub struct Proxy {
    state: Arc<Mutex<State>>,
    serving: Serving,
}

impl Proxy {
    /// Forwards everything to `upstream` (`http://HOST:PORT`), with an unchanged `Host`, which signatures cover.
    pub fn start(upstream: &str) -> Proxy {
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, upstream) = (Arc::clone(&state), upstream.to_owned());
        let serving = Serving::start(move |request| handle(Arc::clone(&shared), upstream.clone(), request));
        Proxy { state, serving }
    }

    pub fn url(&self) -> String {
        self.serving.url()
    }

    /// The forwarded requests since the last call.
    pub fn take(&self) -> Vec<Forwarded> {
        std::mem::take(&mut self.state.lock().unwrap().forwarded)
    }

    /// From now on, `choose` selects the fault of each request.
    pub fn fail(&self, choose: impl FnMut(&Forwarded) -> Option<Fault> + Send + 'static) {
        self.state.lock().unwrap().choose = Some(Box::new(choose));
    }

    /// Removes the faults.
    pub fn reset(&self) {
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
    let forwarded = Forwarded { method: request.method().to_string(), path: request.uri().path().to_owned(), range };
    let fault = {
        let mut state = state.lock().unwrap();
        let fault = state.choose.as_mut().and_then(|choose| choose(&forwarded));
        state.forwarded.push(forwarded);
        fault
    };
    if let Some(response) = fault.as_ref().and_then(Fault::response) {
        return response;
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let address: Uri = format!("{upstream}{path}").parse().map_err(|_| Dropped)?;
    *request.uri_mut() = address;
    let response = forward(request.map(BodyExt::boxed)).await.map_err(|_| Dropped)?;
    let Some(fault) = fault else { return Ok(response.map(BodyExt::boxed)) };
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    Ok(fault.apply(Response::from_parts(parts, bytes)).await)
}
