//! Syntax of the formats: HTML as text, JSON and XML as streams.

pub mod encoding;
pub mod html;
pub mod json;
pub mod xml;
