//! Responses: bodies, headers, pages, content negotiation.

pub mod badge;
pub mod file;
pub mod negotiate;
pub mod pages;
pub mod response;
