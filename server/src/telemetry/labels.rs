//! The labels of the metrics. Each has a few fixed values.

use hyper::StatusCode;

/// The status codes that this server sends. Others are counted by class, such as `5xx`.
const CODES: [u16; 22] =
    [200, 201, 206, 304, 307, 400, 401, 403, 404, 405, 408, 409, 413, 416, 422, 429, 500, 501, 502, 503, 504, 507];

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident, $label:literal, { $($variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($variant,)* }

        impl Label for $name {
            const NAME: &'static str = $label;
            const TEXTS: &'static [&'static str] = &[$($text,)*];
            fn index(self) -> usize { self as usize }
        }
    };
}

/// The values of one label, as an enum.
pub trait Label: Copy {
    const NAME: &'static str;
    const TEXTS: &'static [&'static str];
    fn index(self) -> usize;
}

labels! {
    /// The routes.
    RouteLabel, "route", {
        Home => "home", Healthz => "healthz", Readyz => "readyz", Robots => "robots", CreateSite => "create-site",
        Invalidate => "invalidate-cache", Upload => "upload", Site => "site", File => "file", Badge => "badge",
        Redirect => "badge-redirect", Unknown => "unknown",
    }
}
labels! {
    /// The source of a report's file, or why it was not sent.
    Served, "result", {
        Memory => "memory", Store => "store", Stream => "stream", ByFile => "by_file", NotModified => "not_modified",
        Missing => "missing",
    }
}
labels! {
    /// The content encoding of the response.
    Encoding, "encoding", { Gzip => "gzip", Identity => "identity", None => "none", }
}
labels! {
    /// The kind of an upload.
    UploadKind, "kind", { Zip => "zip", Files => "files", }
}
labels! {
    /// The progress of an upload; direct uploads to the store count as opened only.
    UploadEvent, "event", { Opened => "opened", Completed => "completed", Refused => "refused", }
}
labels! {
    /// The caches.
    CacheLabel, "cache", { Index => "index", File => "file", Value => "value", Redis => "redis", }
}
labels! {
    /// The result of a cache look-up.
    Lookup, "result", { Hit => "hit", Stale => "stale", Miss => "miss", Error => "error", }
}
impl Lookup {
    /// `was_fetched`: whether the look-up needed a request to the source.
    pub fn of<T, E>(found: &Result<T, E>, was_fetched: bool) -> Self {
        match found {
            Ok(_) if was_fetched => Self::Miss,
            Ok(_) => Self::Hit,
            Err(_) => Self::Error,
        }
    }
}

labels! {
    /// Whether a badge's value was known.
    BadgeResult, "found", { Value => "value", Unknown => "unknown", }
}
labels! {
    /// The result of a look-up on GitHub; `not_asked`: backing off, no request was sent.
    GitHubResult, "result", {
        Ok => "ok", Failed => "failed", Timeout => "timeout", NotAsked => "not_asked",
    }
}
labels! {
    /// The result of a request with an OIDC token.
    KeylessResult, "result", {
        Ok => "ok", Refused => "refused", Forbidden => "forbidden", Failed => "failed",
    }
}
impl KeylessResult {
    /// By the status code of the error.
    pub fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Refused,
            StatusCode::FORBIDDEN => Self::Forbidden,
            _ => Self::Failed,
        }
    }
}

labels! {
    /// The result of a request for an issuer's keys.
    IssuerResult, "result", { Ok => "ok", Failed => "failed", }
}
labels! {
    /// The operations of the store.
    Operation, "operation", {
        Put => "put", Multipart => "multipart", Get => "get", Head => "head", Delete => "delete", List => "list",
        Copy => "copy", Rename => "rename",
    }
}
labels! {
    /// The result of an operation of the store.
    StoreResult, "result", {
        Ok => "ok", NotFound => "not_found", Exists => "exists", NotModified => "not_modified", Error => "error",
    }
}

labels! {
    /// No second label.
    NoLabel, "", { None => "", }
}

/// A status code: its index in [`CODES`], or the index of its class after them.
#[derive(Clone, Copy)]
pub struct Code(pub u16);

impl Label for Code {
    const NAME: &'static str = "code";
    const TEXTS: &'static [&'static str] = &[
        "200", "201", "206", "304", "307", "400", "401", "403", "404", "405", "408", "409", "413", "416", "422", "429",
        "500", "501", "502", "503", "504", "507", "1xx", "2xx", "3xx", "4xx", "5xx",
    ];

    fn index(self) -> usize {
        let class = || CODES.len() + usize::from(self.0 / 100).clamp(1, 5) - 1;
        CODES.iter().position(|code| *code == self.0).unwrap_or_else(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_codes_map_to_their_metric_labels() {
        for code in CODES {
            assert_eq!(Code::TEXTS[Code(code).index()], code.to_string());
        }
        for (code, class) in [(100, "1xx"), (204, "2xx"), (308, "3xx"), (418, "4xx"), (599, "5xx")] {
            assert_eq!(Code::TEXTS[Code(code).index()], class);
        }
    }
}
