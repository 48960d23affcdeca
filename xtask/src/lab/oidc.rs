//! An OIDC issuer in this process, like GitHub's for workflows, with real RSA keys.
//!
//! - `GET {url}/.well-known/openid-configuration` links to `{url}/.well-known/jwks`, which contains the public keys.
//! - `GET {request_url}&audience=…` with `Authorization: Bearer {request_token}` returns `{"value": "JWT"}`. A job with
//!   `id-token: write` gets both in `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
//!
//! A server accepts its tokens with `OIDC_ISSUERS={url}` and `ALLOWED_REPOSITORIES=octo/*`. Tokens are for a `workflow_run`
//! of `octo/app`; [`Issuer::set_claims`] changes their claims. [`Issuer::token`] creates a token without a request, and
//! [`Issuer::sign`] signs any claims. openssl creates the keys when they are first needed (`Part::Openssl`).

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

/// The path of the discovery document.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";
pub const JWKS: &str = "/.well-known/jwks";
/// The credential of a job's token request.
const REQUEST_TOKEN: &str = "rrrREQUESTrrrTOKENrrr";
/// The lifetime of GitHub's tokens in seconds.
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
    /// The published keys; the last one is the newest, and signs.
    keys: Vec<Key>,
    /// The sizes of all keys so far.
    sizes: Vec<usize>,
    claims: Value,
    down: bool,
    requests: Vec<Recorded>,
}

#[derive(Clone, Debug)]
struct Key {
    kid: String,
    pair: Arc<KeyPair>,
}

impl Issuer {
    /// Starts with one key of 2,048 bits.
    pub fn start() -> Issuer {
        let state = State {
            url: String::new(),
            keys: Vec::new(),
            sizes: Vec::new(),
            claims: json!({}),
            down: false,
            requests: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let serving = Serving::start(move |request| {
            let response = shared.lock().unwrap().respond(&request);
            async { response }
        });
        let issuer = Issuer { state, serving };
        issuer.state().url = issuer.serving.url();
        issuer.rotate(2048);
        issuer
    }

    /// The `iss` of tokens.
    pub fn url(&self) -> String {
        self.serving.url()
    }

    /// For `ACTIONS_ID_TOKEN_REQUEST_URL`: it has a query, like GitHub's.
    pub fn request_url(&self) -> String {
        format!("{}/token?api-version=2.0", self.url())
    }

    /// For `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub fn request_token(&self) -> &'static str {
        REQUEST_TOKEN
    }

    /// Overrides claims of all following tokens; `null` removes a claim.
    pub fn set_claims(&self, claims: Value) {
        self.state().claims = claims;
    }

    /// While down, closes every connection without a response.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// Creates a key, publishes it with the old ones, and signs with it from now on. Returns its ID.
    pub fn rotate(&self, bits: usize) -> String {
        self.state().rotate(bits)
    }

    /// Publishes only the newest key.
    pub fn withdraw_old_keys(&self) {
        let mut state = self.state();
        let old = state.keys.len() - 1;
        state.keys.drain(..old);
    }

    /// The claims of a token for `audience`.
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

    /// Signs any header and claims with the newest key and RS256.
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

    /// The number of requests for `path`, including those while it was down.
    pub fn request_count(&self, path: &str) -> usize {
        self.requests().iter().filter(|request| request.path == path).count()
    }

    /// All requests so far, in order.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn rotate(&mut self, bits: usize) -> String {
        let others = self.sizes.iter().filter(|other| **other == bits).count();
        self.sizes.push(bits);
        let kid = format!("{}-{bits}", self.sizes.len());
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
            "exp": now + LIFETIME,
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

    fn respond(&mut self, request: &Request<Incoming>) -> Result<Response<Body>, Dropped> {
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
            ("GET", "/token") => self.issue_token(request),
            _ => (404, json!({"message": "Not Found"})),
        };
        Ok(Response::builder()
            .status(code)
            .header("content-type", "application/json; charset=utf-8")
            .body(full(body.to_string()))
            .unwrap())
    }

    /// The response to a job's token request.
    fn issue_token(&self, request: &Request<Incoming>) -> (u16, Value) {
        let credential = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if credential != Some(&format!("Bearer {REQUEST_TOKEN}")) {
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

/// A key pair of this process, created once because that is slow. The keys of one issuer are different.
fn pair(bits: usize, number: usize) -> Arc<KeyPair> {
    static PAIRS: LazyLock<Mutex<HashMap<usize, Vec<Arc<KeyPair>>>>> = LazyLock::new(Mutex::default);
    let mut all = PAIRS.lock().unwrap();
    let pairs = all.entry(bits).or_default();
    while pairs.len() <= number {
        pairs.push(Arc::new(new_pair(bits)));
    }
    Arc::clone(&pairs[number])
}

fn new_pair(bits: usize) -> KeyPair {
    let mut openssl = Command::new("openssl");
    openssl.args(["genpkey", "-outform", "DER", "-algorithm", "RSA"]);
    let output = openssl.args(["-pkeyopt", &format!("rsa_keygen_bits:{bits}")]).output();
    let output = output.expect("cannot run openssl: run cargo xtask setup");
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    // Older versions of genpkey write PKCS#1 instead of PKCS#8.
    KeyPair::from_pkcs8(&output.stdout).or_else(|_| KeyPair::from_der(&output.stdout)).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::http;
    use crate::lab::parts::{Part, skip_without};

    #[test]
    fn a_jobs_token_is_verified_by_the_published_key() {
        if skip_without(&[Part::Openssl]) {
            return;
        }
        let issuer = Issuer::start();
        issuer.rotate(4096);
        issuer.set_claims(json!({"event_name": "push", "actor": null}));
        let url = format!("{}&audience=https%3A%2F%2Fcovered.example.com", issuer.request_url());
        assert_eq!(http::get(&url).unwrap().status, 401);
        let bearer = format!("Bearer {}", issuer.request_token());
        let response = http::request("GET", &url, &[("authorization", &bearer)], "").unwrap();
        let response: Value = serde_json::from_slice(&response.body).unwrap();
        let parts: Vec<&str> = response["value"].as_str().unwrap().split('.').collect();
        let [header, claims, signature] = parts[..] else { panic!("{response}") };
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
