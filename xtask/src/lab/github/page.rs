//! Query parameters, and the pages of GitHub's lists with their `Link` header.

/// GitHub's default and maximum number of entries in a page.
pub const DEFAULT_SIZE: usize = 30;
const MAX_SIZE: usize = 100;

/// The decoded parameters of a URL.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses what follows the question mark of a path.
    pub fn of(path: &str) -> Query {
        let query = path.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(&value.replace('+', " ")))
        });
        Query(pairs.collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The same parameters with another page, encoded.
    fn with_page(&self, page: usize) -> String {
        let others = self.0.iter().filter(|(key, _)| key != "page");
        let others = others.map(|(key, value)| format!("{}={}", encode(key, ""), encode(value, "")));
        others.chain([format!("page={page}")]).collect::<Vec<_>>().join("&")
    }
}

/// Decodes `%2F`; keeps what is not a valid escape sequence.
pub fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some(first) = rest.first() {
        let hex = rest.get(1..3).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escaped.unwrap_or(*first));
        rest = &rest[if escaped.is_some() { 3 } else { 1 }..];
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Encodes everything except letters, digits, `-._~` and the characters in `keep`.
pub fn encode(text: &str, keep: &str) -> String {
    let encoded = text.bytes().map(|byte| {
        let is_kept = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.as_bytes().contains(&byte);
        if is_kept { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    });
    encoded.collect()
}

/// A page of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    number: usize,
    size: usize,
}

impl Page {
    /// The requested page; as GitHub, takes the default for what is not a positive number, and limits the size.
    pub fn of(query: &Query, default_size: usize) -> Page {
        let number = |name: &str| query.get(name).and_then(|value| value.parse().ok()).filter(|number| *number > 0);
        let size = number("per_page").map_or(default_size, |size: usize| size.min(MAX_SIZE));
        Page { number: number("page").unwrap_or(1), size }
    }

    pub fn is_first(self) -> bool {
        self.number == 1
    }

    /// The entries of this page.
    pub fn entries<T>(self, all: &[T]) -> &[T] {
        let start = (self.number - 1).saturating_mul(self.size).min(all.len());
        &all[start..all.len().min(start.saturating_add(self.size))]
    }

    /// The `Link` header; `None` if everything is in one page.
    pub fn link(self, url: &str, query: &Query, total: usize) -> Option<String> {
        let last = total.div_ceil(self.size).max(1);
        let mut links = Vec::new();
        if self.number > 1 {
            links.push(("prev", (self.number - 1).min(last)));
        }
        if self.number < last {
            links.extend([("next", self.number + 1), ("last", last)]);
        }
        if self.number > 1 {
            links.push(("first", 1));
        }
        let links = links.iter().map(|(rel, page)| format!("<{url}?{}>; rel=\"{rel}\"", query.with_page(*page)));
        Some(links.collect::<Vec<_>>().join(", ")).filter(|links| !links.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_other_pages() {
        let link = |path: &str, total| {
            let query = Query::of(path);
            Page::of(&query, DEFAULT_SIZE).link("u", &query, total)
        };
        assert_eq!(link("/x?per_page=10", 10), None);
        let first = "<u?per_page=10&page=2>; rel=\"next\", <u?per_page=10&page=3>; rel=\"last\"";
        assert_eq!(link("/x?per_page=10", 21).as_deref(), Some(first));
        let middle =
            "<u?page=1>; rel=\"prev\", <u?page=3>; rel=\"next\", <u?page=3>; rel=\"last\", <u?page=1>; rel=\"first\"";
        assert_eq!(link("/x?page=2", 61).as_deref(), Some(middle));
        assert_eq!(link("/x?page=3", 61).as_deref(), Some("<u?page=2>; rel=\"prev\", <u?page=1>; rel=\"first\""));
        assert!(link("/x?head=o%3Aa%2Fb", 31).unwrap().contains("<u?head=o%3Aa%2Fb&page=2>"));
    }

    #[test]
    fn pages_have_githubs_limits() {
        let all: Vec<usize> = (0..250).collect();
        let entries = |path: &str| {
            let found = Page::of(&Query::of(path), DEFAULT_SIZE).entries(&all);
            (found.len(), found.first().copied())
        };
        assert_eq!(entries("/x"), (30, Some(0)));
        assert_eq!(entries("/x?per_page=500&page=3"), (50, Some(200)));
        assert_eq!(entries("/x?per_page=0&page=0"), (30, Some(0)));
        assert_eq!(entries("/x?page=100"), (0, None));
    }

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(decode("a%2Fb%252F%zz%"), "a/b%2F%zz%");
        assert_eq!(encode("a/ü b", "/"), "a/%C3%BC%20b");
        assert_eq!(Query::of("/x?q=a+b%2B").get("q"), Some("a b+"));
    }
}
