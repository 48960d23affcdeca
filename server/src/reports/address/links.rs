//! Finds the report that a commit status links to.

use url::Url;

use super::{OwnHost, Reports};
use crate::names::site::SiteId;

impl Reports {
    /// The site of an address of this server: the current one, one of `FORMER_URLS`, or a report's own host. The scheme
    /// is ignored, so that links from before TLS stay valid.
    pub fn site_of(&self, url: &str) -> Option<SiteId> {
        let url = parse_link(url)?;
        let servers = Url::parse(&self.public_url).ok();
        let mut servers = servers.iter().chain(&self.former_urls);
        let shared = servers.find_map(|server| {
            let mut parts = parts(&url);
            let is_same = url.host() == server.host() && url.port() == server.port();
            let is_below = is_same && self::parts(server).all(|part| parts.next() == Some(part));
            (is_below && parts.next() == Some(COVERAGE)).then(|| parts.next()?.parse().ok())?
        });
        shared.or_else(|| self.site_of_own_host(&url))
    }

    fn site_of_own_host(&self, url: &Url) -> Option<SiteId> {
        let OwnHost { scheme_prefix, suffix_with_port, suffix } = self.own_host.as_ref()?;
        let own = Url::parse(&format!("{scheme_prefix}site{suffix_with_port}")).ok()?;
        let site = url.domain()?.strip_suffix(suffix.as_str())?;
        (url.port() == own.port()).then(|| site.parse().ok())?
    }

    /// The site in an address of any host, in its path or its first label. The caller must check the site's record.
    pub fn site_named_by(&self, url: &str) -> Option<SiteId> {
        let url = parse_link(url)?;
        let in_path = parts(&url).zip(parts(&url).skip(1)).find_map(|(folder, site)| {
            let site = site.parse().ok();
            site.filter(|_| folder == COVERAGE)
        });
        in_path.or_else(|| url.domain()?.split('.').next()?.parse().ok())
    }
}

/// The folder of the reports in a server's addresses.
const COVERAGE: &str = "coverage";

fn parse_link(url: &str) -> Option<Url> {
    Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

/// The parts of an address's path; a doubled slash counts as one.
fn parts(url: &Url) -> impl Iterator<Item = &str> {
    url.path().split('/').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::address::ReportHost;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn reports(public_url: &str, host: &str) -> Reports {
        Reports::new(public_url, Some(&host.parse::<ReportHost>().unwrap()))
    }

    fn site() -> SiteId {
        ID.parse().unwrap()
    }

    #[test]
    fn links_to_this_servers_urls_are_accepted_and_others_rejected() {
        let reports = reports("https://covered.example.com/c", "*.reports.example.net");
        for right in [
            format!("https://covered.example.com/c/coverage/{ID}/"),
            format!("https://{ID}.reports.example.net/"),
            format!("https://{ID}.reports.example.net/a.html"),
            format!("http://{ID}.reports.example.net/"),
        ] {
            assert_eq!(reports.site_of(&right), Some(site()), "{right}");
        }
        for wrong in [
            format!("https://covered.example.com/coverage/{ID}/"),
            format!("https://{ID}.reports.example.net.evil.test/"),
            format!("https://{ID}.reports.example.net:81/"),
            format!("https://{ID}@evil.test/"),
            format!("https://evil.test/{ID}.reports.example.net/"),
            "https://www.reports.example.net/".to_owned(),
        ] {
            assert_eq!(reports.site_of(&wrong), None, "{wrong}");
        }
        assert_eq!(Reports::new("http://a", None).site_of(&format!("http://{ID}.a/")), None);
    }

    #[test]
    fn links_to_former_urls_and_other_schemes_are_accepted() {
        let former: Vec<Url> = ["https://old.example.com/", "http://10.0.0.5:8000/covered"]
            .iter()
            .map(|url| url.parse().unwrap())
            .collect();
        let reports = Reports::new("https://covered.example.com", None).with_former_urls(&former);
        for right in [
            format!("http://covered.example.com/coverage/{ID}/"),
            format!("https://old.example.com/coverage/{ID}/index.html"),
            format!("http://old.example.com/coverage/{ID}/"),
            format!("http://10.0.0.5:8000/covered/coverage/{ID}/"),
            format!("https://OLD.example.com:443/coverage/{ID}?x"),
            format!("http://old.example.com:80//coverage//{ID}"),
        ] {
            assert_eq!(reports.site_of(&right), Some(site()), "{right}");
        }
        for wrong in [
            format!("https://old.example.com.evil.test/coverage/{ID}/"),
            format!("https://old.example.com@evil.test/coverage/{ID}/"),
            format!("http://10.0.0.5:8000/coverage/{ID}/"),
            format!("ftp://old.example.com/coverage/{ID}/"),
            format!("https://old.example.com:8443/coverage/{ID}/"),
            format!("https://old.example.com/x/coverage/{ID}/"),
            format!("https://evil.test/https://old.example.com/coverage/{ID}/"),
        ] {
            assert_eq!(reports.site_of(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn site_ids_are_found_in_the_path_or_host_of_any_link() {
        let reports = Reports::new("https://covered.example.com", None);
        for (url, names_it) in [
            (format!("http://gone.example.com:8000/c/coverage/{ID}/"), true),
            (format!("https://{ID}.reports.example.net/index.html"), true),
            (format!("https://gone.example.com/coverage/{ID}"), true),
            (format!("https://gone.example.com/x/coverage/{ID}/coverage/index.html"), true),
            (format!("javascript:/coverage/{ID}/"), false),
            (format!("https://gone.example.com/{ID}/"), false),
            ("https://gone.example.com/coverage/x/".to_owned(), false),
            (ID.to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(reports.site_named_by(&url), names_it.then(site), "{url}");
        }
    }
}
