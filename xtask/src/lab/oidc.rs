//! An in-process OIDC issuer, as GitHub's is for workflows: real RSA keys, their document, and tokens.
//!
//! - `GET {url}/.well-known/openid-configuration` names `{url}/.well-known/jwks`, which has the public keys.
//! - `GET {request_url}&audience=…` with `Authorization: Bearer {request_token}` answers `{"value": "JWT"}`: what a job with
//!   `id-token: write` finds in `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
//!
//! A server that believes it has `OIDC_ISSUERS={url}` and `ALLOWED_REPOSITORIES=octo/*`; tokens are those of a `workflow_run`
//! of `octo/app` unless [`Issuer::set_claims`] says otherwise. [`Issuer::token`] makes one without asking, [`Issuer::sign`]
//! any at all. Keys are made by openssl when they are first needed (`Part::Openssl`).

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hyper::body::Incoming;
use hyper::{Request, Response};
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};

use super::github::Recorded;
use super::http::{Body, Dropped, Serving, full, headers_of};

/// Where the keys are told of.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";
pub const JWKS: &str = "/.well-known/jwks";
/// What a job shows to be given a token.
const REQUEST_TOKEN: &str = "rrrREQUESTrrrTOKENrrr";
/// How long GitHub's tokens hold, in seconds.
const LIFETIME: i64 = 300;

/// The issuer; its server stops when it is dropped.
#[derive(Debug)]
pub struct Issuer {
    state: Arc<Mutex<State>>,
    serving: Serving,
}

#[derive(Debug)]
struct State {
    url: String,
    /// Those that are told of, the newest last: it signs.
    keys: Vec<Key>,
    /// The sizes of all keys so far.
    made: Vec<usize>,
    claims: Value,
    lifetime: i64,
    down: bool,
    requests: Vec<Recorded>,
}

#[derive(Clone, Debug)]
struct Key {
    kid: String,
    pair: Arc<KeyPair>,
}

impl Issuer {
    /// With one key of 2,048 bits.
    pub fn start() -> Issuer {
        let state = State {
            url: String::new(),
            keys: Vec::new(),
            made: Vec::new(),
            claims: json!({}),
            lifetime: LIFETIME,
            down: false,
            requests: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let serving = Serving::start(move |request| {
            let answer = shared.lock().unwrap().answer(&request);
            async { answer }
        });
        let issuer = Issuer { state, serving };
        issuer.state().url = issuer.serving.url();
        issuer.rotate(2048);
        issuer
    }

    /// What tokens have as `iss`.
    pub fn url(&self) -> String {
        self.serving.url()
    }

    /// For `ACTIONS_ID_TOKEN_REQUEST_URL`: it has a query, as GitHub's.
    pub fn request_url(&self) -> String {
        format!("{}/token?api-version=2.0", self.url())
    }

    /// For `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub fn request_token(&self) -> &'static str {
        REQUEST_TOKEN
    }

    /// Claims of all following tokens, over the usual ones; `null` leaves one out.
    pub fn set_claims(&self, claims: Value) {
        self.state().claims = claims;
    }

    /// How long the following tokens hold, in seconds.
    pub fn set_lifetime(&self, seconds: i64) {
        self.state().lifetime = seconds;
    }

    /// Closes every connection without an answer, until it is up again.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// Makes a new key, tells of it beside the old ones, and signs with it from now on. Gives its id.
    pub fn rotate(&self, bits: usize) -> String {
        self.state().rotate(bits)
    }

    /// Tells of the newest key alone.
    pub fn withdraw_old_keys(&self) {
        let mut state = self.state();
        let old = state.keys.len() - 1;
        state.keys.drain(..old);
    }

    /// The usual claims of a token for `audience`, with those that were set.
    pub fn claims(&self, audience: &str) -> Value {
        self.state().claims_for(audience)
    }

    /// A token for `audience`.
    pub fn token(&self, audience: &str) -> String {
        let state = self.state();
        state.sign(&state.header(), &state.claims_for(audience))
    }

    /// The header of its tokens: `alg`, `kid`, `typ`.
    pub fn header(&self) -> Value {
        self.state().header()
    }

    /// Any header and claims, signed by the newest key with RS256, whatever they say.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.state().sign(header, claims)
    }

    /// The newest public key, as PKCS#1 DER.
    pub fn public_key(&self) -> Vec<u8> {
        self.state().newest().pair.public().as_ref().to_vec()
    }

    /// The document of the public keys.
    pub fn jwks(&self) -> Value {
        self.state().jwks()
    }

    /// How often `path` was asked for, those times included when it was down.
    pub fn request_count(&self, path: &str) -> usize {
        self.requests().iter().filter(|request| request.path == path).count()
    }

    /// Every request so far, in order.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn rotate(&mut self, bits: usize) -> String {
        let others = self.made.iter().filter(|other| **other == bits).count();
        self.made.push(bits);
        let kid = format!("{}-{bits}", self.made.len());
        self.keys.push(Key { kid: kid.clone(), pair: pair(bits, others) });
        kid
    }

    fn newest(&self) -> &Key {
        self.keys.last().unwrap()
    }

    fn header(&self) -> Value {
        json!({"alg": "RS256", "typ": "JWT", "kid": self.newest().kid})
    }

    fn claims_for(&self, audience: &str) -> Value {
        let now = now();
        let mut claims = json!({
            "iss": self.url,
            "aud": audience,
            "sub": "repo:octo/app:ref:refs/heads/main",
            "jti": format!("00000000-0000-0000-0000-{:012}", self.requests.len()),
            "iat": now,
            "nbf": now - 300,
            "exp": now + self.lifetime,
            "repository": "octo/app",
            "repository_id": "1296269",
            "repository_owner": "octo",
            "repository_owner_id": "583231",
            "repository_visibility": "public",
            "ref": "refs/heads/main",
            "ref_type": "branch",
            "sha": "0123456789abcdef0123456789abcdef01234567",
            "workflow": "Coverage",
            "workflow_ref": "octo/app/.github/workflows/coverage.yml@refs/heads/main",
            "job_workflow_ref": "octo/app/.github/workflows/coverage.yml@refs/heads/main",
            "event_name": "workflow_run",
            "run_id": "1658821493",
            "run_number": "42",
            "run_attempt": "1",
            "runner_environment": "github-hosted",
            "actor": "octocat",
            "actor_id": "583231",
        });
        for (name, value) in self.claims.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let pair = &self.newest().pair;
        let mut signature = vec![0; pair.public().modulus_len()];
        let random = ring::rand::SystemRandom::new();
        pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
        format!("{text}.{}", BASE64.encode(signature))
    }

    fn jwks(&self) -> Value {
        let key = |key: &Key| {
            let RsaPublicKeyComponents::<Vec<u8>> { n, e } = key.pair.public().into();
            let (n, e) = (BASE64.encode(n), BASE64.encode(e));
            json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": key.kid, "n": n, "e": e})
        };
        json!({"keys": self.keys.iter().map(key).collect::<Vec<_>>()})
    }

    fn answer(&mut self, request: &Request<Incoming>) -> Result<Response<Body>, Dropped> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        self.requests.push(Recorded {
            method: request.method().to_string(),
            path: path.to_owned(),
            headers: headers_of(request.headers()),
            body: String::new(),
        });
        if self.down {
            return Err(Dropped);
        }
        let (code, body) = match (request.method().as_str(), request.uri().path()) {
            ("GET", DISCOVERY) => {
                let jwks = format!("{}{JWKS}", self.url);
                let algorithms = ["RS256"];
                (
                    200,
                    json!({"issuer": self.url, "jwks_uri": jwks, "id_token_signing_alg_values_supported": algorithms}),
                )
            }
            ("GET", JWKS) => (200, self.jwks()),
            ("GET", "/token") => self.given(request),
            _ => (404, json!({"message": "Not Found"})),
        };
        Ok(Response::builder()
            .status(code)
            .header("content-type", "application/json; charset=utf-8")
            .body(full(body.to_string()))
            .unwrap())
    }

    /// What a job is given.
    fn given(&self, request: &Request<Incoming>) -> (u16, Value) {
        let shown = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if shown != Some(&format!("Bearer {REQUEST_TOKEN}")) {
            return (401, json!({"message": "the request token is missing or wrong"}));
        }
        let query = request.uri().query().unwrap_or_default();
        let audience = query.split('&').find_map(|pair| pair.strip_prefix("audience="));
        let audience = audience.map_or_else(|| "https://github.com/octo".to_owned(), percent_decoded);
        let token = self.sign(&self.header(), &self.claims_for(&audience));
        (200, json!({"count": token.len(), "value": token}))
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%');
        let decoded = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// A key of this process; each is made once, as that takes a while. Those of one issuer are different ones.
fn pair(bits: usize, number: usize) -> Arc<KeyPair> {
    static MADE: LazyLock<Mutex<HashMap<usize, Vec<Arc<KeyPair>>>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap();
    let pairs = made.entry(bits).or_default();
    while pairs.len() <= number {
        pairs.push(Arc::new(new_pair(bits)));
    }
    Arc::clone(&pairs[number])
}

fn new_pair(bits: usize) -> KeyPair {
    let mut openssl = Command::new("openssl");
    openssl.args(["genpkey", "-outform", "DER", "-algorithm", "RSA"]);
    let output = openssl.args(["-pkeyopt", &format!("rsa_keygen_bits:{bits}")]).output();
    let output = output.expect("openssl has to be there: see cargo xtask setup");
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    // What genpkey writes as DER depends on its age.
    KeyPair::from_pkcs8(&output.stdout).or_else(|_| KeyPair::from_der(&output.stdout)).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::http;
    use crate::lab::parts::{Part, skip_without};

    #[test]
    fn a_job_is_given_a_token_that_the_told_key_verifies() {
        if skip_without(&[Part::Openssl]) {
            return;
        }
        let issuer = Issuer::start();
        issuer.rotate(4096);
        issuer.set_claims(json!({"event_name": "push", "actor": null}));
        let url = format!("{}&audience=https%3A%2F%2Fcovered.example.com", issuer.request_url());
        assert_eq!(http::get(&url).unwrap().status, 401);
        let shown = format!("Bearer {}", issuer.request_token());
        let given = http::request("GET", &url, &[("authorization", &shown)], "").unwrap();
        let given: Value = serde_json::from_slice(&given.body).unwrap();
        let parts: Vec<&str> = given["value"].as_str().unwrap().split('.').collect();
        let [header, claims, signature] = parts[..] else { panic!("{given}") };
        let json = |part: &str| -> Value { serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap() };
        let claims_read = json(claims);
        assert_eq!(claims_read["aud"], "https://covered.example.com");
        assert_eq!((claims_read["event_name"].as_str(), claims_read.get("actor")), (Some("push"), None));

        let discovery = http::get(&format!("{}{DISCOVERY}", issuer.url())).unwrap().body;
        let discovery: Value = serde_json::from_slice(&discovery).unwrap();
        assert_eq!(discovery["issuer"], claims_read["iss"]);
        let jwks = http::get(discovery["jwks_uri"].as_str().unwrap()).unwrap().body;
        let jwks: Value = serde_json::from_slice(&jwks).unwrap();
        let keys = jwks["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["kid"] == json(header)["kid"]).unwrap();
        let part = |name: &str| BASE64.decode(key[name].as_str().unwrap()).unwrap();
        let (n, e) = (part("n"), part("e"));
        assert_eq!((keys.len(), n.len()), (2, 512));
        let algorithm = &ring::signature::RSA_PKCS1_2048_8192_SHA256;
        let message = format!("{header}.{claims}");
        let verified =
            RsaPublicKeyComponents { n, e }.verify(algorithm, message.as_bytes(), &BASE64.decode(signature).unwrap());
        assert_eq!(verified, Ok(()));

        issuer.set_down(true);
        assert!(http::get(&url).is_err());
        assert_eq!((issuer.request_count(JWKS), issuer.request_count(DISCOVERY)), (1, 1));
    }
}
