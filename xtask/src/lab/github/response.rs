//! The stub's responses.

use hyper::Response;
use serde_json::{Value, json};

use crate::lab::http::{Body, full};

pub const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// An error in the format of GitHub's REST API.
pub fn error_response(code: u16, message: &str) -> Response<Body> {
    let body = json!({
        "message": message,
        "documentation_url": DOCUMENTATION,
        "status": code.to_string(),
    });
    json_response(code, &body)
}

pub fn json_response(code: u16, body: &Value) -> Response<Body> {
    response(code, "application/json; charset=utf-8", body.to_string())
}

pub fn response(code: u16, content_type: &str, body: String) -> Response<Body> {
    Response::builder()
        .status(code)
        .header("content-type", content_type)
        .header("x-github-request-id", "C0DE:1")
        .body(full(body))
        .unwrap()
}
