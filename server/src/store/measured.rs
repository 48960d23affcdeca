//! Wraps a store with metrics and traces.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use crate::telemetry::metrics::{Operation, StoreResult, metrics};
use crate::telemetry::trace;

#[derive(Debug)]
pub struct Measured(pub Arc<dyn ObjectStore>);

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

async fn measured<T>(operation: Operation, work: impl Future<Output = Result<T>>) -> Result<T> {
    let started = Instant::now();
    let done = trace::store(operation, work).await;
    let result = match &done {
        Ok(_) => StoreResult::Ok,
        Err(Error::NotFound { .. }) => StoreResult::NotFound,
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => StoreResult::Exists,
        Err(Error::NotModified { .. }) => StoreResult::NotModified,
        Err(_) => StoreResult::Error,
    };
    metrics().count_store_request(operation, result, started.elapsed());
    done
}

#[async_trait]
impl ObjectStore for Measured {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        measured(Operation::Put, self.0.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        measured(Operation::Multipart, self.0.put_multipart_opts(location, options)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head { Operation::Head } else { Operation::Get };
        measured(operation, self.0.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        use futures_util::StreamExt;
        let count = |deleted: &Result<Path>| {
            let result = if deleted.is_ok() { StoreResult::Ok } else { StoreResult::Error };
            metrics().count_untimed_store_request(Operation::Delete, result);
        };
        self.0.delete_stream(locations).inspect(count).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        measured(Operation::List, self.0.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        measured(Operation::Copy, self.0.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        measured(Operation::Rename, self.0.rename_opts(from, to, options)).await
    }
}
