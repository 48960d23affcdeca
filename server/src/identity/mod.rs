//! Who may upload: API keys, tokens of workflows, allowed repositories, signed addresses.

pub mod allowed;
pub mod api_keys;
pub mod bindings;
pub mod issuer;
pub mod issuer_url;
pub mod key_guess_limiter;
pub mod oidc;
pub mod token;
pub mod upload_signer;
