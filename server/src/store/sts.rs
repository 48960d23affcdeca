//! Temporary credentials that can write the files of one site and nothing else: AWS STS, AssumeRole.

use std::collections::HashMap;
use std::time::Duration;

use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpRequest, HttpRequestBody};
use serde::Deserialize;
use serde_json::json;
use url::Url;
use url::form_urlencoded;

use crate::base::secret::Secret;
use crate::names::site::SiteId;
use crate::telemetry::trace;

/// How long the credentials are valid: the default maximum of a role.
const CREDENTIALS_LIFETIME: Duration = Duration::from_secs(3600);
/// The time limit of a request to STS.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The maximum length of an AWS error code in messages.
const MAX_CODE: usize = 64;

/// Gets temporary credentials by assuming a role.
pub struct Sts {
    http: reqwest::Client,
    credentials: AwsCredentialProvider,
    endpoint: Url,
    role: String,
    region: String,
    bucket: String,
}

/// Temporary credentials for one site, and where to use them.
pub struct Grant {
    pub bucket: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: Secret,
    pub session_token: Secret,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    #[error("AWS does not let this server assume the role {role}: {code}")]
    Refused { role: String, code: String },
    #[error("AWS STS returned no credentials for the role {role}")]
    Failed {
        role: String,
        #[source]
        cause: anyhow::Error,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StsReply {
    assume_role_result: AssumeRoleResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleResult {
    credentials: Credentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StsErrorReply {
    error: StsError,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StsError {
    code: String,
}

impl Sts {
    /// `options`: the AWS variables by their lower-case names.
    pub fn new(
        role: &str,
        bucket: &str,
        options: &HashMap<String, String>,
        credentials: AwsCredentialProvider,
    ) -> anyhow::Result<Self> {
        let region = options.get("aws_region").or(options.get("aws_default_region"));
        let region = region.map_or("us-east-1", String::as_str).to_owned();
        let endpoint = options.get("aws_endpoint_url_sts").or(options.get("aws_endpoint_url"));
        let endpoint = match endpoint {
            Some(endpoint) => Url::parse(endpoint)?,
            None if region.starts_with("cn-") => Url::parse(&format!("https://sts.{region}.amazonaws.com.cn/"))?,
            None => Url::parse(&format!("https://sts.{region}.amazonaws.com/"))?,
        };
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT).build()?;
        Ok(Self { http, credentials, endpoint, role: role.to_owned(), region, bucket: bucket.to_owned() })
    }

    /// Credentials for `sites/{site_id}/*`, for an hour.
    pub async fn grant(&self, site: &SiteId) -> Result<Grant, GrantError> {
        let (success, text) = trace::client("STS", self.assume_role(site)).await.map_err(|cause| self.failed(cause))?;
        if !success {
            return Err(GrantError::Refused { role: self.role.clone(), code: code_of(&text) });
        }
        let Credentials { access_key_id, secret_access_key, session_token } =
            credentials_of(&text).map_err(|cause| self.failed(cause))?;
        Ok(Grant {
            bucket: self.bucket.clone(),
            region: self.region.clone(),
            access_key_id,
            secret_access_key: Secret::new(secret_access_key),
            session_token: Secret::new(session_token),
        })
    }

    fn failed(&self, cause: anyhow::Error) -> GrantError {
        GrantError::Failed { role: self.role.clone(), cause }
    }

    async fn assume_role(&self, site: &SiteId) -> anyhow::Result<(bool, String)> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "AssumeRole")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &self.role)
            .append_pair("RoleSessionName", &format!("upload-{site}"))
            .append_pair("DurationSeconds", &CREDENTIALS_LIFETIME.as_secs().to_string())
            .append_pair("Policy", &policy(&self.role, &self.bucket, site))
            .finish();
        let mut request = HttpRequest::new(HttpRequestBody::from(body.clone()));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = self.endpoint.as_str().parse()?;
        let form = hyper::header::HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(hyper::header::CONTENT_TYPE, form);
        let credential = self.credentials.get_credential().await?;
        AwsAuthorizer::new(&credential, "sts", &self.region).try_authorize(&mut request, None)?;
        let headers = std::mem::take(request.headers_mut());
        let response = self.http.post(self.endpoint.clone()).headers(headers).body(body).send().await?;
        let success = response.status().is_success();
        Ok((success, response.text().await?))
    }
}

/// Parses the response of STS. Errors do not quote it, as it contains secrets.
pub(crate) fn credentials_of(text: &str) -> anyhow::Result<Credentials> {
    let reply: Result<StsReply, _> = quick_xml::de::from_str(text);
    let reply = reply.map_err(|_| anyhow::anyhow!("the response is not a valid AssumeRole response"))?;
    Ok(reply.assume_role_result.credentials)
}

/// AWS's error code, reduced to letters and digits.
pub(crate) fn code_of(text: &str) -> String {
    let code = quick_xml::de::from_str::<StsErrorReply>(text).map(|refusal| refusal.error.code).unwrap_or_default();
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).take(MAX_CODE).collect();
    if plain.is_empty() { "an error without a code".to_owned() } else { plain }
}

/// The session policy. Without spaces: Ceph accepts no others, and AWS limits the length.
fn policy(role: &str, bucket: &str, site: &SiteId) -> String {
    // The partition in the ARN (`aws`, `aws-cn`, `aws-us-gov`) must match, or the policy allows nothing.
    let partition = role.split(':').nth(1).filter(|partition| !partition.is_empty()).unwrap_or("aws");
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": format!("arn:{partition}:s3:::{bucket}/sites/{site}/*"),
        }],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_policies_allow_only_one_sites_files() {
        let site: SiteId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let policy = policy("arn:aws-cn:iam::123456789012:role/upload", "reports", &site);
        assert!(policy.contains("\"arn:aws-cn:s3:::reports/sites/0123456789abcdef0123456789abcdef/*\""), "{policy}");
        assert!(policy.contains("\"Action\":\"s3:PutObject\"") && !policy.contains(' '), "{policy}");
    }

    /// The example in the documentation of AssumeRole:
    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>.
    #[test]
    fn the_documented_assume_role_response_is_parsed() {
        let text = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
          <AssumeRoleResult>
            <SourceIdentity>Alice</SourceIdentity>
            <AssumedRoleUser>
              <Arn>arn:aws:sts::123456789012:assumed-role/demo/TestAR</Arn>
              <AssumedRoleId>ARO123EXAMPLE123:TestAR</AssumedRoleId>
            </AssumedRoleUser>
            <Credentials>
              <AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>
              <SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>
              <SessionToken>AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQW</SessionToken>
              <Expiration>2019-11-09T13:34:41Z</Expiration>
            </Credentials>
            <PackedPolicySize>6</PackedPolicySize>
          </AssumeRoleResult>
          <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
        </AssumeRoleResponse>"#;
        let reply: StsReply = quick_xml::de::from_str(text).unwrap();
        assert_eq!(reply.assume_role_result.credentials.access_key_id, "ASIAIOSFODNN7EXAMPLE");
        let text = r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
          <Code>AccessDenied</Code><Message>User: … is not authorized</Message></Error><RequestId>x</RequestId></ErrorResponse>"#;
        let refusal: StsErrorReply = quick_xml::de::from_str(text).unwrap();
        assert_eq!(refusal.error.code, "AccessDenied");
    }
}
