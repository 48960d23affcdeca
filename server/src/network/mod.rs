//! Listening, TLS, client addresses and limits of connections.

pub mod client;
pub mod limits;
pub mod tls;

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// Listens on an address. `setting`: the environment variable that contains it.
pub async fn listen(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => "the address is in use".to_owned(),
            _ => error.to_string(),
        };
        let flag = setting.to_ascii_lowercase().replace('_', "-");
        anyhow::anyhow!("cannot listen on {address} ({setting}): {why}. Choose another with {setting} or --{flag}")
    })
}
