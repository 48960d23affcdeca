//! The stub's responses.

use bytes::Bytes;
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

/// Status 422 with one error of a field.
pub fn validation_response(resource: &str, code: &str, field: &str, message: &str) -> Response<Body> {
    let error = json!({"resource": resource, "code": code, "field": field, "message": message});
    let body = json!({
        "message": "Validation Failed",
        "errors": [error],
        "documentation_url": DOCUMENTATION,
        "status": "422",
    });
    json_response(422, &body)
}

pub fn json_response(code: u16, body: &Value) -> Response<Body> {
    response(code, "application/json; charset=utf-8", body.to_string())
}

pub fn response(code: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .status(code)
        .header("content-type", content_type)
        .header("x-github-request-id", "C0DE:1")
        .body(full(body))
        .unwrap()
}
