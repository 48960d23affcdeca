//! What the server answers: responses, their headers, pages.

pub mod badge;
pub mod file;
pub mod negotiate;
pub mod pages;
pub mod response;
