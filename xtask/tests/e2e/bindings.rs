//! Names that are bound to repository IDs, with two servers on one bucket and without API keys.

use std::thread;

use serde_json::json;
use xtask::lab::covered::{Server, clean};
use xtask::lab::http::{self, Reply};
use xtask::lab::oidc::Issuer;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::s3::MiniStack;
use xtask::lab::{paths, process};

use crate::{SHA, Settings};

fn create(server: &Server, token: &str, repository: &str) -> Reply {
    let body = json!({"repository": repository, "commit_sha": SHA}).to_string();
    let bearer = format!("Bearer {token}");
    let url = format!("{}/coverage/create-site/", server.url);
    http::request("POST", &url, &[("authorization", &bearer)], body).unwrap()
}

fn token(issuer: &Issuer, repository: &str, id: u64) -> String {
    issuer.set_claims(json!({"repository": repository, "repository_id": id.to_string()}));
    issuer.token("covered")
}

#[test]
fn one_of_several_concurrent_ids_binds_the_name_until_rebind() {
    if skip_without(&[Part::Python, Part::Shells]) {
        return;
    }
    let (s3, issuer) = (MiniStack::start(), Issuer::start());
    let mut settings: Settings = s3.settings(&s3.url());
    let url = issuer.url();
    let own =
        [("API_KEY", ""), ("OIDC_ISSUERS", &url), ("OIDC_AUDIENCE", "covered"), ("ALLOWED_REPOSITORIES", "octo/*")];
    settings.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let servers = [Server::start(&settings), Server::start(&settings)];
    for round in 0..5 {
        let name = format!("octo/app-{round}");
        let tokens: Vec<String> = (1..=8).map(|id| token(&issuer, &name, id)).collect();
        let upload = |number: usize| create(&servers[number % 2], &tokens[number], &name);
        let statuses: Vec<u16> = thread::scope(|scope| {
            let uploads: Vec<_> = (0..tokens.len()).map(|number| scope.spawn(move || upload(number).status)).collect();
            uploads.into_iter().map(|upload| upload.join().unwrap()).collect()
        });
        let accepted = statuses.iter().filter(|status| **status == 200).count();
        let rejected = statuses.iter().filter(|status| **status == 403).count();
        assert_eq!((accepted, rejected), (1, 7), "{statuses:?}");
    }
    let [old, new] = [token(&issuer, "octo/app", 1), token(&issuer, "octo/app", 2)];
    let first = create(&servers[0], &old, "octo/app");
    assert!(first.status == 200 && first.text().contains(&s3.url()), "{}", first.text());
    assert_eq!(create(&servers[1], &new, "octo/app").status, 403);
    let mut command = clean(&paths::binary("covered-server"));
    command.args(["rebind", "octo/app"]).env("PUBLIC_URL", "https://covered.example.com").envs(settings.clone());
    let rebound = process::run(&mut command).unwrap();
    assert!(rebound.ok && rebound.stdout.contains("was bound to the repository ID 1 of"), "{}", rebound.text());
    assert_eq!(create(&servers[1], &new, "octo/app").status, 200);
    let fresh = Server::start(&settings);
    let rejected = create(&fresh, &old, "octo/app");
    assert!(
        rejected.status == 403 && rejected.text().contains("covered-server rebind octo/app"),
        "{}",
        rejected.text()
    );
}
