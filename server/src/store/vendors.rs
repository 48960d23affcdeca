//! The clients of S3, GCS and Azure: time limits, retries, and the vendors' own variables.

use std::collections::HashMap;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

/// Time to connect to the store.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// Time without a byte from the store after which a request counts as failed.
const READ_TIME: Duration = Duration::from_secs(3);
/// The time limit for [`RETRIES`] retries of a failed request.
const RETRY_TIME: Duration = Duration::from_secs(5);
const RETRIES: usize = 2;

fn client() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT_TIME)
        .with_read_timeout(READ_TIME)
        // The total time is unlimited, as a large file may go to a slow client; the time between two reads is limited.
        .with_timeout_disabled()
        // Plain HTTP is used only if the operator configured an http:// endpoint.
        .with_allow_http(true)
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(1),
        ..BackoffConfig::default()
    };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_TIME }
}

pub fn s3(bucket: &str, options: &HashMap<String, String>) -> anyhow::Result<AmazonS3> {
    let mut builder = AmazonS3Builder::new().with_client_options(client()).with_retry(retry());
    for (name, value) in options {
        builder = builder.with_config(name.parse()?, value);
    }
    Ok(builder.with_bucket_name(bucket).build()?)
}

pub fn gcs(bucket: &str, options: &HashMap<String, String>) -> anyhow::Result<GoogleCloudStorage> {
    let mut builder = GoogleCloudStorageBuilder::new().with_client_options(client()).with_retry(retry());
    for (name, value) in options {
        builder = builder.with_config(name.parse()?, value);
    }
    Ok(builder.with_bucket_name(bucket).build()?)
}

pub fn azure(container: &str, options: &HashMap<String, String>) -> anyhow::Result<MicrosoftAzure> {
    let mut builder = MicrosoftAzureBuilder::new().with_client_options(client()).with_retry(retry());
    for (name, value) in options {
        builder = builder.with_config(name.parse()?, value);
    }
    Ok(builder.with_container_name(container).build()?)
}
