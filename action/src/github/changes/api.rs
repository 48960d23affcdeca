//! Reads what pull requests change from GitHub's API, and explains rejections.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::{Result, anyhow};
use serde::de::DeserializeOwned;
use ureq::http::StatusCode;

use super::file::{Blobs, Room};
use crate::base::text::shorten;
use crate::github::api::GitHub;
use crate::http::{Client, Response};

const JSON: &str = "application/vnd.github+json";
/// Bytes of a response: a page of files has their diffs.
const MAX_PAGE: u64 = 64 << 20;

/// What a token needs to read something.
#[derive(Clone, Copy)]
pub struct Permission {
    name: &'static str,
    personal: &'static str,
}

pub const PULLS: Permission = Permission { name: "pull-requests: read", personal: "Pull requests, read" };
pub const CONTENTS: Permission = Permission { name: "contents: read", personal: "Contents, read" };

/// Reads from GitHub's API.
pub struct Api<'a> {
    client: &'a Client<'a>,
    github: &'a GitHub<'a>,
    /// The number of requests so far.
    sent: Cell<usize>,
    room: RefCell<Room>,
    /// The files of the commits that were read. `None`: there are too many.
    pub trees: RefCell<HashMap<String, Option<Rc<Blobs>>>>,
}

impl<'a> Api<'a> {
    pub fn new(client: &'a Client<'a>, github: &'a GitHub<'a>) -> Self {
        Self { client, github, sent: Cell::new(0), room: RefCell::default(), trees: RefCell::default() }
    }

    pub fn sent(&self) -> usize {
        self.sent.get()
    }

    /// Memory that is left for what is read.
    pub fn room(&self) -> RefMut<'_, Room> {
        self.room.borrow_mut()
    }

    pub fn get<T: DeserializeOwned>(&self, path: &str, what: &str, permission: Permission) -> Result<T> {
        self.get_up_to(MAX_PAGE, path, what, permission)
    }

    /// `max`: bytes of the response.
    pub fn get_up_to<T: DeserializeOwned>(
        &self,
        max: u64,
        path: &str,
        what: &str,
        permission: Permission,
    ) -> Result<T> {
        let response = self.send((path, JSON, max), what, permission)?;
        response.json().map_err(|error| {
            anyhow!("cannot read GitHub's response about {what}: {}", shorten(&error.to_string(), 200))
        })
    }

    /// Requests a path, with the media type and the largest size in bytes of its response. `what`: what is read, for an
    /// error, as in "GitHub did not return …".
    pub fn send(&self, (path, accept, max): (&str, &str, u64), what: &str, permission: Permission) -> Result<Response> {
        let request = self.github.request("GET", path, accept)?.max_response(max);
        self.sent.set(self.sent.get() + 1);
        let response = self.github.send(self.client, request)?;
        if response.status == StatusCode::OK { Ok(response) } else { Err(self.rejection(what, permission, &response)) }
    }

    fn rejection(&self, what: &str, permission: Permission, response: &Response) -> anyhow::Error {
        let (reason, repository) = (response.describe(), self.github.repository);
        let Permission { name, personal } = permission;
        let give = format!("give the job `permissions: {name}` (a personal token: {personal})");
        let text = match (self.github.common_rejection(response, &reason), response.status) {
            _ if response.is_temporary() => {
                return response.rejection(format!("GitHub did not return {what} ({reason})"));
            }
            (Some(text), _) => text,
            (None, StatusCode::FORBIDDEN) => {
                format!("the token may not read {what} of {repository} ({reason}): {give}")
            }
            (None, StatusCode::NOT_FOUND) => {
                format!("the token has no access to {what} of {repository}, or there is none ({reason}): {give}")
            }
            _ => format!("GitHub did not return {what} of {repository} ({reason})"),
        };
        anyhow!(text)
    }
}
