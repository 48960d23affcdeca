//! Storage settings: `STORAGE_URL` and the vendors' variables.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use url::Url;

use crate::config::raw::Raw;
use crate::config::settings::{AWS_NAMES, AZURE_NAMES, GOOGLE_NAMES};
use crate::names::url::http_url;
use crate::store::settings::StorageConfig;

/// The default folder of reports.
const DEFAULT_FOLDER: &str = "covered-data";

impl<E: Fn(&str) -> Option<OsString>> Raw<E> {
    pub(super) fn storage(&mut self) -> Option<StorageConfig> {
        let bucket = self.get("AWS_BUCKET");
        let url = match (self.get("STORAGE_URL"), bucket) {
            (Some(url), Some(bucket))
                if url != format!("s3://{bucket}") && !url.starts_with(&format!("s3://{bucket}/")) =>
            {
                self.report("STORAGE_URL", format!("is {url}, but AWS_BUCKET is {bucket}: set one of them"));
                return None;
            }
            (Some(url), _) => url,
            (None, Some(bucket)) => format!("s3://{bucket}"),
            (None, None) => {
                return (!self.report_missing_bucket()).then(|| StorageConfig::Files(PathBuf::from(DEFAULT_FOLDER)));
            }
        };
        let parsed = match Url::parse(&url) {
            Ok(parsed) => parsed,
            Err(why) => {
                self.report(
                    "STORAGE_URL",
                    format!("{url:?} is not a valid URL ({why}): write file:///path, s3://bucket, gs://bucket, az://container or memory://"),
                );
                return None;
            }
        };
        match parsed.scheme() {
            "memory" => Some(StorageConfig::Memory),
            "file" => match parsed.to_file_path() {
                Ok(path) => Some(StorageConfig::Files(path)),
                Err(()) => {
                    self.report(
                        "STORAGE_URL",
                        format!("{url} has no path: write file:///absolute/path with three slashes"),
                    );
                    None
                }
            },
            scheme @ ("s3" | "gs" | "az") => self.bucket(scheme.to_owned(), parsed),
            scheme => {
                self.report(
                    "STORAGE_URL",
                    format!("has the unknown scheme {scheme}://: use file, s3, gs, az or memory"),
                );
                None
            }
        }
    }

    /// Reports S3 settings without a bucket as a problem, and returns whether there are any: with the default folder, the
    /// bucket's reports would seem lost.
    fn report_missing_bucket(&mut self) -> bool {
        let of_s3 = ["AWS_UPLOAD_ROLE_ARN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        let Some(name) = of_s3.into_iter().find(|name| self.get(name).is_some()) else { return false };
        self.report(
            name,
            "is set, but no bucket: set AWS_BUCKET (the default of the Python original was \"covered\"), or \
             STORAGE_URL, such as file:///var/lib/covered for a folder",
        );
        true
    }

    fn bucket(&mut self, scheme: String, url: Url) -> Option<StorageConfig> {
        if url.host_str().is_none_or(str::is_empty) {
            self.report("STORAGE_URL", format!("{url} has no bucket"));
            return None;
        }
        let names: &[&str] = match scheme.as_str() {
            "s3" => AWS_NAMES,
            "gs" => GOOGLE_NAMES,
            _ => AZURE_NAMES,
        };
        let mut options = HashMap::new();
        for name in names {
            if let Some(value) = self.get(name) {
                options.insert(name.to_ascii_lowercase(), value);
            }
        }
        for (this, other) in
            [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")]
        {
            let set = |name: &str| options.contains_key(&name.to_ascii_lowercase());
            if set(this) && !set(other) {
                self.report(this, format!("is set, but {other} is not: set both"));
            }
        }
        // The client sends the token unchanged, and a header cannot contain a line break.
        if let Some(path) = options.get("aws_container_authorization_token_file")
            && std::fs::read(path).is_ok_and(|token| token.iter().any(u8::is_ascii_control))
        {
            let why = format!("is {path}, which contains a line break or another control character: remove it");
            self.report("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", why);
        }
        if let Some(endpoint) = options.get("aws_endpoint_url")
            && let Err(why) = http_url(endpoint)
        {
            self.report("AWS_ENDPOINT_URL", why);
        }
        Some(StorageConfig::Bucket { url, options })
    }

    /// The role needs S3 without a prefix, as the Python CLI writes to the bucket's root.
    pub(super) fn upload_role(&mut self, storage: &StorageConfig) -> Option<String> {
        let role = self.get("AWS_UPLOAD_ROLE_ARN")?;
        match storage {
            StorageConfig::Bucket { url, .. } if url.scheme() == "s3" && matches!(url.path(), "" | "/") => {}
            StorageConfig::Bucket { url, .. } if url.scheme() == "s3" => self.report(
                "AWS_UPLOAD_ROLE_ARN",
                format!("is set, but STORAGE_URL {url} has a path: the Python CLI writes to the bucket's root"),
            ),
            _ => self.report(
                "AWS_UPLOAD_ROLE_ARN",
                "is set, but reports are not stored in S3: set AWS_BUCKET, or remove it",
            ),
        }
        if !role.starts_with("arn:") || role.split(':').count() < 6 {
            self.report(
                "AWS_UPLOAD_ROLE_ARN",
                format!("{role:?} is not a valid role ARN, such as arn:aws:iam::123456789012:role/upload"),
            );
        }
        Some(role)
    }
}
