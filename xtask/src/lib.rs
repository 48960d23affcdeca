//! What the project's commands and tests share: the lab.

pub mod lab;
