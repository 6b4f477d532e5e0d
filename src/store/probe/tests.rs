//! The questions, put to fakes that have things, say that they lack them, or ignore what they do not know.

use super::*;
use crate::store::GetObject;
use crate::store::ListPage;
use crate::store::Object;
use crate::store::Part;
use crate::store::Upload;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use async_trait::async_trait;
use std::ops::Range;

/// A store that ignores what it does not know.
struct Careless(Memory);

#[async_trait]
impl Store for Careless {
    fn facts(&self) -> &Facts {
        self.0.facts()
    }
    async fn head_bucket(&self) -> Result<()> {
        self.0.head_bucket().await
    }
    async fn head_object(&self, key: &str) -> Result<Object> {
        let mut object = self.0.head_object(key).await?;
        object.headers.metadata.clear();
        Ok(object)
    }
    async fn get_object(&self, key: &str, range: Option<Range<u64>>, tag: Option<&ETag>) -> Result<GetObject> {
        self.0.get_object(key, range, tag).await
    }
    async fn put_object(&self, key: &str, payload: Payload, headers: &Headers, _: &Condition) -> Result<ETag> {
        self.0.put_object(key, payload, headers, &Condition::None).await
    }
    async fn delete_object(&self, key: &str) -> Result<()> {
        self.0.delete_object(key).await
    }
    async fn delete_objects(&self, _: &[String]) -> Result<Vec<Error>> {
        Ok(Vec::new())
    }
    async fn copy_object(&self, source: &CopySource, key: &str, headers: Option<&Headers>) -> Result<ETag> {
        self.0.copy_object(&CopySource { if_match: None, ..source.clone() }, key, headers).await
    }
    // A put with a header more.
    async fn move_object(&self, _: &CopySource, key: &str) -> Result<()> {
        self.0.put_object(key, Payload::default(), &Headers::default(), &Condition::None).await.map(drop)
    }
    async fn list_objects(&self, request: &ListObjects) -> Result<ListPage> {
        self.0.list_objects(request).await
    }
    async fn create_upload(&self, key: &str, headers: &Headers) -> Result<UploadId> {
        self.0.create_upload(key, headers).await
    }
    async fn put_part(&self, key: &str, upload: &UploadId, number: PartNumber, payload: Payload) -> Result<Part> {
        self.0.put_part(key, upload, number, payload).await
    }
    async fn copy_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: PartNumber,
        _: &CopySource,
        _: Range<u64>,
    ) -> Result<Part> {
        self.0.put_part(key, upload, number, Payload::default()).await
    }
    async fn complete_upload(&self, key: &str, id: &UploadId, parts: &[Part], _: &Condition) -> Result<ETag> {
        self.0.complete_upload(key, id, parts, &Condition::None).await
    }
    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<()> {
        self.0.abort_upload(key, upload).await
    }
    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Vec<Part>> {
        self.0.list_parts(key, upload).await
    }
    async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        self.0.list_uploads(prefix).await
    }
}

fn able(findings: &Findings) -> Vec<Capability> {
    Capability::ALL.into_iter().filter(|capability| capability.is_in(&findings.facts)).collect()
}

/// The most careful row.
fn nothing() -> Facts {
    let mut facts = Facts::S3;
    Capability::ALL.into_iter().for_each(|capability| *capability.place(&mut facts) = false);
    facts
}

#[tokio::test]
async fn what_a_store_has_is_found_and_nothing_is_left_behind() {
    let store = Memory::with_facts(Facts { listing_metadata: true, ..Facts::S3 });
    store.put_object("a/kept", Payload::default(), &Headers::default(), &Condition::None).await.unwrap();
    let findings = probe(&store, &nothing(), "a/").await.unwrap();
    use Capability::*;
    let all = [ConditionalWrites, UserMetadata, ListingMetadata, CopyPart, CopyConditions, MultiDelete];
    assert_eq!(able(&findings), all);
    assert!(findings.verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Yes), "{findings:?}");
    assert_eq!((store.keys(), store.uploads_open()), (vec!["a/kept".to_owned()], 0));
}

#[tokio::test]
async fn what_a_store_says_that_it_lacks_is_missing() {
    let store = Memory::with_facts(Facts { conditional_writes: false, ..Facts::S3 });
    store.lose(Op::CopyPart, 1, Lost::Refused(Kind::NotImplemented));
    store.lose(Op::CopyObject, 1, Lost::Refused(Kind::NotImplemented));
    store.lose(Op::DeleteObjects, 1, Lost::Refused(Kind::NotImplemented));
    let row = Facts { listing_metadata: true, move_object: true, ..Facts::S3 };
    let findings = probe(&store, &row, "").await.unwrap();
    assert!(able(&findings).contains(&Capability::UserMetadata));
    for lacks in [Capability::ConditionalWrites, Capability::ListingMetadata, Capability::CopyPart] {
        assert!(findings.verdicts.contains(&(lacks, Verdict::No)), "{lacks:?} in {findings:?}");
    }
    for lacks in [Capability::CopyConditions, Capability::MultiDelete] {
        assert!(findings.verdicts.contains(&(lacks, Verdict::No)), "{lacks:?} in {findings:?}");
    }
    assert_eq!((store.keys().len(), store.uploads_open()), (0, 0));
}

#[tokio::test]
async fn what_a_store_ignores_is_missing_too() {
    let store = Careless(Memory::new());
    let row = Facts { listing_metadata: true, move_object: true, ..Facts::S3 };
    let findings = probe(&store, &row, "").await.unwrap();
    assert_eq!(able(&findings), [], "{findings:?}");
    assert_eq!((store.0.keys().len(), store.0.uploads_open()), (0, 0));
}

#[tokio::test]
async fn conditions_that_only_puts_honour_are_not_enough() {
    let store = Memory::new();
    store.lose(Op::CompleteUpload, 1, Lost::Refused(Kind::NotImplemented));
    let findings = probe(&store, &Facts::S3, "").await.unwrap();
    assert!(!findings.facts.conditional_writes);
}

#[tokio::test]
async fn what_cannot_be_found_out_stays_as_it_was_assumed() {
    for assumed in [true, false] {
        let store = Memory::new();
        let row = Facts { copy_part: assumed, copy_conditions: assumed, user_metadata: assumed, ..Facts::S3 };
        store.lose(Op::CopyPart, 1, Lost::Request);
        store.lose(Op::CopyObject, 1, Lost::Refused(Kind::AccessDenied));
        store.lose(Op::HeadObject, 1, Lost::Refused(Kind::Unavailable));
        let facts = probe(&store, &row, "").await.unwrap().facts;
        assert_eq!((facts.copy_part, facts.copy_conditions, facts.user_metadata), (assumed, assumed, assumed));
        assert_eq!((store.keys().len(), store.uploads_open()), (0, 0));
    }
}

#[tokio::test]
async fn where_nothing_may_be_written_nothing_is_known() {
    let store = Memory::new();
    store.lose(Op::PutObject, 1, Lost::Refused(Kind::AccessDenied));
    assert_eq!(probe(&store, &Facts::S3, "").await.unwrap_err().kind, Kind::AccessDenied);
    assert_eq!(store.calls(Op::PutObject), 1, "and it is not tried again");
}

#[tokio::test]
async fn a_lost_answer_leaves_nothing_behind() {
    for op in [Op::PutObject, Op::CreateUpload, Op::CopyPart, Op::CopyObject, Op::CompleteUpload] {
        let store = Memory::new();
        store.lose(op, 1, Lost::Answer);
        let _ = probe(&store, &Facts::S3, "").await;
        assert_eq!(store.keys().len(), 0, "{op}");
        assert_eq!(store.uploads_open(), usize::from(op == Op::CreateUpload), "{op}: nobody knows of that upload");
    }
}

#[test]
fn scratch_keys_lie_directly_below_the_prefix() {
    let key = scratch_key("a/b/");
    assert!(key.starts_with("a/b/.brigade-probe-") && key.len() == "a/b/.brigade-probe-".len() + 16, "{key}");
    assert_ne!(key, scratch_key("a/b/"));
}
