//! Connections, whatever is sent on them: TLS, the address of a client, limits.

pub mod client;
pub mod limits;
pub mod tls;
