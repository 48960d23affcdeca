//! What things are called: sites, repositories, reports, objects in the store.

pub mod object;
pub mod report;
pub mod repository;
pub mod rule;
pub mod site;
pub mod url;
