//! Describes the keys in `API_KEY` for the operator: number, repositories and likely mistakes. Never a key itself.

use super::{ApiKey, ApiKeys};

/// A shorter key could be guessed.
const MIN_LENGTH: usize = 16;

impl ApiKeys {
    /// Such as `2 keys: one for all repositories, one for octo/*`.
    pub fn scopes(&self) -> String {
        let summary = match self.keys.as_slice() {
            [key] => format!("1 key, for {}", key.scope()),
            keys => {
                let scopes: Vec<String> = keys.iter().map(ApiKey::scope).collect();
                match scopes.iter().all(|scope| *scope == scopes[0]) {
                    true => format!("{} keys, each for {}", keys.len(), scopes[0]),
                    false => format!("{} keys: one for {}", keys.len(), scopes.join(", one for ")),
                }
            }
        };
        // The Python original accepted only this key.
        let whole =
            self.whole.as_ref().map_or("", |_| "; the whole text, with commas, is also a key for all repositories");
        format!("{summary}{whole}")
    }

    /// Warnings about likely mistakes, by the key's position in the list.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (position, key) in (1..).zip(&self.keys) {
            let text = key.secret.expose();
            if text.len() < MIN_LENGTH {
                warnings.push(format!(
                    "API_KEY: key {position} has fewer than {MIN_LENGTH} characters and could be guessed: create one with \
                     `openssl rand -hex 24`"
                ));
            }
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(',') {
                warnings.push(
                    "API_KEY is a single key, as it contains white space or a quote: without them, commas separate \
                     keys"
                        .to_owned(),
                );
            }
            // In Base64, `=` is at the end.
            let follows = text.rsplit_once('=').is_some_and(|(_, behind)| !behind.is_empty());
            if follows && key.repositories.is_empty() {
                warnings.push(format!(
                    "API_KEY: key {position} is valid for all repositories, and the text after its last = is part of the key: to \
                     restrict it to repositories, write KEY=owner/*|owner/name"
                ));
            }
        }
        warnings
    }
}

impl ApiKey {
    fn scope(&self) -> String {
        let rules: Vec<String> = self.repositories.iter().map(ToString::to_string).collect();
        if rules.is_empty() { "all repositories".to_owned() } else { rules.join("|") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_keys_without_showing_them() {
        for (keys, summary) in [
            ("0123456789abcdef", "1 key, for all repositories"),
            ("correct horse", "1 key, for all repositories"),
            (
                "hunter2,hunter3",
                "2 keys, each for all repositories; the whole text, with commas, is also a key for all repositories",
            ),
            ("hunter2\nhunter3", "2 keys, each for all repositories"),
            (
                "hunter2,hunter3=Octo/*,hunter4=octo/app|acme/*",
                "3 keys: one for all repositories, one for octo/*, one for octo/app|acme/*",
            ),
        ] {
            assert_eq!(ApiKeys::parse(keys).unwrap().scopes(), summary);
        }
    }

    #[test]
    fn invalid_scopes_and_short_keys_cause_warnings() {
        let good = "0123456789abcdef";
        for (scope, has_warning) in [
            ("", false),
            ("=", false),
            ("==", false),
            ("=octo/*", false),
            ("==octo/app", false),
            ("=octo", true),
            ("=octo/", true),
            ("=octo/*/", true),
            ("=octo/app/*|acme", true),
        ] {
            let warnings = ApiKeys::parse(&format!("first-of-the-keys,{good}{scope}")).unwrap().warnings();
            assert_eq!(warnings.len(), usize::from(has_warning), "{scope}: {warnings:?}");
            assert!(
                warnings.iter().all(|warning| warning.contains("key 2 is valid for all") && !warning.contains(good)),
                "{warnings:?}"
            );
        }
        for one in ["correct horse battery staple", "0123456789abcdef,\"hunter2", "0123456789abcdef, hunter2 3"] {
            let warnings = ApiKeys::parse(one).unwrap().warnings();
            assert!(warnings.len() == 1 && warnings[0].starts_with("API_KEY is a single key"), "{warnings:?}");
        }
        let warnings = ApiKeys::parse("hunter2=octo/*").unwrap().warnings();
        assert!(
            warnings.len() == 1 && warnings[0].contains("key 1 has fewer than 16") && !warnings[0].contains("hunter"),
            "{warnings:?}"
        );
    }
}
