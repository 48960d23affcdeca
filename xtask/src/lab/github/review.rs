//! What a test adds for pull requests, and what it asks about them.

use std::sync::Arc;

use tokio::sync::Barrier;

use super::Github;
use super::comments;
use super::pulls::{Author, CheckRun, Comment, Commit, Comparison, Permission, PullRequest, blob_sha};

impl Github {
    /// Makes a repository private: only a token with the right permissions may read it.
    pub fn set_private(&self, full_name: &str) {
        self.change(full_name, |repository| repository.is_private = true);
    }

    /// Sets the ID of a repository, which is its position among all by default.
    pub fn set_repository_id(&self, full_name: &str, id: u64) {
        self.change(full_name, |repository| repository.id = id);
    }

    /// Restricts every token to these permissions; by default it has all.
    pub fn allow(&self, permissions: &[Permission]) {
        self.state().permissions = Some(permissions.to_vec());
    }

    /// Sets the author of what the token creates; by default it is GitHub Actions.
    pub fn set_author(&self, author: Author) {
        self.state().author = Some(author);
    }

    /// Adds a pull request to its base repository, or replaces the one with its number.
    pub fn add_pull_request(&self, full_name: &str, mut pull_request: PullRequest) {
        for comment in pull_request.comments.iter_mut().filter(|comment| comment.id == 0) {
            comment.id = self.state().next_id();
        }
        self.change(full_name, |repository| repository.set_pull_request(pull_request));
    }

    /// Changes a pull request, such as after a force push.
    #[track_caller]
    pub fn change_pull_request(&self, full_name: &str, number: u64, change: impl FnOnce(&mut PullRequest)) {
        self.change(full_name, |repository| {
            let mut pull_request = repository.pull_requests[&number].clone();
            change(&mut pull_request);
            repository.set_pull_request(pull_request);
        });
    }

    /// The comments of a pull request, oldest first.
    pub fn comments(&self, full_name: &str, number: u64) -> Vec<Comment> {
        let state = self.state();
        let pull_request = state.repository(full_name).and_then(|found| found.pull_requests.get(&number));
        pull_request.map_or_else(Vec::new, |found| found.comments.clone())
    }

    /// Adds a comment of a person or a bot, and returns its ID.
    pub fn add_comment(&self, full_name: &str, number: u64, author: Author, body: &str) -> u64 {
        let (id, time) = {
            let mut state = self.state();
            (state.next_id(), state.next_time())
        };
        let comment = Comment { id, created_at: time.clone(), updated_at: time, ..Comment::new(author, body) };
        self.change_pull_request(full_name, number, |pull_request| pull_request.comments.push(comment));
        id
    }

    /// Lets new comments wait until there are `count` at once, so that no job sees the comment of another one before it
    /// posts its own.
    pub fn gather_comments(&self, count: usize) {
        self.state().gathering = Some(Arc::new(Barrier::new(count)));
    }

    /// Changes the text of a comment, as a person does on GitHub's page.
    pub fn edit_comment(&self, full_name: &str, id: u64, body: &str) {
        let time = self.state().next_time();
        self.change(full_name, |repository| match comments::find(repository, &id.to_string()) {
            Some((_, comment)) => (comment.body, comment.updated_at) = (body.to_owned(), time),
            None => panic!("the stub has no comment {id} in {full_name}"),
        });
    }

    /// All check runs of a repository, oldest first.
    pub fn check_runs(&self, full_name: &str) -> Vec<CheckRun> {
        let state = self.state();
        state.repository(full_name).map_or_else(Vec::new, |found| found.check_runs.clone())
    }

    /// Adds the content of a file by its SHA, as in [`super::blob_sha`].
    pub fn add_blob(&self, full_name: &str, sha: &str, bytes: &[u8]) {
        self.change(full_name, |repository| _ = repository.blobs.insert(sha.to_owned(), bytes.to_vec()));
    }

    /// Adds a file to the tree of a commit, and its blob. Returns the SHA of the blob.
    pub fn add_file(&self, full_name: &str, commit: &str, path: &str, bytes: &[u8]) -> String {
        let sha = blob_sha(bytes);
        self.add_blob(full_name, &sha, bytes);
        self.change(full_name, |repository| {
            let tree = repository.trees.entry(commit.to_owned()).or_default();
            tree.insert(path.to_owned(), sha.clone());
        });
        sha
    }

    /// From now on, the trees are too large for a response: GitHub then returns a part of them.
    pub fn truncate_trees(&self, full_name: &str) {
        self.change(full_name, |repository| repository.has_large_trees = true);
    }

    /// Adds a commit, or replaces what follows from pull requests and branches.
    pub fn add_commit(&self, full_name: &str, commit: Commit) {
        self.change(full_name, |repository| repository.set_commit(commit));
    }

    /// Sets the result of comparing two commits or branches; the stub derives it only for base and head of a pull request, and
    /// for head and base if the base branch has not moved on.
    pub fn set_compare(&self, full_name: &str, base: &str, head: &str, comparison: Comparison) {
        let key = (base.to_owned(), head.to_owned());
        self.change(full_name, |repository| _ = repository.comparisons.insert(key, comparison));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::lab::github::{ChangedFile, Fault, Github};
    use crate::lab::http::{Reply, request};

    const TOKEN: (&str, &str) = ("authorization", "Bearer t");

    /// A repository with pull request 7 from a fork, and the files of the test.
    fn stub(files: Vec<ChangedFile>) -> Github {
        let github = Github::start();
        github.add_repository("octo/App", "main");
        github.push("octo/app", "main", "base");
        github.add_pull_request("octo/app", pull_request(7, files));
        github
    }

    fn pull_request(number: u64, files: Vec<ChangedFile>) -> PullRequest {
        PullRequest {
            number,
            head_sha: format!("head{number}"),
            head_ref: "fix/it".into(),
            head_repository: Some((77, "fork/app".into())),
            base_sha: "base".into(),
            merge_base_sha: "old".into(),
            merge_commit_sha: Some(format!("merge{number}")),
            files,
            ..PullRequest::default()
        }
    }

    fn files(count: usize) -> Vec<ChangedFile> {
        (0..count).map(|at| ChangedFile::modified(&format!("src/{at}.rs"), "@@ -1 +1 @@\n-a\n+b")).collect()
    }

    fn send(github: &Github, method: &str, path: &str, body: &Value) -> Reply {
        let url = format!("{}/repos/octo/app/{path}", github.url());
        let body = if body.is_null() { String::new() } else { body.to_string() };
        request(method, &url, &[TOKEN], body).unwrap()
    }

    fn get(github: &Github, path: &str) -> Value {
        let reply = send(github, "GET", path, &Value::Null);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn numbers(list: &Value, key: &str) -> Vec<u64> {
        list.as_array().unwrap().iter().map(|each| each[key].as_u64().unwrap()).collect()
    }

    #[test]
    fn pull_requests_are_filtered_by_state_head_and_base() {
        let github = stub(Vec::new());
        github.add_pull_request("octo/app", pull_request(8, Vec::new()));
        let closed = PullRequest { state: "closed".into(), head_repository: None, ..pull_request(9, Vec::new()) };
        github.add_pull_request("octo/app", closed);
        let found = |query: &str| numbers(&get(&github, &format!("pulls?{query}")), "number");
        assert_eq!(found(""), [8, 7]);
        assert_eq!(found("state=open&head=Fork:fix%2Fit"), [8, 7]);
        assert_eq!(found("state=open&head=fork:it"), [0; 0]);
        assert_eq!(found("state=open&head=octo:fix/it"), [0; 0]);
        assert_eq!(found("state=all&per_page=2"), [9, 8]);
        assert_eq!(found("state=closed&base=main"), [9]);
        assert_eq!(found("head=without-owner"), [8, 7], "GitHub ignores a head without an owner");
        assert_eq!(get(&github, "pulls/9")["head"]["repo"], Value::Null, "a deleted fork");
        assert_eq!(get(&github, "pulls/7")["head"]["repo"]["id"], 77);
        assert_eq!(get(&github, "pulls/7")["base"]["repo"]["full_name"], "octo/App");
        assert_eq!(send(&github, "GET", "pulls/10", &Value::Null).status, 404);
    }

    #[test]
    fn at_most_3000_files_are_listed_in_linked_pages() {
        let github = stub(files(3100));
        let mut url = format!("{}/api/v3/repos/octo/app/pulls/7/files?per_page=100", github.url());
        let mut counts = Vec::new();
        loop {
            let reply = request("GET", &url, &[], "").unwrap();
            let page: Value = serde_json::from_slice(&reply.body).unwrap();
            counts.push(page.as_array().unwrap().len());
            let link = reply.header("link").unwrap();
            let Some((before, _)) = link.split_once(">; rel=\"next\"") else { break };
            url = before.rsplit('<').next().unwrap().to_owned();
            assert!(url.contains("/api/v3/repositories/1/pulls/7/files?per_page=100&page="), "{url}");
        }
        assert_eq!(counts, [100; 30]);
        assert_eq!(get(&github, "pulls/7")["changed_files"], 3100);
    }

    #[test]
    fn patches_are_missing_in_large_pages_or_for_ever() {
        let mut all = files(3);
        all[0].patch_in_pages_up_to = Some(2);
        all[1].patch = None;
        let github = stub(all);
        let has_patch = |query: &str| -> Vec<bool> {
            let page = get(&github, &format!("pulls/7/files?{query}"));
            page.as_array().unwrap().iter().map(|file| file.get("patch").is_some()).collect()
        };
        assert_eq!(has_patch("per_page=100"), [false, false, true]);
        assert_eq!(has_patch("per_page=2"), [true, false]);
        github.change_pull_request("octo/app", 7, |pull| pull.files[2].counts_in_pages_up_to = Some(1));
        assert_eq!(has_patch("per_page=3"), [false, false, false]);
        let file = &get(&github, "pulls/7/files?per_page=3")[2];
        assert_eq!((&file["additions"], &file["deletions"], &file["changes"]), (&json!(0), &json!(0), &json!(0)));
        let file = &get(&github, "pulls/7/files?per_page=1&page=3")[0];
        assert_eq!((&file["changes"], &file["status"]), (&json!(2), &json!("modified")));
        assert_eq!(file.get("previous_filename"), None);
    }

    #[test]
    fn comparisons_follow_from_pull_requests_or_are_set() {
        let github = stub(files(301));
        let own = get(&github, "compare/main...fork:fix%2Fit");
        assert_eq!((&own["merge_base_commit"]["sha"], &own["status"]), (&json!("old"), &json!("diverged")));
        assert_eq!(own["files"].as_array().unwrap().len(), 300);
        assert_eq!(get(&github, "compare/base...base")["status"], "identical");
        assert_eq!(get(&github, "compare/old...head7?page=2").get("files"), None, "only in the first page");
        github.change_pull_request("octo/app", 7, |pull| pull.merge_base_sha = "base".into());
        let behind = get(&github, "compare/head7...main");
        assert_eq!((&behind["status"], &behind["merge_base_commit"]["sha"]), (&json!("behind"), &json!("base")));
        github.change_pull_request("octo/app", 7, |pull| pull.merge_base_sha = "old".into());
        assert_eq!(send(&github, "GET", "compare/head7...main", &Value::Null).status, 404, "not set");
        let path = "compare/old...base";
        assert_eq!(send(&github, "GET", path, &Value::Null).status, 404, "not set");
        let set = Comparison { merge_base_sha: "old".into(), commits: vec!["base".into()], files: files(1) };
        github.set_compare("octo/app", "old", "base", set);
        let set = get(&github, path);
        assert_eq!((&set["status"], &set["files"][0]["filename"]), (&json!("ahead"), &json!("src/0.rs")));
    }

    #[test]
    fn the_merge_commit_has_base_and_head_as_parents() {
        let github = stub(files(2));
        for reference in ["merge7", "refs%2Fpull%2F7%2Fmerge", "pull/7/merge"] {
            let commit = get(&github, &format!("commits/{reference}"));
            let parents: Vec<_> = commit["parents"].as_array().unwrap().iter().map(|each| &each["sha"]).collect();
            assert_eq!((&commit["sha"], parents), (&json!("merge7"), vec![&json!("base"), &json!("head7")]));
            assert_eq!(commit["files"].as_array().unwrap().len(), 2);
        }
        let parents = &get(&github, "git/commits/merge7")["parents"];
        assert_eq!((&parents[0]["sha"], &parents[1]["sha"]), (&json!("base"), &json!("head7")));
        assert_eq!(send(&github, "GET", "git/commits/gone", &Value::Null).status, 404);
        let commit = Commit { sha: "merge7".into(), parents: vec!["new".into()], files: Vec::new() };
        github.add_commit("octo/app", commit);
        assert_eq!(get(&github, "commits/merge7")["parents"][0]["sha"], "new");
        let missing = send(&github, "GET", "commits/gone", &Value::Null);
        assert!(missing.status == 422 && missing.text().contains("No commit found for SHA: gone"));
    }

    #[test]
    fn a_force_push_changes_the_head() {
        let github = stub(Vec::new());
        github.change_pull_request("octo/app", 7, |pull_request| pull_request.head_sha = "pushed".into());
        assert_eq!(get(&github, "pulls/7")["head"]["sha"], "pushed");
        let status = send(&github, "POST", "statuses/head7", &json!({"state": "success"}));
        assert_eq!(status.status, 201, "GitHub keeps the old commit");
    }

    #[test]
    fn blobs_are_raw_or_base64() {
        let github = stub(Vec::new());
        let bytes: Vec<u8> = (0..=255).collect();
        let sha = blob_sha(&bytes);
        github.add_blob("octo/app", &sha, &bytes);
        let url = format!("{}/repos/octo/app/git/blobs/{sha}", github.url());
        let raw = request("GET", &url, &[TOKEN, ("accept", "application/vnd.github.raw+json")], "").unwrap();
        assert_eq!(raw.body, bytes);
        assert_eq!(raw.header("content-type"), Some("application/vnd.github.raw+json; charset=utf-8"));
        let blob = get(&github, &format!("git/blobs/{sha}"));
        assert_eq!((&blob["encoding"], &blob["size"]), (&json!("base64"), &json!(256)));
        assert_eq!(blob["content"].as_str().unwrap().lines().next().unwrap().len(), 60);
        assert_eq!(send(&github, "GET", "git/blobs/short", &Value::Null).status, 422);
        assert_eq!(send(&github, "GET", &format!("git/blobs/{}", "0".repeat(40)), &Value::Null).status, 404);
    }

    #[test]
    fn files_are_in_the_tree_of_their_commit() {
        let github = stub(Vec::new());
        let sha = github.add_file("octo/app", "base", "src/a b.rs", b"fn main() {}");
        github.add_file("octo/app", "base", "top.rs", b"");
        github.add_file("octo/app", "head7", "top.rs", b"x");
        let paths = |query: &str| -> Vec<(String, bool)> {
            let tree = get(&github, &format!("git/trees/{query}"));
            let entries = tree["tree"].as_array().unwrap().iter();
            let truncated = tree["truncated"] == true;
            entries.map(|entry| (entry["path"].as_str().unwrap().to_owned(), truncated)).collect()
        };
        let whole = ["src", "src/a b.rs", "top.rs"].map(|path| (path.to_owned(), false));
        assert_eq!(paths("base?recursive=1"), whole);
        assert_eq!(paths("main"), [whole[0].clone(), whole[2].clone()]);
        assert_eq!(get(&github, "git/trees/base?recursive=1")["tree"][1]["sha"], sha);
        github.truncate_trees("octo/app");
        assert_eq!(paths("base?recursive=1"), [("src".to_owned(), true)]);

        let content = |path: &str| {
            let url = format!("{}/repos/octo/app/contents/{path}", github.url());
            request("GET", &url, &[TOKEN, ("accept", "application/vnd.github.raw+json")], "").unwrap()
        };
        assert_eq!(content("src/a%20b.rs?ref=base").text(), "fn main() {}");
        assert_eq!(content("top.rs?ref=head7").text(), "x");
        assert_eq!(content("top.rs").text(), "");
        assert_eq!(content("other.rs?ref=base").status, 404);
        assert!(content("top.rs?ref=gone").text().contains("No commit found for the ref gone"));
    }

    #[test]
    fn faults_of_a_path_leave_other_requests_alone() {
        let github = stub(Vec::new());
        github.set_fault_at("/pulls", Fault::RateLimited);
        github.set_fault_at("/pulls/7/", Fault::Garbage);
        assert_eq!(send(&github, "GET", "pulls/7", &Value::Null).status, 403);
        assert_eq!(send(&github, "GET", "pulls/7/files", &Value::Null).text(), "<html>Unicorn!");
        assert_eq!(send(&github, "GET", "compare/base...base", &Value::Null).status, 200);
    }

    #[test]
    fn comments_are_created_updated_and_deleted() {
        let github = stub(Vec::new());
        let person = github.add_comment("octo/app", 7, Author::person("ann"), "Why?");
        let created = send(&github, "POST", "issues/7/comments", &json!({"body": "83.33%"}));
        assert_eq!(created.status, 201, "{}", created.text());
        let created: Value = serde_json::from_slice(&created.body).unwrap();
        assert_eq!(created["user"]["login"], "github-actions[bot]");
        assert_eq!((&created["user"]["type"], &created["user"]["id"]), (&json!("Bot"), &json!(41_898_282)));
        assert_eq!(created["performed_via_github_app"]["slug"], "github-actions");
        let list = get(&github, "issues/7/comments");
        assert_eq!(numbers(&list, "id"), [person, created["id"].as_u64().unwrap()]);
        assert_eq!(list[0]["performed_via_github_app"], Value::Null);

        let path = format!("issues/comments/{}", created["id"]);
        let updated = send(&github, "PATCH", &path, &json!({"body": "84%"}));
        assert_eq!(updated.status, 200);
        let comment = github.comments("octo/app", 7).pop().unwrap();
        assert!(comment.body == "84%" && comment.updated_at > comment.created_at, "{comment:?}");
        github.edit_comment("octo/app", comment.id, "mine");
        assert_eq!(get(&github, &path)["body"], "mine");
        assert_eq!(send(&github, "DELETE", &path, &Value::Null).status, 204);
        assert_eq!(send(&github, "PATCH", &path, &json!({"body": "85%"})).status, 404);
        assert_eq!(github.comments("octo/app", 7).len(), 1);
    }

    #[test]
    fn the_viewer_is_the_author_of_new_comments() {
        let github = stub(Vec::new());
        let login = || {
            let body = json!({"query": "{ viewer { login } }"}).to_string();
            let reply = request("POST", &format!("{}/graphql", github.url()), &[TOKEN], body).unwrap();
            serde_json::from_slice::<Value>(&reply.body).unwrap()["data"]["viewer"]["login"].clone()
        };
        assert_eq!(login(), "github-actions[bot]");
        github.set_author(Author::person("ann"));
        assert_eq!(login(), "ann");
        let created = send(&github, "POST", "issues/7/comments", &json!({"body": "83.33%"}));
        assert!(created.status == 201 && created.text().contains(r#""login":"ann""#), "{}", created.text());
    }

    #[test]
    fn comments_have_githubs_limits() {
        let comments = (0..300).map(|at| Comment::new(Author::person("ann"), &format!("{at}"))).collect();
        let github = Github::start();
        github.add_repository("octo/app", "main");
        github.add_pull_request("octo/app", PullRequest { comments, ..pull_request(7, Vec::new()) });
        assert_eq!(get(&github, "issues/7/comments").as_array().unwrap().len(), 30);
        assert_eq!(get(&github, "issues/7/comments?per_page=100&page=3")[99]["body"], "299");
        assert_eq!(get(&github, "issues/7/comments?per_page=100&page=4"), json!([]));
        let post = |body: &str| send(&github, "POST", "issues/7/comments", &json!({"body": body}));
        assert_eq!(post(&"é".repeat(65_536)).status, 201);
        let refused = post(&"x".repeat(65_537));
        assert!(refused.status == 422 && refused.text().contains("Body is too long (maximum is 65536 characters)"));
        assert_eq!(post(" ").status, 422);
        assert_eq!(send(&github, "POST", "issues/8/comments", &json!({"body": "x"})).status, 404);
        github.change_pull_request("octo/app", 7, |pull_request| pull_request.locked = true);
        assert_eq!(post("x").status, 403);
    }

    #[test]
    fn check_runs_collect_at_most_50_annotations_per_request() {
        let github = stub(Vec::new());
        let annotation = json!({"path": "a", "start_line": 1, "end_line": 2, "annotation_level": "notice",
            "message": "not covered"});
        let with = |count: usize| {
            let output = json!({"title": "t", "summary": "s", "annotations": vec![annotation.clone(); count]});
            json!({"name": "covered/patch", "head_sha": "head7", "conclusion": "neutral", "output": output})
        };
        let refused = send(&github, "POST", "check-runs", &with(51));
        assert_eq!(refused.status, 422);
        assert!(refused.text().contains("No more than 50 items are allowed; 51 were supplied."));
        assert_eq!(send(&github, "POST", "check-runs", &with(50)).status, 201);
        let run = github.check_runs("octo/app").remove(0);
        assert_eq!((run.status.as_str(), run.annotations.len()), ("completed", 50));
        let path = format!("check-runs/{}", run.id);
        assert_eq!(send(&github, "PATCH", &path, &with(10)).status, 200);
        assert_eq!(github.check_runs("octo/app")[0].annotations.len(), 60);
        for wrong in [
            json!({"head_sha": "head7"}),
            json!({"name": "a", "head_sha": "gone"}),
            json!({"name": "a", "head_sha": "head7", "status": "completed"}),
            json!({"name": "a", "head_sha": "head7", "conclusion": "green"}),
            json!({"name": "a", "head_sha": "head7", "output": {"title": "t"}}),
        ] {
            assert_eq!(send(&github, "POST", "check-runs", &wrong).status, 422, "{wrong}");
        }
        assert_eq!(github.check_runs("octo/app").len(), 1);
    }

    #[test]
    fn calls_without_permission_are_refused_as_github_does() {
        let github = stub(Vec::new());
        let body = json!({"body": "x"});
        let run = json!({"name": "a", "head_sha": "head7"});
        let calls = [
            ("GET", "pulls/7/files", Value::Null, Permission::PullRequestsRead),
            ("GET", "compare/base...base", Value::Null, Permission::ContentsRead),
            ("GET", "issues/7/comments", Value::Null, Permission::IssuesRead),
            ("POST", "issues/7/comments", body.clone(), Permission::PullRequestsWrite),
            ("POST", "issues/7/comments", body, Permission::IssuesWrite),
            ("POST", "check-runs", run, Permission::ChecksWrite),
            ("POST", "statuses/head7", json!({"state": "success"}), Permission::StatusesWrite),
        ];
        for is_private in [false, true] {
            if is_private {
                github.set_private("octo/app");
            }
            for (method, path, body, permission) in &calls {
                github.allow(&[]);
                let refused = send(&github, method, path, body);
                let expected = match (*method, permission) {
                    ("GET", _) if !is_private => 200,
                    (_, Permission::ContentsRead) => 404,
                    _ => 403,
                };
                assert_eq!(refused.status, expected, "{method} {path}");
                if expected == 403 {
                    assert!(refused.text().contains("Resource not accessible by integration"));
                    assert!(refused.header("x-accepted-github-permissions").is_some());
                }
                github.allow(&[*permission]);
                assert!(send(&github, method, path, body).status < 300, "{method} {path}");
            }
        }
        let url = format!("{}/repos/octo/app", github.url());
        assert_eq!(request("GET", &format!("{url}/pulls"), &[], "").unwrap().status, 404, "private, no token");
        assert_eq!(request("POST", &format!("{url}/check-runs"), &[], "{}").unwrap().status, 401);
    }
}
