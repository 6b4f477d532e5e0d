//! How long operations take where the store is far away: in rounds, which are requests that wait for each other. The clock
//! is a made-up one, in which every request takes a second and nothing else takes any time.

use super::harness::Mounted;
use crate::store::Condition;
use crate::store::CopySource;
use crate::store::ETag;
use crate::store::Facts;
use crate::store::GetObject;
use crate::store::Headers;
use crate::store::ListObjects;
use crate::store::ListPage;
use crate::store::Object;
use crate::store::Part;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::Result;
use crate::store::Store;
use crate::store::Upload;
use crate::store::UploadId;
use crate::store::memory::Memory;
use crate::vfs::Options;
use crate::vfs::Vfs;
use async_trait::async_trait;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

const ROUND: Duration = Duration::from_secs(1);

/// A store whose every answer takes a round.
struct Far(Arc<Memory>);

async fn after<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::sleep(ROUND).await;
    answer.await
}

#[async_trait]
impl Store for Far {
    fn facts(&self) -> &Facts {
        self.0.facts()
    }

    async fn head_bucket(&self) -> Result<()> {
        after(self.0.head_bucket()).await
    }

    async fn head_object(&self, key: &str) -> Result<Object> {
        after(self.0.head_object(key)).await
    }

    async fn get_object(&self, key: &str, range: Option<Range<u64>>, if_match: Option<&ETag>) -> Result<GetObject> {
        after(self.0.get_object(key, range, if_match)).await
    }

    async fn put_object(&self, key: &str, payload: Payload, headers: &Headers, condition: &Condition) -> Result<ETag> {
        after(self.0.put_object(key, payload, headers, condition)).await
    }

    async fn delete_object(&self, key: &str) -> Result<()> {
        after(self.0.delete_object(key)).await
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<Vec<crate::store::Error>> {
        after(self.0.delete_objects(keys)).await
    }

    async fn copy_object(&self, source: &CopySource, key: &str, headers: Option<&Headers>) -> Result<ETag> {
        after(self.0.copy_object(source, key, headers)).await
    }

    async fn list_objects(&self, request: &ListObjects) -> Result<ListPage> {
        after(self.0.list_objects(request)).await
    }

    async fn create_upload(&self, key: &str, headers: &Headers) -> Result<UploadId> {
        after(self.0.create_upload(key, headers)).await
    }

    async fn put_part(&self, key: &str, upload: &UploadId, number: PartNumber, payload: Payload) -> Result<Part> {
        after(self.0.put_part(key, upload, number, payload)).await
    }

    async fn copy_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: PartNumber,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<Part> {
        after(self.0.copy_part(key, upload, number, source, range)).await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<ETag> {
        after(self.0.complete_upload(key, upload, parts, condition)).await
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<()> {
        after(self.0.abort_upload(key, upload)).await
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Vec<Part>> {
        after(self.0.list_parts(key, upload)).await
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        after(self.0.list_uploads(prefix)).await
    }
}

/// The same bucket, far away, in a mount that knows nothing of it.
fn far(near: &Mounted) -> Mounted {
    let store = Arc::clone(&near.store);
    let vfs = Vfs::new(Arc::new(Far(Arc::clone(&store))), Options::default(), Handle::current());
    Mounted { store, vfs }
}

async fn rounds<T>(work: impl Future<Output = T>) -> (T, f64) {
    let begun = Instant::now();
    let done = work.await;
    (done, begun.elapsed().as_secs_f64())
}

#[tokio::test(start_paused = true)]
async fn a_small_file_in_a_directory_nobody_has_listed_takes_two_rounds() {
    for facts in [Facts::S3, Facts { listing_metadata: true, ..Facts::S3 }] {
        let near = Mounted::with_facts(facts);
        let far = far(&near);
        let (made, took) = rounds(async {
            assert!(far.inode("file").await.is_err(), "the kernel looks first");
            let handle = far.create("file").await?;
            far.write_at(handle, 0, b"x").await?;
            far.close(handle).await
        })
        .await;
        made.unwrap();
        assert!(took < 2.5, "{took}");
        assert_eq!(near.read("file").await.unwrap(), b"x");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cold_file_is_opened_and_read_in_two_rounds() {
    for facts in [Facts::S3, Facts { listing_metadata: true, ..Facts::S3 }] {
        let near = Mounted::with_facts(facts);
        near.put("file", b"x").await;
        let far = far(&near);
        let (read, took) = rounds(far.read("file")).await;
        assert_eq!(read.unwrap(), b"x");
        assert!(took < 2.5, "{took}");
    }
}
