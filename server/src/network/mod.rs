//! TLS, client addresses and limits of connections.

pub mod client;
pub mod limits;
pub mod tls;
