//! Uploads with OIDC tokens instead of API keys, with real RSA keys of a local issuer.

use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use futures_util::stream::{self, StreamExt};
use reqwest::{Client, Response};
use ring::hmac;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::lab::github::Github;
use xtask::lab::oidc::{DISCOVERY, Issuer, JWKS};
use xtask::lab::parts::{Part, skip_without};

use crate::support::*;

/// Longer than the minimum refresh interval.
const MINUTE: Duration = Duration::from_secs(61);

struct Lab {
    issuer: Issuer,
    server: Server,
    folder: TempDir,
}

impl Lab {
    /// A server that accepts tokens of `octo`; `None` if no keys can be created.
    async fn start() -> Option<Self> {
        Self::with(&[("ALLOWED_REPOSITORIES", "octo/*")]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Option<Self> {
        if skip_without(&[Part::Openssl]) {
            return None;
        }
        let (issuer, folder) = (Issuer::start(), tempfile::tempdir().unwrap());
        let url = issuer.url();
        let settings = [&[("OIDC_ISSUERS", url.as_str())], settings].concat();
        let server = Server::on(&folder, &settings).await;
        Some(Self { issuer, server, folder })
    }

    fn token(&self) -> String {
        self.issuer.token(&self.server.url)
    }

    /// A token with other claims.
    fn token_with(&self, claims: Value) -> String {
        self.issuer.set_claims(claims);
        let token = self.token();
        self.issuer.set_claims(json!({}));
        token
    }

    async fn create(&self, token: &str) -> Response {
        self.create_for(token, "octo/app").await
    }

    async fn create_for(&self, token: &str, repository: &str) -> Response {
        let body = json!({"repository": repository, "commit_sha": SHA}).to_string();
        self.post(token, "/coverage/create-site/", body).await
    }

    /// On a new connection: moving the clock closes idle ones.
    async fn post(&self, token: &str, path: &str, body: String) -> Response {
        let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        client.post(format!("{}{path}", self.server.url)).bearer_auth(token).body(body).send().await.unwrap()
    }

    /// The number of requests to the issuer: for its document, and for its keys.
    fn issuer_requests(&self) -> (usize, usize) {
        (self.issuer.request_count(DISCOVERY), self.issuer.request_count(JWKS))
    }

    /// Runs `covered-server rebind`; returns exit code and output.
    fn rebind(&self, name: &str) -> (Option<i32>, String) {
        let storage = format!("file://{}", self.folder.path().display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_covered-server"));
        command.env_clear().args(["rebind", name, "--storage-url", &storage]);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    fn stored(&self, key: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.folder.path().join(key)).unwrap()).unwrap()
    }
}

async fn advance_clock(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

async fn assert_accepted(response: Response) -> Value {
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_workflow_uploads_with_its_token_and_the_record_names_its_run() {
    let Some(lab) = Lab::start().await else { return };
    let session = assert_accepted(lab.create_for(&lab.token(), "Octo/App").await).await;
    assert_eq!(lab.server.put(&session, zip(&[("index.html", b"<p>")])).await.status(), 201);
    let site = session["site_id"].as_str().unwrap();
    let mut record = lab.stored(&format!("sites/{site}.json"));
    assert_eq!(record["created_by"], "oidc");
    let run = record["run"].take();
    let expected = json!({
        "issuer": lab.issuer.url(), "repository_id": 1_296_269, "owner_id": 583_231, "run_id": 1_658_821_493,
        "run_attempt": 1, "event": "workflow_run",
        "workflow": "octo/app/.github/workflows/coverage.yml@refs/heads/main",
    });
    assert_eq!(run, expected);
    let bound = lab.stored("repositories/octo/app.json")["bound_to"].take();
    let expected = json!({"issuer": lab.issuer.url(), "repository_id": 1_296_269, "owner_id": 583_231});
    assert_eq!(bound, expected);

    let path = "/coverage/invalidate-cache/octo/app/";
    let value = json!({"site_id": site, "percent": 87.5, "state": "success", "commit_sha": SHA, "run_id": 1});
    assert_accepted(lab.post(&lab.token(), path, value.to_string()).await).await;
    assert_eq!(lab.server.badge("/badge/octo/app.svg").await, "coverage: 87%");
    assert_accepted(lab.post(&lab.token(), path, String::new()).await).await;
    // The other header works as well, and so does an API key.
    let body = json!({"repository": "octo/app", "commit_sha": SHA}).to_string();
    let create = lab.server.client.post(format!("{}/coverage/create-site/", lab.server.url));
    assert_accepted(create.header("token", lab.token()).body(body).send().await.unwrap()).await;
    let by_key = lab.server.create().await;
    let record = lab.stored(&format!("sites/{}.json", by_key["site_id"].as_str().unwrap()));
    assert_eq!((record["created_by"].as_str(), record.get("run")), (Some("api-key"), None));
    assert_eq!(lab.issuer_requests(), (1, 1), "the keys are cached");
}

#[tokio::test]
async fn invalid_claims_are_rejected_by_name_without_showing_the_token() {
    let Some(lab) = Lab::start().await else { return };
    let other_issuer = Issuer::start();
    let now = jiff::Timestamp::now().as_second();
    let url = lab.server.url.as_str();
    for (claims, expected) in [
        (json!({"exp": now - 61}), "exp is "),
        (json!({"nbf": now + 90}), "it is not valid yet"),
        (json!({"iat": now + 90}), "it was issued in the future"),
        (json!({"aud": "https://github.com/octo"}), &format!("aud is \"https://github.com/octo\", expected \"{url}\"")),
        (
            json!({"iss": other_issuer.url()}),
            &format!("iss is {:?}, expected {}", other_issuer.url(), lab.issuer.url()),
        ),
        (json!({"iss": format!("{}/", lab.issuer.url())}), "expected http://127.0.0.1"),
        (json!({"iss": null}), "it has no issuer (iss)"),
        (json!({"exp": null}), "missing field `exp`"),
        (json!({"exp": "soon"}), "expected i64"),
        (json!({"iat": null}), "missing field `iat`"),
        (json!({"repository_id": "octo"}), "repository_id is \"octo\", expected a number"),
        (json!({"repository_id": null}), "missing field `repository_id`"),
        (json!({"repository": "octo"}), "is not a valid repository"),
    ] {
        let token = lab.token_with(claims.clone());
        let response = lab.create(&token).await;
        assert_eq!(response.status(), 401, "{claims}");
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let text = body["detail"].as_str().unwrap();
        assert!(text.starts_with("the OIDC token was rejected: ") && text.contains(expected), "{claims}: {text}");
        let parts: Vec<&str> = token.split('.').collect();
        assert!(parts.iter().all(|part| !text.contains(part)), "{text}");
    }
    // Within the leeway.
    for claims in [json!({"exp": now - 50}), json!({"nbf": now + 50}), json!({"iat": now + 50}), json!({"nbf": null})] {
        assert_accepted(lab.create(&lab.token_with(claims)).await).await;
    }
}

#[tokio::test]
async fn only_signatures_by_the_issuers_keys_are_accepted() {
    let Some(lab) = Lab::start().await else { return };
    let claims = lab.issuer.claims(&lab.server.url);
    let header = lab.issuer.header();
    let with = |changes: Value| {
        let mut header = header.clone();
        header.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        header
    };
    let signed = |header: &Value, sign: &dyn Fn(&[u8]) -> Vec<u8>| {
        let text = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let signature = sign(text.as_bytes());
        format!("{text}.{}", BASE64.encode(signature))
    };
    let unsigned = |header: &Value| signed(header, &|_| Vec::new());
    let none = [with(json!({"alg": "none"})), with(json!({"alg": "None"})), with(json!({"alg": ""}))];
    for header in &none {
        assert_error(lab.create(&unsigned(header)).await, 401, ", expected \"RS256\"").await;
    }
    assert_error(lab.create(&unsigned(&header)).await, 401, "its signature does not match the key that it names").await;
    // The public key as an HMAC secret, in every possible format.
    let n = lab.issuer.jwks()["keys"][0]["n"].as_str().unwrap().to_owned();
    for secret in [lab.issuer.public_key(), BASE64.decode(&n).unwrap(), n.into_bytes()] {
        let mac = |text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), text).as_ref().to_vec();
        assert_error(lab.create(&signed(&with(json!({"alg": "HS256"})), &mac)).await, 401, "alg is \"HS256\"").await;
        assert_error(lab.create(&signed(&header, &mac)).await, 401, "its signature").await;
    }
    // A key in the token, or at a URL in the token.
    let other_issuer = Issuer::start();
    other_issuer.rotate(2048);
    let jwk = other_issuer.jwks()["keys"][1].clone();
    let jku = format!("{}{JWKS}", other_issuer.url());
    let own = other_issuer.sign(&with(json!({"jwk": jwk, "jku": jku, "x5u": jku})), &claims);
    assert_error(lab.create(&own).await, 401, "its signature does not match the key that it names").await;
    assert_eq!(other_issuer.requests().len(), 0);
    let extended = lab.issuer.sign(&with(json!({"crit": ["exp"]})), &claims);
    assert_error(lab.create(&extended).await, 401, "crit").await;
    let nameless = lab.issuer.sign(&json!({"alg": "RS256"}), &claims);
    assert_error(lab.create(&nameless).await, 401, "(kid)").await;
    // Other claims with a valid signature.
    let right = lab.token();
    let signature = right.rsplit_once('.').unwrap().1;
    let other = unsigned(&header);
    assert_error(lab.create(&format!("{other}{signature}")).await, 401, "its signature").await;
    assert_accepted(lab.create(&right).await).await;
}

#[tokio::test]
async fn rotated_keys_are_found_within_a_minute_and_withdrawn_keys_removed() {
    let Some(lab) = Lab::start().await else { return };
    assert_accepted(lab.create(&lab.token()).await).await;
    let old = lab.token_with(json!({"exp": 4_102_444_800_i64}));
    let kid = lab.issuer.rotate(4096);
    let rejected = lab.create(&lab.token()).await;
    let after: u64 = rejected.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    assert_error(rejected, 503, &format!("kid is \"{kid}\", and http://127.0.0.1")).await;
    assert_eq!(lab.issuer_requests(), (1, 1), "one request a minute");
    advance_clock(MINUTE).await;
    assert_accepted(lab.create(&lab.token()).await).await;
    assert_accepted(lab.create(&old).await).await;
    assert_eq!(lab.issuer_requests(), (1, 2), "the URL of the keys is cached");
    // Known for a minute as not a key of the issuer.
    let unknown = lab.issuer.sign(&json!({"alg": "RS256", "kid": "made-up"}), &lab.issuer.claims(&lab.server.url));
    advance_clock(MINUTE).await;
    assert_error(lab.create(&unknown).await, 401, "kid is \"made-up\", and http://127.0.0.1").await;
    // A withdrawn key stops working.
    lab.issuer.withdraw_old_keys();
    assert_accepted(lab.create(&old).await).await;
    advance_clock(Duration::from_secs(3600)).await;
    assert_error(lab.create(&old).await, 401, "has no such key").await;
    assert_accepted(lab.create(&lab.token()).await).await;
    assert_eq!(lab.issuer_requests(), (1, 4));
}

#[tokio::test]
async fn an_unavailable_issuer_is_requested_once_a_minute_and_known_keys_stay_valid() {
    let Some(lab) = Lab::start().await else { return };
    lab.issuer.set_down(true);
    for _ in 0..5 {
        let rejected = lab.create(&lab.token()).await;
        assert!(rejected.headers().contains_key("retry-after"));
        assert_error(rejected, 503, "could not be read; the server retries in").await;
    }
    assert_eq!(lab.issuer_requests(), (1, 0));
    lab.issuer.set_down(false);
    assert_error(lab.create(&lab.token()).await, 503, "could not be read").await;
    advance_clock(MINUTE).await;
    assert_accepted(lab.create(&lab.token()).await).await;
    assert_eq!(lab.issuer_requests(), (2, 1));

    let known = lab.token_with(json!({"exp": 4_102_444_800_i64}));
    lab.issuer.set_down(true);
    advance_clock(Duration::from_secs(86400)).await;
    assert_accepted(lab.create(&known).await).await;
    assert_accepted(lab.create(&known).await).await;
    assert_eq!(lab.issuer_requests(), (2, 2), "one attempt to refresh the keys");
    lab.issuer.rotate(2048);
    assert_error(lab.create(&lab.token()).await, 503, "could not be read").await;
    lab.issuer.set_down(false);
    advance_clock(MINUTE).await;
    assert_accepted(lab.create(&lab.token()).await).await;
    assert_eq!(lab.issuer_requests(), (3, 3), "a failed key request reloads the discovery document");
}

#[tokio::test]
async fn ten_thousand_invalid_tokens_cause_one_issuer_request_a_minute() {
    let Some(lab) = Lab::start().await else { return };
    let right = lab.token();
    let (signed, _) = right.rsplit_once('.').unwrap();
    let wrong = format!("{signed}.{}", BASE64.encode([7; 256]));
    let claims = lab.issuer.claims(&lab.server.url);
    let unknown = |number: usize| lab.issuer.sign(&json!({"alg": "RS256", "kid": format!("{number}")}), &claims);
    let unknown: Vec<String> = (0..50).map(unknown).collect();
    let flood = async |count: usize| {
        let client = Client::new();
        let responses = stream::iter(0..count).map(|number| {
            let token = if number % 2 == 0 { &unknown[number % unknown.len()] } else { &wrong };
            let request = client.post(format!("{}/coverage/create-site/", lab.server.url)).bearer_auth(token);
            async { request.send().await.unwrap().status().as_u16() }
        });
        let statuses: Vec<u16> = responses.buffer_unordered(64).collect().await;
        assert!(statuses.iter().all(|status| matches!(status, 401 | 503)), "{statuses:?}");
    };
    flood(10_000).await;
    assert_eq!(lab.issuer_requests(), (1, 1));
    assert_accepted(lab.create(&right).await).await;
    advance_clock(MINUTE).await;
    flood(500).await;
    assert_eq!(lab.issuer_requests(), (1, 2));
    lab.issuer.set_down(true);
    advance_clock(MINUTE).await;
    flood(500).await;
    assert_eq!(lab.issuer_requests(), (1, 3));
    assert_accepted(lab.create(&right).await).await;
    // From the same address: tokens do not count as wrong keys, and wrong keys do not block tokens.
    lab.server.create().await;
    for guess in 0..20 {
        lab.create(&format!("guess-{guess}")).await;
    }
    assert_eq!(lab.create("one-more").await.status(), 429);
    assert_accepted(lab.create(&right).await).await;
}

#[tokio::test]
async fn tokens_are_valid_only_for_their_own_repository() {
    let Some(lab) = Lab::start().await else { return };
    let token = lab.token();
    assert_error(
        lab.create_for(&token, "octo/other").await,
        403,
        "is for octo/app, but this request is for octo/other",
    )
    .await;
    let other = "/coverage/invalidate-cache/octo/other/";
    let value = json!({"site_id": "0".repeat(32), "percent": 1, "state": "success", "commit_sha": SHA}).to_string();
    for body in [value, String::new()] {
        assert_error(lab.post(&token, other, body).await, 403, "use a token of that repository").await;
    }
    let nameless = lab.post(&token, "/coverage/create-site/", String::new()).await;
    assert_error(nameless, 403, "needs a JSON body that names the repository").await;
    let other_repository =
        lab.token_with(json!({"repository": "evil/app", "repository_id": "6", "repository_owner_id": "66"}));
    let rejected = lab.create_for(&other_repository, "evil/app").await;
    assert_error(rejected, 403, "evil/app (id:6, owner-id:66) is not in this server's ALLOWED_REPOSITORIES").await;
    let names: Vec<_> = std::fs::read_dir(lab.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name == "repositories" || name == "sites"), "{names:?}");
}

#[tokio::test]
async fn a_name_is_bound_to_the_first_repository_id_until_rebind() {
    let Some(lab) = Lab::start().await else { return };
    let rebind = |name: &str| lab.rebind(name);
    let (code, output) = rebind("octo/app");
    assert!(code == Some(0) && output.contains("octo/app is not bound in"), "{output}");
    let first = lab.token();
    assert_accepted(lab.create(&first).await).await;
    let second = lab.token_with(json!({"repository_id": "42"}));
    let why = "octo/app is bound to the repository ID 1296269 on this server, but repository_id of the token is 42";
    for _ in 0..2 {
        assert_error(lab.create(&second).await, 403, why).await;
    }
    assert_error(lab.create(&second).await, 403, "`covered-server rebind octo/app`").await;
    assert_accepted(lab.create(&first).await).await;
    // The same repository under another name.
    let renamed = lab.token_with(json!({"repository": "octo/renamed"}));
    assert_accepted(lab.create_for(&renamed, "octo/renamed").await).await;

    let (code, output) = rebind("Octo/App");
    assert!(
        code == Some(0) && output.contains("released octo/app, which was bound to the repository ID 1296269"),
        "{output}"
    );
    assert_eq!(lab.stored("repositories/octo/app.json")["bound_to"], Value::Null);
    assert_accepted(lab.create(&second).await).await;
    assert_eq!(lab.stored("repositories/octo/app.json")["bound_to"]["repository_id"], 42);
    assert_error(
        lab.create(&first).await,
        403,
        "the repository ID 42 on this server, but repository_id of the token is 1296269",
    )
    .await;
    for (name, why) in [("octo", "is not a valid repository"), ("octo/..", "not a valid repository name")] {
        let (code, output) = rebind(name);
        assert!(code == Some(2) && output.contains(why), "{code:?} {output}");
    }
}

#[tokio::test]
async fn unreadable_bindings_do_not_release_the_name() {
    let Some(lab) = Lab::start().await else { return };
    let path = lab.folder.path().join("repositories/octo/app.json");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let bound =
        |id: &str| format!(r#"{{"bound_to":{{"issuer":"x","repository_id":{id},"owner_id":1}},"changed_at":"?"}}"#);
    for broken in ["", "{", "{}", "null", r#"{"changed_at":"2026-11-22T15:04:05Z"}"#, &bound("\"1\""), &bound("1.0")] {
        std::fs::write(&path, broken).unwrap();
        assert_eq!(lab.create(&lab.token()).await.status(), 502, "{broken}");
        let (code, output) = lab.rebind("octo/app");
        assert!(code == Some(1) && output.contains("delete it to free the name"), "{broken}: {output}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), broken);
    }
    std::fs::remove_file(&path).unwrap();
    assert_accepted(lab.create(&lab.token()).await).await;
}

#[tokio::test]
async fn equal_ids_of_different_issuers_are_different() {
    if skip_without(&[Part::Openssl]) {
        return;
    }
    let issuers = [Issuer::start(), Issuer::start()];
    let both = issuers.each_ref().map(Issuer::url).join(", ");
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[("OIDC_ISSUERS", &both), ("ALLOWED_REPOSITORIES", "octo/*")]).await;
    let body = json!({"repository": "octo/app", "commit_sha": SHA}).to_string();
    let create = |issuer: &Issuer| {
        let create = server.client.post(format!("{}/coverage/create-site/", server.url));
        create.bearer_auth(issuer.token(&server.url)).body(body.clone()).send()
    };
    assert_accepted(create(&issuers[0]).await.unwrap()).await;
    let issuers_named = format!("({} and {})", issuers[0].url(), issuers[1].url());
    assert_error(create(&issuers[1]).await.unwrap(), 403, &issuers_named).await;
}

#[tokio::test]
async fn id_rules_allow_repositories_and_owners_under_any_name() {
    let github = Github::start();
    for name in ["octo/app", "octo/other", "stranger/app"] {
        github.add_repository(name, "main");
    }
    let url = github.url();
    let github_settings = [("GITHUB_TOKEN", "tok"), ("GITHUB_API_URL", url.as_str())];
    for rules in ["id:1296269", "owner-id:583231", "acme/*, owner-id:583231"] {
        let settings = [&github_settings[..], &[("ALLOWED_REPOSITORIES", rules)]].concat();
        let Some(lab) = Lab::with(&settings).await else { return };
        let by_key = || {
            let body = json!({"repository": "octo/app", "commit_sha": SHA}).to_string();
            lab.server.post("/coverage/create-site/").body(body).send()
        };
        // An API key has no ID, and the name is not bound yet.
        assert_error(by_key().await.unwrap(), 403, "octo/app is not in this server's").await;
        let before = github.requests().len();
        lab.server.badge("/badge/octo/other.svg").await;
        assert_eq!(github.requests().len(), before);
        // A name alone is not enough.
        let other_repository = lab.token_with(json!({"repository_id": "7", "repository_owner_id": "77"}));
        assert_error(lab.create(&other_repository).await, 403, "octo/app (id:7, owner-id:77) is not in this server's")
            .await;
        assert_accepted(lab.create(&lab.token()).await).await;
        assert_eq!(by_key().await.unwrap().status(), 200, "the name is bound to an allowed ID");
        lab.server.badge("/badge/octo/app.svg").await;
        assert_eq!(github.requests().len(), before + 1);
        let in_other_account = lab.token_with(json!({"repository": "stranger/app", "repository_owner_id": "99"}));
        let expected = if rules == "id:1296269" { 200 } else { 403 };
        assert_eq!(lab.create_for(&in_other_account, "stranger/app").await.status(), expected, "{rules}");
    }
}

#[tokio::test]
async fn tokens_are_rejected_without_allowed_repositories() {
    for (settings, why) in [
        (&[][..], "uploads without an API key are disabled because this server's ALLOWED_REPOSITORIES is not set"),
        (&[("ALLOWED_REPOSITORIES", "octo/*"), ("OIDC_ISSUERS", "none")], "this server's OIDC_ISSUERS is \"none\""),
    ] {
        let Some(lab) = Lab::with(settings).await else { return };
        for token in [lab.token(), lab.token_with(json!({"exp": 1}))] {
            assert_error(lab.create(&token).await, 403, why).await;
        }
        assert_eq!(lab.issuer.requests().len(), 0);
        lab.server.create().await;
    }
}

#[tokio::test]
async fn tokens_must_have_the_configured_audience() {
    let settings = [("ALLOWED_REPOSITORIES", "octo/*"), ("OIDC_AUDIENCE", "covered")];
    let Some(lab) = Lab::with(&settings).await else { return };
    assert_accepted(lab.create(&lab.issuer.token("covered")).await).await;
    assert_error(lab.create(&lab.token()).await, 401, "expected \"covered\"").await;
}

#[tokio::test]
async fn uploads_work_without_any_api_key() {
    if skip_without(&[Part::Openssl]) {
        return;
    }
    let issuer = Issuer::start();
    let url = issuer.url();
    let settings =
        [("STORAGE_URL", "memory://"), ("API_KEY", ""), ("OIDC_ISSUERS", &url), ("ALLOWED_REPOSITORIES", "octo/*")];
    let server = Server::with(&settings).await;
    let body = json!({"repository": "octo/app", "commit_sha": SHA}).to_string();
    let create = |credential: &str| {
        let create = server.client.post(format!("{}/coverage/create-site/", server.url));
        create.bearer_auth(credential).body(body.clone()).send()
    };
    let session = assert_accepted(create(&issuer.token(&server.url)).await.unwrap()).await;
    assert_eq!(server.put(&session, zip(&[("index.html", b"<p>")])).await.status(), 201);
    assert_error(create(KEY).await.unwrap(), 403, "the API key is not valid on this server").await;
    let home = server.get("/").send().await.unwrap().text().await.unwrap();
    let colors = "The badge is green if the total reaches coverage-threshold, red below it, and grey without a number. The \
                  action's default threshold is 0, the program's is 100.";
    assert!(home.contains(colors), "{home}");
    assert!(home.contains("id-token: write") && !home.contains("secrets.COVERED_API_KEY"), "{home}");
}

#[tokio::test]
async fn an_api_key_in_token_format_is_accepted() {
    let key = format!("{}.{}.", BASE64.encode(r#"{"alg":"none"}"#), BASE64.encode("{}"));
    let server = Server::with(&[("STORAGE_URL", "memory://"), ("API_KEY", &key)]).await;
    let body = json!({"repository": "octo/app", "commit_sha": SHA}).to_string();
    let create = server.client.post(format!("{}/coverage/create-site/", server.url)).bearer_auth(&key).body(body);
    assert_accepted(create.send().await.unwrap()).await;
}

#[tokio::test]
async fn tokens_set_values_only_for_pushes_to_the_default_branch() {
    let Some(lab) = Lab::start().await else { return };
    let site = "a".repeat(32);
    let path = "/coverage/invalidate-cache/octo/app/";
    let value = |percent: u32, sha: &str| {
        json!({"site_id": site, "percent": percent, "state": "success", "commit_sha": sha}).to_string()
    };
    let push = |git_ref: &str, sha: &str| json!({"event_name": "push", "ref": git_ref, "sha": sha});
    assert_accepted(lab.post(&lab.token_with(push("refs/heads/main", SHA)), path, value(96, SHA)).await).await;
    let other = "f".repeat(40);
    for (claims, why) in [
        (json!({"event_name": "pull_request"}), "the event \"pull_request\""),
        (json!({"event_name": "pull_request_target"}), "the event \"pull_request_target\""),
        (json!({"event_name": "schedule"}), "the event \"schedule\""),
        (push("refs/tags/main", SHA), "\"refs/tags/main\""),
        (push("refs/heads/main", &other), "another commit"),
        (push("refs/heads/", SHA), "\"refs/heads/\""),
        (json!({"event_name": "push", "ref": null}), "\"\""),
        (json!({"event_name": "push", "sha": null}), "another commit"),
    ] {
        let response = assert_accepted(lab.post(&lab.token_with(claims), path, value(0, SHA)).await).await;
        let detail = response["detail"].as_str().unwrap();
        assert!(detail.starts_with("only pushes to the default branch update the badge"), "{detail}");
        assert!(detail.contains(why), "{detail}");
        assert_eq!(lab.server.badge("/badge/octo/app.svg").await, "coverage: 96%", "{why}");
    }
    // This token does not describe the tested run: the action knows it, and sends a value or not.
    assert_accepted(lab.post(&lab.token(), path, value(97, &other)).await).await;
    assert_eq!(lab.server.badge("/badge/octo/app.svg").await, "coverage: 97%");
}

#[tokio::test]
async fn a_push_to_another_branch_than_githubs_default_sets_no_value() {
    let github = Github::start();
    github.add_repository("octo/app", "trunk");
    github.push("octo/app", "trunk", SHA);
    let url = github.url();
    let settings = [("ALLOWED_REPOSITORIES", "octo/*"), ("GITHUB_TOKEN", "tok"), ("GITHUB_API_URL", url.as_str())];
    let Some(lab) = Lab::with(&settings).await else { return };
    let site = "a".repeat(32);
    let value = |percent: u32| json!({"site_id": site, "percent": percent, "state": "success", "commit_sha": SHA});
    let path = "/coverage/invalidate-cache/octo/app/";
    let push = |branch: &str| json!({"event_name": "push", "ref": format!("refs/heads/{branch}"), "sha": SHA});
    let response = assert_accepted(lab.post(&lab.token_with(push("trunk")), path, value(96).to_string()).await).await;
    assert_eq!(response["detail"], json!(null));
    let response = assert_accepted(lab.post(&lab.token_with(push("feature")), path, value(0).to_string()).await).await;
    assert!(response["detail"].as_str().unwrap().contains("for the branch \"feature\""), "{response}");
    assert_eq!(lab.server.badge("/badge/octo/app.svg").await, "coverage: 96%");
}

#[tokio::test]
async fn the_run_id_of_a_push_token_overrides_the_body() {
    let Some(lab) = Lab::start().await else { return };
    let path = "/coverage/invalidate-cache/octo/app/";
    let site = "a".repeat(32);
    let value = |percent: u32, run: u64| {
        json!({"site_id": site, "percent": percent, "state": "success", "commit_sha": SHA, "run_id": run}).to_string()
    };
    let push = |run: &str| json!({"event_name": "push", "run_id": run});
    assert_accepted(lab.post(&lab.token_with(push("100")), path, value(50, 1 << 53)).await).await;
    assert_accepted(lab.post(&lab.token_with(push("101")), path, value(51, 1)).await).await;
    assert_eq!(lab.server.badge("/badge/octo/app.svg").await, "coverage: 51%");
    let older = assert_accepted(lab.post(&lab.token_with(push("99")), path, value(10, 1 << 53)).await).await;
    assert_eq!(older["detail"], "kept the value of run 101, which is newer");
}
