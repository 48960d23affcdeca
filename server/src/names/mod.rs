//! Names and their syntax: sites, repositories, reports, object keys, URLs.

pub mod object;
pub mod report;
pub mod repository;
pub mod rule;
pub mod site;
pub mod url;
