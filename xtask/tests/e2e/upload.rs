//! Uploads reports to each kind of store; checks status, badge and report.

use xtask::lab::parts::{Part, skip_without};
use xtask::lab::proxy::Proxy;
use xtask::lab::s3::MiniStack;

use crate::{NEXT_SHA, REPOSITORY, SHA, Settings, World, files_in, keys_in, setting};

const GREEN: &str = "#34d058";
const RED: &str = "#cb2431";

/// Uploads two reports; returns the ID of the first one's site.
fn upload_twice(settings: &Settings) -> (World, String) {
    let world = World::new(settings);
    let badge_url = format!("{}/badge/{REPOSITORY}.svg", world.server.url);
    world.github.set_readme(REPOSITORY, &["https://img.shields.io/license.svg", &badge_url]);
    let unknown = world.badge();
    assert_eq!(unknown.status, 200);
    assert!(unknown.text().contains("coverage: ??"), "{}", unknown.text());

    let log = world.upload_small("87.5", SHA).text();
    assert!(!log.contains("a-token") && !log.contains("a-key-to-try"), "a secret is in the log:\n{log}");

    let statuses = world.github.statuses(REPOSITORY, SHA);
    let [status] = statuses.as_slice() else { panic!("expected one status: {statuses:?}") };
    assert_eq!((status.context.as_str(), status.state.as_str()), ("covered", "success"));
    assert!(status.description.starts_with("87.5%"), "{}", status.description);

    let badge = world.badge().text().to_lowercase();
    assert!(badge.contains("coverage: 87%") && badge.contains(GREEN), "{badge}");
    assert_eq!(world.github.purged(), [badge_url]);

    let path = world.report_path();
    assert_eq!(status.target_url, format!("{}{path}", world.server.url));
    let page = world.server.get(&path);
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<span class=\"pc_cov\">87.5%</span>"), "{}", page.text());
    let site = path.trim_matches('/').strip_prefix("coverage/").unwrap().to_owned();

    world.github.push(REPOSITORY, "main", NEXT_SHA);
    world.upload_small("79.9", NEXT_SHA);
    assert_eq!(world.github.statuses(REPOSITORY, NEXT_SHA)[0].state, "failure");
    let badge = world.badge().text().to_lowercase();
    assert!(badge.contains("coverage: 79%") && badge.contains(RED), "{badge}");
    let second = world.report_path();
    assert!(second != path && world.server.get(&second).text().contains("79.9%"));
    assert_eq!(world.server.get(&path).status, 200, "the first report is still there");
    (world, site)
}

/// Expects only the record and the zip of each site in the store.
fn assert_only_record_and_zip(keys: &[String], site: &str) {
    let of_site: Vec<_> = keys.iter().filter(|key| key.starts_with(&format!("sites/{site}"))).collect();
    assert_eq!(of_site, [&format!("sites/{site}.json"), &format!("sites/{site}.zip")], "{keys:?}");
    let sites = keys.iter().filter(|key| key.starts_with("sites/")).count();
    assert_eq!(sites, 4, "expected only two sites: {keys:?}");
}

#[test]
fn upload_badge_and_report_work_with_a_folder() {
    let data = tempfile::tempdir().unwrap();
    let (_world, site) = upload_twice(&files_in(data.path()));
    assert_only_record_and_zip(&keys_in(data.path()), &site);
}

#[test]
fn upload_badge_and_report_work_in_memory() {
    upload_twice(&setting("STORAGE_URL", "memory://"));
}

#[test]
fn upload_badge_and_report_work_with_s3_and_one_put() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let s3 = MiniStack::start();
    let proxy = Proxy::start(&s3.url());
    let (_world, site) = upload_twice(&s3.settings(&proxy.url()));
    assert_only_record_and_zip(&s3.keys(), &site);
    let passed = proxy.take();
    let puts: Vec<_> = passed.iter().filter(|request| request.method == "PUT").collect();
    let zip = format!("/covered/sites/{site}.zip");
    assert_eq!(puts.iter().filter(|put| put.path == zip).count(), 1, "{puts:?}");
    assert!(passed.iter().all(|request| request.method != "POST"), "no multipart upload: {passed:?}");
}

#[test]
fn without_a_github_token_the_badge_shows_the_uploaded_value() {
    let mut settings = setting("STORAGE_URL", "memory://");
    settings.extend(setting("GITHUB_TOKEN", ""));
    let mut world = World::new(&settings);
    world.server = xtask::lab::covered::Server::start(&settings);
    world.upload_small("100", SHA);
    assert!(world.badge().text().contains("coverage: 100%"));
    assert!(world.server.get(&world.report_path()).text().contains("100%"));
    let graphql = world.github.requests().into_iter().filter(|request| request.path.ends_with("graphql"));
    assert_eq!(graphql.count(), 0);
}
