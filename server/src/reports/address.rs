//! The addresses of reports, below the server's address or each on a host of its own (`REPORT_HOST`), and the
//! Content-Security-Policy for them.

mod links;

use std::str::FromStr;
use std::sync::OnceLock;

use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use url::{Host, Url};

use crate::names::site::SiteId;
use crate::names::url::is_loopback;

/// `REPORT_HOST`: `*.reports.example.net`, with scheme and port if they differ from `PUBLIC_URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportHost {
    scheme: Option<String>,
    /// The part after the site's ID: `.reports.example.net`.
    suffix: String,
    port: Option<u16>,
}

impl FromStr for ReportHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a valid host pattern: write *.reports.example.net, with :PORT behind it or \
                 https:// before it where they are not those of PUBLIC_URL"
            )
        };
        let (scheme, host) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), host)) => (Some(scheme.to_owned()), host),
            Some(_) => return Err(wrong()),
            None => (None, text),
        };
        let domain = host.strip_prefix("*.").ok_or_else(wrong)?;
        // `Url` drops a scheme's default port, so parse with a scheme that has none.
        let url = Url::parse(&format!("covered://{domain}")).map_err(|_| wrong())?;
        let domain =
            url.host_str().map(str::to_ascii_lowercase).filter(|domain| is_domain(domain)).ok_or_else(wrong)?;
        // Browsers treat a host that ends in a number as an IP address, which has no subdomains.
        if domain.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(format!("{text:?} has an IP address after *.: use a domain name"));
        }
        let bare = url.path().is_empty() && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong());
        }
        Ok(Self { scheme, suffix: format!(".{domain}"), port: url.port() })
    }
}

impl ReportHost {
    /// Warns if cookies of a report's script reach the server or other services.
    pub fn warning(&self, public_url: &Url) -> Option<String> {
        let Some(Host::Domain(public)) = public_url.host() else { return None };
        let reports = self.suffix.trim_start_matches('.');
        let below = |host: &str, domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
        let shared = if below(reports, public) { Some(public) } else { registrable(reports) };
        let shared = shared.filter(|domain| below(public, domain))?;
        Some(format!(
            "REPORT_HOST *.{reports} and PUBLIC_URL are both below {shared}: scripts of reports can set cookies for it; \
             use a domain for reports only"
        ))
    }
}

/// A guess of the registrable domain: `example.com`, `example.co.uk`.
fn registrable(domain: &str) -> Option<&str> {
    let dots: Vec<usize> = domain.rmatch_indices('.').map(|(at, _)| at).collect();
    let (last, start) = (dots.first()?, dots.get(1).map_or(0, |at| at + 1));
    let is_country = domain.len() - last == 3;
    if is_country && last - start <= 3 {
        // `co.uk` alone is not registrable.
        return (start > 0).then(|| &domain[dots.get(2).map_or(0, |at| at + 1)..]);
    }
    Some(&domain[start..])
}

fn is_domain(text: &str) -> bool {
    let letters = |label: &str| label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    // A name has 253 characters at most, and a site's ID is added.
    text.len() <= 220 && text.split('.').all(|label| !label.is_empty() && label.len() <= 63 && letters(label))
}

/// The addresses of the reports.
#[derive(Debug)]
pub struct Reports {
    /// The public address without a trailing slash, and its path.
    public_url: String,
    base_path: String,
    /// Host and port of that address.
    public_authority: String,
    /// Set if each report has a host of its own.
    own_host: Option<OwnHost>,
    /// Addresses that the server had before: `FORMER_URLS`.
    former_urls: Vec<Url>,
    trustworthy: bool,
}

/// The parts of a report's address around the site's ID.
#[derive(Debug)]
struct OwnHost {
    /// `https://`
    scheme_prefix: String,
    /// `.reports.example.net`
    suffix: String,
    /// `suffix` with the port and a trailing slash.
    suffix_with_port: String,
}

/// A report at the address that a request used.
#[derive(Debug)]
pub struct ReportLocation<'a> {
    pub site: SiteId,
    reports: &'a Reports,
    /// Whether the report is on a host of its own, and not below the server's address.
    is_on_own_host: bool,
    /// The request's authority.
    authority: Option<&'a str>,
    /// The request's authority if it is not the public address.
    other_authority: Option<&'a str>,
}

impl ReportLocation<'_> {
    /// The path of the report's root for the browser, with a trailing slash.
    pub fn root(&self) -> String {
        if self.is_on_own_host { "/".to_owned() } else { self.reports.below_base(&self.site) }
    }

    /// The Content-Security-Policy of its files.
    pub fn policy(&self) -> HeaderValue {
        if self.is_on_own_host {
            return policy("'self'");
        }
        let Reports { public_authority, base_path, .. } = self.reports;
        let root = self.root();
        // Allow the public address, in case a proxy changes the host, and the address of the request.
        let mut own = source(public_authority, &root);
        let without_base = root.strip_prefix(base_path).filter(|_| !base_path.is_empty());
        let other_authority = self.other_authority.map(|authority| source(authority, &root));
        let authority = self.authority.map(|_| self.other_authority.unwrap_or(public_authority));
        let below_base = authority.zip(without_base).map(|(authority, root)| source(authority, root));
        for more in [other_authority, below_base].into_iter().flatten() {
            own = [&own, " ", &more].concat();
        }
        policy(&own)
    }

    /// [`Self::policy`], cached for requests to the public address, which are nearly all.
    pub fn cached_policy(&self, cached: &OnceLock<HeaderValue>) -> HeaderValue {
        let is_usual = self.is_on_own_host || (self.authority.is_some() && self.is_shared());
        if is_usual { cached.get_or_init(|| self.policy()).clone() } else { self.policy() }
    }

    /// Whether the policy is the same for all clients. Otherwise it contains the host of the request, which the client
    /// chooses, so shared caches must not store the response.
    pub fn is_shared(&self) -> bool {
        self.other_authority.is_none()
    }
}

impl Reports {
    /// `public_url`: without a trailing slash.
    pub fn new(public_url: &str, report_host: Option<&ReportHost>) -> Self {
        let url = Url::parse(public_url).ok();
        let base_path = url.as_ref().map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
        let own_host = report_host.map(|host| {
            let scheme = host.scheme.as_deref().or(url.as_ref().map(Url::scheme)).unwrap_or("https");
            let port = host.port.or(url.as_ref().and_then(Url::port).filter(|_| host.scheme.is_none()));
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let suffix = host.suffix.clone();
            OwnHost { scheme_prefix: format!("{scheme}://"), suffix_with_port: format!("{suffix}{port}/"), suffix }
        });
        let trustworthy = url.as_ref().is_some_and(is_trustworthy);
        let authority = public_url.split_once("://").map_or("", |(_, rest)| rest);
        let public_authority = authority.strip_suffix(&base_path).unwrap_or(authority).to_owned();
        let former_urls = Vec::new();
        Self { public_url: public_url.to_owned(), base_path, public_authority, own_host, former_urls, trustworthy }
    }

    /// Adds former addresses of this server or of the Python original.
    pub fn with_former_urls(mut self, urls: &[Url]) -> Self {
        self.former_urls = urls.to_vec();
        self
    }

    /// Whether all reports share the server's origin.
    pub fn share_an_origin(&self) -> bool {
        self.own_host.is_none()
    }

    /// A report's URL, with a trailing slash.
    pub fn url(&self, site: &SiteId) -> String {
        match &self.own_host {
            Some(OwnHost { scheme_prefix, suffix_with_port, .. }) => format!("{scheme_prefix}{site}{suffix_with_port}"),
            None => format!("{}/coverage/{site}/", self.public_url),
        }
    }

    /// The target of a redirect to a report, relative if possible, to stay on the host of the request.
    pub fn location(&self, site: &SiteId) -> String {
        match &self.own_host {
            Some(_) => self.url(site),
            None => self.below_base(site),
        }
    }

    fn below_base(&self, site: &SiteId) -> String {
        format!("{}/coverage/{site}/", self.base_path)
    }

    /// The site of the host in a request.
    pub fn site_at<'a>(&self, authority: impl FnOnce() -> Option<&'a str>) -> Option<SiteId> {
        let own = self.own_host.as_ref()?;
        let authority = authority()?;
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        host.strip_suffix(&own.suffix)?.parse().ok()
    }

    /// A report that was requested on its own host.
    pub fn on_own_host(&self, site: SiteId) -> ReportLocation<'_> {
        ReportLocation { site, reports: self, is_on_own_host: true, authority: None, other_authority: None }
    }

    /// A report that was requested below the server's address. `authority`: the request's authority.
    pub fn below<'a>(&'a self, site: SiteId, authority: Option<&'a str>) -> ReportLocation<'a> {
        let is_public = |authority: &str| authority.eq_ignore_ascii_case(&self.public_authority);
        let other_authority = authority.filter(|authority| !is_public(authority));
        ReportLocation { site, reports: self, is_on_own_host: false, authority, other_authority }
    }

    /// Whether the public address is a trustworthy origin for browsers.
    pub fn are_trustworthy(&self) -> bool {
        self.trustworthy
    }
}

/// Whether browsers treat a URL as trustworthy: https or localhost.
pub fn is_trustworthy(url: &Url) -> bool {
    let is_below_localhost = url.domain().is_some_and(|domain| domain.ends_with(".localhost"));
    url.scheme() == "https" || is_loopback(url) || is_below_localhost
}

/// The authority of a request, from HTTP/2 or the Host header.
pub fn authority(head: &Parts) -> Option<&str> {
    let host_header = || head.headers.get(HOST).and_then(|host| host.to_str().ok());
    head.uri.authority().map(|authority| authority.as_str()).or_else(host_header)
}

/// A source of a Content-Security-Policy: everything below a path on one host, with any scheme. Other authorities allow
/// the whole origin.
fn source(authority: &str, root: &str) -> String {
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "0"));
    let fits = is_domain(host) && port.parse::<u16>().is_ok();
    if fits { [authority, root].concat() } else { "'self'".to_owned() }
}

/// Restricts a report's scripts to the report's files. Inline scripts, also as the action of a form, and `eval` are
/// allowed, as coverage tools use them.
fn policy(own: &str) -> HeaderValue {
    let any = " data: blob: 'unsafe-inline' 'unsafe-eval'; worker-src 'none'; object-src 'none'; base-uri ";
    // `concat` is faster than `format!`, and needs one allocation for each file that is sent.
    let text = ["default-src ", own, any, own, "; form-action ", own, " javascript:; frame-ancestors 'self'"].concat();
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn reports(public_url: &str, host: &str) -> Reports {
        Reports::new(public_url, Some(&host.parse().unwrap()))
    }

    fn site() -> SiteId {
        ID.parse().unwrap()
    }

    #[test]
    fn report_hosts_must_be_a_wildcard_with_an_optional_port() {
        for (text, url) in [
            ("*.Reports.example.net", "https://ID.reports.example.net:8443/"),
            ("*.reports.example.net:443", "https://ID.reports.example.net:443/"),
            ("http://*.localhost", "http://ID.localhost/"),
            ("http://*.localhost:8000", "http://ID.localhost:8000/"),
        ] {
            assert_eq!(reports("https://covered.example.com:8443", text).url(&site()), url.replace("ID", ID));
        }
        for wrong in [
            "reports.example.net",
            "*",
            "*.",
            "*.a/b",
            "*.a?b",
            "*.u@a",
            "*.a:b",
            "ftp://*.a",
            "*.*.a",
            "*.[::1]",
            "*.a b",
            "*.a..b",
            "https://*.127.0.0.1",
            "*.0x7f.1",
        ] {
            assert!(wrong.parse::<ReportHost>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn site_hosts_are_recognized_by_their_id_in_any_case() {
        let reports = reports("https://covered.example.com", "*.reports.example.net");
        for host in
            [format!("{ID}.reports.example.net"), format!("{}.REPORTS.example.net.:8443", ID.to_ascii_uppercase())]
        {
            assert_eq!(reports.site_at(|| Some(&host)), Some(site()), "{host}");
        }
        for host in ["covered.example.com", "www.reports.example.net", "reports.example.net", "[::1]:80", ":", ""] {
            assert_eq!(reports.site_at(|| Some(host)), None, "{host}");
        }
        let below = format!("a.{ID}.reports.example.net");
        assert_eq!(reports.site_at(|| Some(&below)), None);
    }

    #[test]
    fn policies_contain_the_reports_path_and_ignore_invalid_hosts() {
        let reports = Reports::new("https://covered.example.com/c", None);
        let policy = |authority| reports.below(site(), authority).policy().to_str().unwrap().to_owned();
        let own = format!("default-src covered.example.com/c/coverage/{ID}/ ");
        assert!(policy(None).starts_with(&format!("{own}data:")), "{}", policy(None));
        let inner = format!("{own}10.0.0.5:8000/c/coverage/{ID}/ 10.0.0.5:8000/coverage/{ID}/ data:");
        assert!(policy(Some("10.0.0.5:8000")).starts_with(&inner), "{}", policy(Some("10.0.0.5:8000")));
        for odd in ["[::1]:8000", "a b", "*", "a;script-src *", "a:80/x", "é", "a:"] {
            assert!(policy(Some(odd)).starts_with(&format!("{own}'self' 'self' data:")), "{}", policy(Some(odd)));
        }
    }

    #[test]
    fn a_domain_shared_by_reports_and_server_causes_a_warning() {
        for (public, host, shared) in [
            ("https://covered.example.com", "*.reports.example.net", None),
            ("https://covered.example.com", "*.example.net", None),
            ("https://covered.example.com", "*.covered.example.com", Some("covered.example.com")),
            ("https://covered.example.com", "https://*.r.covered.example.com:8443", Some("covered.example.com")),
            ("https://covered.example.com", "*.reports.example.com", Some("example.com")),
            ("https://example.com", "*.reports.example.com", Some("example.com")),
            ("https://notexample.com", "*.example.com", None),
            ("https://covered.co.uk", "*.reports.co.uk", None),
            ("https://a.team.co.uk", "*.b.team.co.uk", Some("team.co.uk")),
            ("https://covered.gitlab.io", "*.reports.gitlab.io", Some("gitlab.io")),
            ("http://localhost:8000", "*.localhost", Some("localhost")),
            ("http://covered.localhost", "*.reports", None),
            ("http://127.0.0.1:8000", "*.localhost", None),
        ] {
            let host: ReportHost = host.parse().unwrap();
            let warning = host.warning(&Url::parse(public).unwrap());
            let expected = shared.map(|shared| format!("are both below {shared}:"));
            assert_eq!(warning.is_some(), shared.is_some(), "{public} {host:?}: {warning:?}");
            assert!(
                warning.zip(expected).is_none_or(|(warning, expected)| warning.contains(&expected)),
                "{public} {host:?}"
            );
        }
    }

    #[test]
    fn https_and_loopback_urls_are_trustworthy() {
        for (url, trustworthy) in [
            ("https://covered.example.com", true),
            ("http://127.0.0.1:8000", true),
            ("http://[::1]:8000", true),
            ("http://localhost", true),
            ("http://covered.internal:8000", false),
            ("http://10.0.0.5", false),
        ] {
            assert_eq!(Reports::new(url, None).are_trustworthy(), trustworthy, "{url}");
        }
    }
}
