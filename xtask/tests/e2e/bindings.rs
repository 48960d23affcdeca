//! Names and the ids that they belong to, for two servers on one bucket that nobody has a key of.

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
fn of_many_ids_at_once_one_has_the_name_until_it_is_freed() {
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
        let ask = |number: usize| create(&servers[number % 2], &tokens[number], &name);
        let statuses: Vec<u16> = thread::scope(|scope| {
            let asking: Vec<_> = (0..tokens.len()).map(|number| scope.spawn(move || ask(number).status)).collect();
            asking.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        let taken = statuses.iter().filter(|status| **status == 200).count();
        let refused = statuses.iter().filter(|status| **status == 403).count();
        assert_eq!((taken, refused), (1, 7), "{statuses:?}");
    }
    let [old, new] = [token(&issuer, "octo/app", 1), token(&issuer, "octo/app", 2)];
    let taken = create(&servers[0], &old, "octo/app");
    assert!(taken.status == 200 && taken.text().contains(&s3.url()), "{}", taken.text());
    assert_eq!(create(&servers[1], &new, "octo/app").status, 403);
    let mut command = clean(&paths::binary("covered-server"));
    command.args(["rebind", "octo/app"]).env("PUBLIC_URL", "https://covered.example.com").envs(settings.clone());
    let freed = process::run(&mut command).unwrap();
    assert!(freed.ok && freed.stdout.contains("was bound to the repository ID 1 of"), "{}", freed.text());
    assert_eq!(create(&servers[1], &new, "octo/app").status, 200);
    let fresh = Server::start(&settings);
    let refused = create(&fresh, &old, "octo/app");
    assert!(refused.status == 403 && refused.text().contains("covered-server rebind octo/app"), "{}", refused.text());
}
