//! Dispatches requests by path and method; HEAD, 404 and 405.

use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{self, Either};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HOST, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};

use crate::answers::response::{self, Body, RouteResult};
use crate::app::App;
use crate::error::{Error, no_report};
use crate::names::site::SiteId;
use crate::reports::address;
use crate::routes::badge::BadgeFormat;
use crate::routes::request_log::{LogLine, LoggedBody, log_error, path_for_log, redacted};
use crate::routes::{badge, ops, purge, report, upload};
use crate::telemetry::metrics::{self, metrics};
use crate::telemetry::trace::{self, InContext, RequestContext};

/// The peer of a connection.
#[derive(Clone, Copy)]
pub struct Caller {
    pub peer: IpAddr,
    /// The error for all requests of the connection, if there are too many connections.
    pub rejection: Option<&'static str>,
}

/// Answers one request, in its own log and trace context.
///
/// Polls once: a response that is ready needs no suspended future, so hyper can reuse its read buffer.
pub fn handle(
    app: &Arc<App>,
    caller: Caller,
    request: Request<Incoming>,
) -> impl Future<Output = Response<LoggedBody>> + Send + use<> {
    let request_context = RequestContext::of(&request);
    let (head, body) = request.into_parts();
    let mut response =
        InContext::new(&request_context, respond(app.clone(), caller, head, body, request_context.clone()));
    match (&mut response).now_or_never() {
        Some(response) => Either::Left(future::ready(response)),
        None => Either::Right(response),
    }
}

#[expect(clippy::manual_async_fn, reason = "an async fn stores its arguments twice")]
fn respond(
    app: Arc<App>,
    caller: Caller,
    head: Parts,
    body: Incoming,
    request_context: RequestContext,
) -> impl Future<Output = Response<LoggedBody>> + Send {
    async move {
        let started = Instant::now();
        let client = app.proxies.client(caller.peer, &head.headers);
        let own_host = app.reports.site_at(|| address::authority(&head));
        let (path, route) = locate(&app, &head, own_host);
        let label = route.as_ref().map_or(metrics::RouteLabel::Unknown, Route::label);
        let limit = (!matches!(route, Some(Route::Upload { .. }))).then_some(app.limits.request);
        let work = pin!(async {
            let response = dispatch(&app, client, path, route.as_ref(), caller.rejection, &head, body).await?;
            let is_light = !response.body().needs_memory() || head.method == Method::HEAD;
            // Boxed to keep the future of every request small.
            if is_light { Ok(response) } else { Box::pin(with_memory(&app, response)).await }
        });
        // A panic fails one response, not the connection.
        let routed = AssertUnwindSafe(in_time(limit, work)).catch_unwind().await;
        let routed = routed.unwrap_or_else(|_| Err(Error::internal(anyhow::anyhow!("a panic, see above"))));
        let method = head.method.clone();
        let mut response = routed.unwrap_or_else(|error| {
            let error = log_error(error, client, &method, path, &request_context);
            // A report's own host has no home page.
            let home = if own_host.is_some() { &app.public_url } else { &app.base_path };
            error_response(&app, &error, &head, home)
        });
        if method == Method::HEAD {
            response = response::head_only(response);
        }
        response.headers_mut().insert(trace::REQUEST_ID, request_context.id().header());
        let status = response.status().as_u16();
        metrics().count_response(label, status);
        request_context.record_response(method.as_str(), label, status);
        let line = Box::new(LogLine {
            request_context,
            label,
            client,
            method,
            path: path_for_log(path),
            status,
            bytes: 0,
            started,
        });
        response.map(|body| LoggedBody::new(body, line))
    }
}

/// The path and the route of a request. `own_host`: the site on whose own host it is.
fn locate<'a>(app: &App, head: &'a Parts, own_host: Option<SiteId>) -> (&'a str, Option<Route<'a>>) {
    let path = head.uri.path();
    if let Some(site) = own_host {
        return (path, path.strip_prefix('/').map(|path| Route::OwnFile { site, path }));
    }
    // A reverse proxy may have removed the path of PUBLIC_URL, or not.
    let below = path.strip_prefix(&app.base_path).filter(|below| below.starts_with('/'));
    let path = below.unwrap_or(path);
    (path, Route::of(path))
}

/// The error as JSON or, for a browser, as a page that links to the home page at `home`.
fn error_response(app: &App, error: &Error, head: &Parts, home: &str) -> Response<Body> {
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    let page_wanted = reads && response::wants_page(head.headers.get(ACCEPT));
    app.responses.error(error, page_wanted.then(|| format!("{home}/")).as_deref())
}

/// The routes of this server.
#[derive(Clone, Copy)]
pub enum Route<'a> {
    Home,
    Healthz,
    Readyz,
    Robots,
    CreateSite,
    Invalidate {
        owner: &'a str,
        name: &'a str,
    },
    Upload {
        site: &'a str,
    },
    Site {
        site: &'a str,
    },
    File {
        site: &'a str,
        path: &'a str,
    },
    /// A file on a report's own host.
    OwnFile {
        site: SiteId,
        path: &'a str,
    },
    Badge {
        owner: &'a str,
        name: &'a str,
        format: BadgeFormat,
    },
    Redirect {
        owner: &'a str,
        name: &'a str,
    },
}

const READS: &str = "GET, HEAD";

impl<'a> Route<'a> {
    pub fn of(path: &'a str) -> Option<Self> {
        // Only report files have more segments than this, and their path is not split.
        let (mut segments, mut count, mut rest) = ([""; 6], 1, path.strip_prefix('/')?);
        while let Some(at) = memchr::memchr(b'/', rest.as_bytes()).filter(|_| count < segments.len()) {
            segments[count - 1] = &rest[..at];
            rest = &rest[at + 1..];
            count += 1;
        }
        segments[count - 1] = rest;
        Some(match segments[..count] {
            [""] => Self::Home,
            ["healthz"] => Self::Healthz,
            ["readyz"] => Self::Readyz,
            ["robots.txt"] => Self::Robots,
            ["coverage", "create-site"] | ["coverage", "create-site", ""] => Self::CreateSite,
            ["coverage", "invalidate-cache", owner, name] | ["coverage", "invalidate-cache", owner, name, ""] => {
                Self::Invalidate { owner, name }
            }
            ["coverage", zip] if zip.ends_with(".zip") => Self::Upload { site: zip.strip_suffix(".zip")? },
            ["coverage", site] => Self::Site { site },
            // The encoded rest: decode after splitting.
            ["coverage", site, ..] => Self::File { site, path: path.get("/coverage/".len() + site.len() + 1..)? },
            ["badge", "redirect", owner, name] | ["badge", "redirect", owner, name, ""] => {
                Self::Redirect { owner, name }
            }
            ["badge", owner, file] => match file.rsplit_once('.')? {
                (name, "svg") => Self::Badge { owner, name, format: BadgeFormat::Svg },
                (name, "json") => Self::Badge { owner, name, format: BadgeFormat::Json },
                _ => return None,
            },
            _ => return None,
        })
    }

    /// Its name in metrics and traces.
    fn label(&self) -> metrics::RouteLabel {
        match self {
            Self::Home => metrics::RouteLabel::Home,
            Self::Healthz => metrics::RouteLabel::Healthz,
            Self::Readyz => metrics::RouteLabel::Readyz,
            Self::Robots => metrics::RouteLabel::Robots,
            Self::CreateSite => metrics::RouteLabel::CreateSite,
            Self::Invalidate { .. } => metrics::RouteLabel::Invalidate,
            Self::Upload { .. } => metrics::RouteLabel::Upload,
            Self::Site { .. } => metrics::RouteLabel::Site,
            Self::File { .. } | Self::OwnFile { .. } => metrics::RouteLabel::File,
            Self::Badge { .. } => metrics::RouteLabel::Badge,
            Self::Redirect { .. } => metrics::RouteLabel::Redirect,
        }
    }

    /// The allowed methods.
    fn allow(&self) -> &'static str {
        match self {
            Self::CreateSite | Self::Invalidate { .. } => "POST",
            Self::Upload { .. } => "PUT",
            _ => READS,
        }
    }

    fn accepts(&self, method: &Method) -> bool {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        self.allow() == if reads { READS } else { method.as_str() }
    }
}

/// Applies the time limit of a request. The timer is only created if the response is not ready at once.
async fn in_time(limit: Option<Duration>, mut work: Pin<&mut impl Future<Output = RouteResult>>) -> RouteResult {
    let Some(limit) = limit else { return work.await };
    if let Some(response) = work.as_mut().now_or_never() {
        return response;
    }
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(Error::too_slow(limit)))
}

/// Returns the answer when there is memory to send it.
async fn with_memory(app: &App, response: Response<Body>) -> RouteResult {
    let (head, body) = response.into_parts();
    Ok(Response::from_parts(head, body.reserve_memory(&app.memory, app.storage.read_ahead()).await?))
}

async fn dispatch(
    app: &Arc<App>,
    client: IpAddr,
    path: &str,
    route: Option<&Route<'_>>,
    rejection: Option<&'static str>,
    head: &Parts,
    body: Incoming,
) -> RouteResult {
    // An overloaded server is still healthy: a restart would not help.
    if let Some(rejection) = rejection.filter(|_| !matches!(route, Some(Route::Healthz))) {
        return Err(Error::overloaded(rejection));
    }
    let route = route.ok_or_else(|| Error::not_found(format!("there is nothing at {}", redacted(path))))?;
    if !route.accepts(&head.method) {
        return Err(Error::method_not_allowed(route.allow()));
    }
    // RFC 9112, 3.2: recipients could disagree on which one counts.
    if head.headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(Error::bad_request("the request has more than one Host header"));
    }
    reject_report_scripts(app, route, &head.headers)?;
    let (query, headers, is_head) = (head.uri.query(), &head.headers, head.method == Method::HEAD);
    match *route {
        Route::Home => ops::home(app),
        Route::Healthz => ops::healthz(app),
        Route::Robots => ops::robots(app),
        // Rare routes are boxed to keep the future of the common path small.
        Route::Readyz => Box::pin(ops::readyz(app)).await,
        Route::CreateSite => Box::pin(upload::create(app, client, headers, body)).await,
        Route::Invalidate { owner, name } => Box::pin(purge::invalidate(app, client, owner, name, headers, body)).await,
        Route::Upload { site } => Box::pin(upload::put(app, site, query, body)).await,
        Route::Site { site } => report::without_slash(app, site, query),
        Route::File { site, path } if app.reports.share_an_origin() => {
            let location = app.reports.below(site.parse().map_err(|()| no_report())?, address::authority(head));
            report::show(app, &location, path, query, is_head, headers).await
        }
        Route::File { site, path } => report::redirect_to_own_host(app, site, path, query),
        Route::OwnFile { site, path } => {
            let location = app.reports.on_own_host(site);
            report::show(app, &location, path, query, is_head, headers).await
        }
        Route::Badge { owner, name, format } => badge::show(app, owner, name, format, query, headers).await,
        Route::Redirect { owner, name } => badge::redirect(app, owner, name, query).await,
    }
}

const SERVICE_WORKER: HeaderName = HeaderName::from_static("service-worker");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Scripts of reports must not find other reports, and must not intercept requests. Their Content-Security-Policy does
/// not prevent this: a window that they open has another policy.
fn reject_report_scripts(app: &App, route: &Route<'_>, headers: &HeaderMap) -> Result<(), Error> {
    let is = |name: HeaderName, value: &str| headers.get(name).is_some_and(|found| found == value);
    if matches!(route, Route::File { .. } | Route::OwnFile { .. }) && is(SERVICE_WORKER, "script") {
        return Err(Error::forbidden("reports cannot register service workers"));
    }
    // A script cannot read a badge's image.
    let of_others = matches!(route, Route::Redirect { .. } | Route::Badge { .. }) && app.reports.share_an_origin();
    if of_others && is(SEC_FETCH_SITE, "same-origin") && !is(SEC_FETCH_DEST, "image") {
        return Err(Error::forbidden(
            "the request came from a page on this server, which may be a report: open the link directly, or \
             ask the server's operator to set REPORT_HOST",
        ));
    }
    Ok(())
}
