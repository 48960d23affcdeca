//! Settings for GitHub's API.

use url::Url;

use crate::base::secret::Secret;

/// The address of GitHub's API, and the token for it.
pub struct GitHubConfig {
    /// The base of GraphQL requests: `{base}/graphql`.
    pub graphql_base: Url,
    pub token: Secret,
}
