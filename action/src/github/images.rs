//! Finds badges in a README's HTML. GitHub keeps an image's address in `data-canonical-src`, and its cache's in `src`.

use std::collections::HashSet;

use ureq::http::Uri;

/// The addresses of `badges` in GitHub's cache, without duplicates.
pub fn find(html: &str, badges: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut known = HashSet::new();
    for tag in html.split('<').filter_map(|tag| tag.strip_prefix("img")) {
        let attributes = attributes(tag);
        let value = |name| attributes.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let (Some(cached), Some(source)) = (value("src"), value("data-canonical-src")) else { continue };
        let address = source.split(['?', '#']).next().unwrap_or_default();
        if badges.iter().any(|badge| badge.eq_ignore_ascii_case(address)) && known.insert(cached.clone()) {
            found.push(cached.clone());
        }
    }
    found
}

/// Whether `url` is GitHub's image cache, so that a README cannot make the run send requests elsewhere. An Enterprise
/// server has it at `camo.` before its name, or at a path of its own.
pub fn is_cache(url: &str, server: &str, api: &str) -> bool {
    let Some(host) = host(url) else { return false };
    host == "camo.githubusercontent.com"
        || [server, api].into_iter().filter_map(self::host).any(|own| host == own)
        || self::host(server).is_some_and(|own| host.strip_prefix("camo.") == Some(&own))
}

/// Host and port.
fn host(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority().filter(|authority| is_http && !authority.as_str().contains('@'))?;
    Some(authority.as_str().to_ascii_lowercase())
}

/// Parses the attributes of a tag, after its name: in any order, quoted or not; entities are decoded.
fn attributes(tag: &str) -> Vec<(&str, String)> {
    let mut attributes = Vec::new();
    let mut rest = tag;
    loop {
        rest = rest.trim_start_matches(|letter: char| letter.is_ascii_whitespace() || letter == '/');
        let end =
            rest.find(|letter: char| letter.is_ascii_whitespace() || "=>/".contains(letter)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() {
            return attributes;
        }
        let Some(value) = after.trim_start().strip_prefix('=') else {
            rest = after;
            continue;
        };
        let (value, after) = split_value(value.trim_start());
        attributes.push((name, decode(value)));
        rest = after;
    }
}

fn split_value(text: &str) -> (&str, &str) {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => text[1..].split_once(quote).unwrap_or((&text[1..], "")),
        _ => {
            text.split_at(text.find(|letter: char| letter.is_ascii_whitespace() || letter == '>').unwrap_or(text.len()))
        }
    }
}

/// Decodes the entities that an address can contain.
fn decode(text: &str) -> String {
    let entities = [
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ];
    entities.iter().fold(text.to_owned(), |text, (entity, letter)| text.replace(entity, letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(html: &str) -> Vec<String> {
        find(html, &["https://covered.example.com/badge/octo/app.svg".to_owned()])
    }

    const CAMO: &str = "https://camo.githubusercontent.com";

    #[test]
    fn badges_are_found_with_any_attribute_order_and_quoting() {
        let html = format!(
            r#"<p><a href="x"><img alt="a > b" src="{CAMO}/1" data-canonical-src="https://covered.example.com/badge/octo/app.svg" style="max-width: 100%;"></a>
            <img data-canonical-src='https://covered.example.com/badge/Octo/App.svg?name=a&amp;style=flat' src='{CAMO}/2' />
            <img src={CAMO}/3 data-canonical-src=https://covered.example.com/badge/octo/app.svg>
            <img
              src="{CAMO}/1" hidden data-canonical-src="https://covered.example.com/badge/octo/app.svg#x"></p>"#
        );
        assert_eq!(found(&html), [1, 2, 3].map(|number| format!("{CAMO}/{number}")));
    }

    #[test]
    fn entities_in_the_image_caches_url_are_decoded() {
        let html = format!(
            r#"<img src="{CAMO}/1?a=1&amp;b=2" data-canonical-src="https://covered.example.com/badge/octo/app.svg">"#
        );
        assert_eq!(found(&html), [format!("{CAMO}/1?a=1&b=2")]);
    }

    #[test]
    fn other_images_are_ignored() {
        for source in [
            "https://covered.example.com/badge/octo/app2.svg",
            "https://covered.example.com/badge/octo/app.svg/x",
            "https://covered.example.com.evil.example/badge/octo/app.svg",
            "https://example.com/?u=https://covered.example.com/badge/octo/app.svg",
        ] {
            assert!(found(&format!(r#"<img src="{CAMO}/1" data-canonical-src="{source}">"#)).is_empty(), "{source}");
        }
        assert!(found("data-canonical-src=\"https://covered.example.com/badge/octo/app.svg\" <img src='x'").is_empty());
        for broken in
            ["<img", "<img ", "<img =", "<img src=\"", "<img src='x\" data-canonical-src=", "<img é=\u{1f600}"]
        {
            assert!(found(broken).is_empty(), "{broken}");
        }
    }

    #[test]
    fn only_githubs_image_cache_is_accepted() {
        let public = |url| is_cache(url, "https://github.com", "https://api.github.com");
        assert!(public("https://camo.githubusercontent.com/abc/def"));
        for url in [
            "https://camo.githubusercontent.com.evil.example/",
            "https://camo.githubusercontent.com@evil.example/",
            "https://camo.githubusercontent.com:8443/",
            "https://evil.example/",
            "file://camo.githubusercontent.com/",
            "/camo",
        ] {
            assert!(!public(url), "{url}");
        }
        let enterprise = |url| is_cache(url, "https://ghe.example.com", "https://ghe.example.com/api/v3");
        assert!(enterprise("https://camo.ghe.example.com/abc"));
        assert!(enterprise("https://GHE.example.com/camo/abc"));
        assert!(!enterprise("https://ghe.example.com:8080/"));
    }
}
