//! Syntax of the formats: HTML as text, JSON, XML and lines of text as streams.

pub mod encoding;
pub mod html;
pub mod json;
pub mod text;
pub mod xml;
