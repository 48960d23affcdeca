//! Authentication and authorization of uploads: API keys, OIDC tokens, allowed repositories, signed upload addresses.

pub mod allowed;
pub mod api_keys;
pub mod bindings;
pub mod issuer;
pub mod issuer_url;
pub mod key_guess_limiter;
pub mod oidc;
pub mod token;
pub mod upload_signer;
