//! The store against a model, across crashes, and with many writers.

mod sealing;

use super::*;
use crate::server::backend::blobs::Pending;
use crate::server::backend::record::Attributes;
use crate::server::backend::record::BlobId;
use crate::server::backend::record::Content;
use crate::server::backend::record::Millis;
use crate::server::backend::record::PartRecord;
use crate::server::backend::record::Protection;
use crate::server::backend::tables::Copied;
use crate::server::backend::tables::CopyObject;
use crate::server::backend::tables::Name;
use crate::server::backend::tables::NewObject;
use crate::server::backend::uploads::Complete;
use crate::server::backend::uploads::CopyPart;
use crate::server::backend::uploads::UploadName;
use crate::server::backend::uploads::WantedPart;
use crate::server::condition::ReadCondition;
use crate::server::condition::WriteCondition;
use crate::wire::checksum::Algorithm;
use crate::wire::checksum::Scope;
use crate::wire::checksum::checksum;
use crate::wire::etag::ETag;
use crate::wire::etag::ETagList;
use futures_util::StreamExt;
use md5::Digest;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tempfile::TempDir;

const BUCKET: &str = "bkt";
const NOW: Millis = Millis(1_700_000_000_000);

struct Store {
    dir: TempDir,
    backend: Option<Backend>,
}

impl Store {
    async fn new(sync: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let backend = Backend::open(dir.path(), sync).unwrap();
        backend.write(|tables| tables.create_bucket(BUCKET, NOW)).await.unwrap();
        Self { dir, backend: Some(backend) }
    }

    fn get(&self) -> &Backend {
        self.backend.as_ref().unwrap()
    }

    /// Closes and opens again.
    fn reopen(&mut self) {
        self.backend = None;
        self.backend = Some(Backend::open(self.dir.path(), true).unwrap());
    }

    async fn put(&self, key: &str, bytes: &[u8], condition: WriteCondition) -> Result<()> {
        self.put_as(Protection::Plain, key, bytes, condition).await
    }

    async fn put_as(&self, want: Protection, key: &str, bytes: &[u8], condition: WriteCondition) -> Result<()> {
        let (object, name) = (self.object(want, bytes), name(key));
        self.get().write(move |tables| tables.put_object(&name, object, &condition)).await
    }

    fn object(&self, protection: Protection, bytes: &[u8]) -> NewObject {
        let (pieces, pending) = self.blob(protection, bytes);
        let record = ObjectRecord {
            size: bytes.len() as u64,
            etag: ETag::of_md5(md5::Md5::digest(bytes).into()),
            modified: NOW,
            attributes: attributes(protection),
            checksum: None,
        };
        NewObject { record, content: Content { pieces, part_sizes: vec![] }, pending }
    }

    /// A blob, also for few bytes, so that blobs are what is tested.
    fn blob(&self, protection: Protection, bytes: &[u8]) -> (Vec<Piece>, Option<Pending>) {
        if bytes.is_empty() {
            return (vec![], None);
        }
        let mut pending = self.get().blobs().create(protection).unwrap();
        pending.write(bytes).unwrap();
        pending.close(true).unwrap();
        (vec![Piece::Blob { id: pending.id(), offset: 0, bytes: bytes.len() as u64 }], Some(pending))
    }

    async fn read(&self, key: &str) -> Result<Vec<u8>> {
        let (reading, key) = (self.get().enter(), key.to_owned());
        let found = self.get().read(move |snapshot| {
            let record = snapshot.object(BUCKET, &key)?;
            let content = snapshot.content(BUCKET, &key)?;
            Ok((snapshot.seals(&record, &content)?, content))
        });
        let (seals, content) = found.await?;
        let mut stream = self.get().stream(content.pieces, seals, reading)?;
        let mut out = Vec::new();
        while let Some(bytes) = stream.next().await {
            out.extend_from_slice(&bytes?);
        }
        Ok(out)
    }

    async fn protection(&self, key: &str) -> Protection {
        let key = key.to_owned();
        let record = self.get().read(move |snapshot| snapshot.object(BUCKET, &key)).await.unwrap();
        record.attributes.protection()
    }

    /// Copies as a request does: with bytes written anew if they must be.
    async fn copy(&self, copy: CopyObject) -> Result<ObjectRecord> {
        let copied = self.get().write(move |tables| tables.copy_object(&copy).map(|copied| (copy, copied))).await?;
        match copied {
            (_, Copied::Shared(record)) => Ok(record),
            (copy, Copied::Differs) => self.get().rewrite_object(copy).await,
        }
    }

    async fn copy_part(&self, copy: CopyPart) -> Result<PartRecord> {
        let copied = self.get().write(move |tables| tables.copy_part(&copy).map(|copied| (copy, copied))).await?;
        match copied {
            (_, Copied::Shared(part)) => Ok(part),
            (copy, Copied::Differs) => self.get().rewrite_part(copy).await,
        }
    }

    async fn list(&self) -> Vec<String> {
        let query = Query { limit: 1000, ..Query::default() };
        let page = self.get().read(move |snapshot| list_objects(snapshot, BUCKET, &query, None)).await.unwrap();
        page.keys.into_iter().map(|(key, _)| key).collect()
    }

    async fn put_part(&self, id: &str, number: u32, bytes: &[u8]) -> ETag {
        let (pieces, pending) = self.blob(Protection::Plain, bytes);
        let md5 = md5::Md5::digest(bytes).into();
        let sum = Some(checksum(Algorithm::Crc32c, bytes));
        let part = PartRecord { size: bytes.len() as u64, md5, modified: NOW, checksum: sum, pieces };
        let upload = upload("target", id);
        self.get().write(move |tables| tables.put_part(&upload, number, &part, pending)).await.unwrap();
        ETag::of_md5(md5)
    }

    async fn begin(&self, id: &str) {
        self.begin_as(Protection::Plain, id).await;
    }

    async fn begin_as(&self, protection: Protection, id: &str) {
        let record = UploadRecord {
            initiated: NOW,
            attributes: attributes(protection),
            checksum: Some((Algorithm::Crc32c, Scope::FullObject)),
        };
        let upload = upload("target", id);
        self.get().write(move |tables| tables.create_upload(&upload, &record)).await.unwrap();
    }

    async fn complete(&self, complete: Complete) -> Result<ObjectRecord> {
        self.get().write(move |tables| tables.complete_upload(&complete)).await
    }

    async fn seal_count(&self) -> u64 {
        self.get().write(|tables| tables.seal_count()).await.unwrap()
    }

    /// The blobs that sealed objects name.
    async fn sealed_blobs(&self) -> u64 {
        let mut found = std::collections::BTreeSet::new();
        for key in self.list().await {
            let seals = self.get().read(move |snapshot| {
                let (record, content) = (snapshot.object(BUCKET, &key)?, snapshot.content(BUCKET, &key)?);
                snapshot.seals(&record, &content)
            });
            found.extend(seals.await.unwrap().into_keys());
        }
        found.len() as u64
    }

    async fn blob_count(&self) -> u64 {
        self.get().write(|tables| tables.blob_count()).await.unwrap()
    }

    /// Files there are, once those that are to go have gone: they do so behind everybody's back.
    async fn settled_files(&self, want: usize) -> usize {
        for _ in 0..5000 {
            if self.files() == want {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        self.files()
    }

    fn files(&self) -> usize {
        let root = self.dir.path().join(BLOBS_DIRECTORY);
        let dirs = std::fs::read_dir(root).unwrap().map(|dir| dir.unwrap().path());
        dirs.filter_map(|dir| std::fs::read_dir(dir).ok()).map(Iterator::count).sum()
    }
}

fn attributes(protection: Protection) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.set_protection(protection);
    attributes
}

fn name(key: &str) -> Name {
    Name { bucket: BUCKET.into(), key: key.into() }
}

fn upload(key: &str, id: &str) -> UploadName {
    UploadName { name: name(key), id: id.into() }
}

fn complete(id: &str, parts: &[(u32, &ETag)]) -> Complete {
    let wanted =
        |(number, etag): &(u32, &ETag)| WantedPart { number: *number, etag: (*etag).clone(), checksums: vec![] };
    Complete {
        upload: upload("target", id),
        parts: parts.iter().map(wanted).collect(),
        condition: WriteCondition::default(),
        checksum: None,
        size: None,
        dialect: crate::wire::dialect::Dialect::S3,
        part_bytes_min: 3,
        now: NOW,
    }
}

fn copy(source: &str, target: &str) -> CopyObject {
    CopyObject {
        source: name(source),
        source_condition: ReadCondition::default(),
        target: name(target),
        target_condition: WriteCondition::default(),
        replace: None,
        storage_class: None,
        protection: None,
        bytes_max: 1 << 20,
        now: NOW,
    }
}

fn always() -> WriteCondition {
    WriteCondition::default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_after_opening_again() {
    let mut store = Store::new(true).await;
    store.put("a", b"first", always()).await.unwrap();
    store.put("b", b"", always()).await.unwrap();
    store.reopen();
    assert_eq!(store.read("a").await.unwrap(), b"first");
    assert_eq!(store.read("b").await.unwrap(), b"");
    assert_eq!(store.list().await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_sync_a_clean_end_keeps_everything() {
    let mut store = Store::new(false).await;
    for number in 0..20 {
        store.put("k", format!("version {number}").as_bytes(), always()).await.unwrap();
    }
    store.reopen();
    assert_eq!(store.read("k").await.unwrap(), b"version 19");
    assert_eq!(store.settled_files(1).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_commit_leaves_the_old_object_and_no_litter() {
    let mut store = Store::new(true).await;
    store.put("k", b"old", always()).await.unwrap();
    let mut lost = store.object(Protection::Plain, b"new, never named");
    // What a killed process does: the file stays, nobody runs its destructor.
    std::mem::forget(lost.pending.take());
    assert_eq!(store.files(), 2);
    store.reopen();
    assert_eq!(store.read("k").await.unwrap(), b"old");
    assert_eq!(store.settled_files(1).await, 1, "the blob that nothing names was collected");
    store.put("k", b"new", always()).await.unwrap();
    assert_eq!(store.read("k").await.unwrap(), b"new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_changes_nothing_and_leaves_no_file() {
    let store = Store::new(true).await;
    store.put("k", b"old", always()).await.unwrap();
    let absent = WriteCondition { if_match: None, if_none_match: Some(ETagList::Any) };
    let refused = store.put("k", b"new", absent).await;
    assert!(matches!(refused, Err(Error::PreconditionFailed("If-None-Match"))));
    assert_eq!(store.read("k").await.unwrap(), b"old");
    assert_eq!((store.files(), store.blob_count().await), (1, 1));
    let elsewhere = store.object(Protection::Plain, b"x");
    let nowhere = Name { bucket: "none".into(), key: "k".into() };
    let refused = store.get().write(move |tables| tables.put_object(&nowhere, elsewhere, &always())).await;
    assert!(matches!(refused, Err(Error::NoSuchBucket)));
    assert_eq!(store.files(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_finishes_what_it_began_though_the_object_is_gone() {
    let store = Store::new(true).await;
    let bytes = vec![7; 1 << 20];
    store.put("k", &bytes, always()).await.unwrap();
    let reading = store.get().enter();
    let content = store.get().read(|snapshot| snapshot.content(BUCKET, "k")).await.unwrap();
    store.get().write(|tables| tables.delete_object(&name("k"))).await.unwrap();
    store.put("other", b"more commits", always()).await.unwrap();
    assert!(matches!(store.read("k").await, Err(Error::NoSuchKey)));
    let mut stream = store.get().stream(content.pieces, Seals::new(), reading).unwrap();
    let mut read = 0;
    while let Some(piece) = stream.next().await {
        read += piece.unwrap().len();
    }
    assert_eq!(read, bytes.len());
    drop(stream);
    assert_eq!(store.settled_files(1).await, 1, "it goes when the reader has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_panics_takes_nothing_with_it_but_its_batch() {
    let store = Store::new(true).await;
    let broken = store.get().write(|_| -> Result<()> { panic!("a bug") }).await;
    assert!(matches!(broken, Err(Error::Storage(_))));
    store.put("k", b"later", always()).await.unwrap();
    assert_eq!(store.read("k").await.unwrap(), b"later");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_conditional_writers_one_wins() {
    let store = Arc::new(Store::new(true).await);
    let absent = WriteCondition { if_match: None, if_none_match: Some(ETagList::Any) };
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50u8 {
        let (store, absent) = (Arc::clone(&store), absent.clone());
        tasks.spawn(async move { store.put("k", &[number], absent).await.is_ok().then_some(number) });
    }
    let won: Vec<u8> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(store.read("k").await.unwrap(), won);
    assert_eq!(store.settled_files(1).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_become_the_object_in_one_step() {
    let mut store = Store::new(true).await;
    store.put("target", b"before", always()).await.unwrap();
    store.begin("u").await;
    let (first, third) = (store.put_part("u", 1, b"abc").await, store.put_part("u", 3, b"de").await);
    let replaced = store.put_part("u", 1, b"xyz").await;
    store.put_part("u", 7, b"not listed").await;
    store.reopen();
    assert_eq!(store.read("target").await.unwrap(), b"before");
    let refused = [
        (complete("u", &[(3, &third), (1, &replaced)]), "InvalidPartOrder"),
        (complete("u", &[(1, &replaced), (1, &replaced)]), "InvalidPartOrder"),
        (complete("u", &[(1, &first), (3, &third)]), "InvalidPart"),
        (complete("u", &[(1, &replaced), (2, &third)]), "InvalidPart"),
        (complete("u", &[(3, &third), (7, &third)]), "InvalidPart"),
        (complete("v", &[(1, &replaced)]), "NoSuchUpload"),
        (Complete { size: Some(6), ..complete("u", &[(1, &replaced), (3, &third)]) }, "SizeMismatch"),
        (
            Complete {
                checksum: Some(checksum(Algorithm::Crc32c, b"xyzdf")),
                ..complete("u", &[(1, &replaced), (3, &third)])
            },
            "ChecksumMismatch",
        ),
        (
            Complete {
                condition: WriteCondition { if_match: None, if_none_match: Some(ETagList::Any) },
                ..complete("u", &[(1, &replaced), (3, &third)])
            },
            "PreconditionFailed",
        ),
    ];
    for (request, want) in refused {
        let error = format!("{:?}", store.complete(request).await.unwrap_err());
        assert!(error.starts_with(want), "{error} instead of {want}");
        assert_eq!(store.read("target").await.unwrap(), b"before", "after {want}");
    }
    let good = || Complete {
        checksum: Some(checksum(Algorithm::Crc32c, b"xyzde")),
        size: Some(5),
        ..complete("u", &[(1, &replaced), (3, &third)])
    };
    let record = store.complete(good()).await.unwrap();
    assert_eq!(record.etag, ETag::of_parts([replaced.md5().unwrap(), third.md5().unwrap()]));
    assert_eq!(store.read("target").await.unwrap(), b"xyzde");
    store.reopen();
    assert_eq!(store.complete(good()).await.unwrap(), record, "a repeated request is answered again");
    let other = store.complete(complete("u", &[(1, &replaced)])).await;
    assert!(matches!(other, Err(Error::NoSuchUpload)), "with other parts it is another request");
    assert_eq!((store.settled_files(2).await, store.blob_count().await), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_too_small_is_refused_unless_it_is_the_last() {
    let store = Store::new(true).await;
    store.begin("u").await;
    let (small, large) = (store.put_part("u", 1, b"ab").await, store.put_part("u", 2, b"abc").await);
    let refused = store.complete(complete("u", &[(1, &small), (2, &large)])).await;
    assert!(matches!(refused, Err(Error::PartTooSmall { number: 1, bytes: 2 })));
    store.complete(complete("u", &[(1, &small)])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_upload_leaves_nothing_and_takes_no_more_parts() {
    let store = Store::new(true).await;
    store.begin("u").await;
    store.put_part("u", 1, b"abc").await;
    store.get().write(|tables| tables.abort_upload(&upload("target", "u"))).await.unwrap();
    assert_eq!((store.settled_files(0).await, store.blob_count().await), (0, 0));
    let (pieces, pending) = store.blob(Protection::Plain, b"late");
    let part = PartRecord { size: 4, md5: [0; 16], modified: NOW, checksum: None, pieces };
    let late = store.get().write(move |tables| tables.put_part(&upload("target", "u"), 1, &part, pending)).await;
    assert!(matches!(late, Err(Error::NoSuchUpload)));
    let again = store.get().write(|tables| tables.abort_upload(&upload("target", "u"))).await;
    assert!(matches!(again, Err(Error::NoSuchUpload)));
    assert_eq!(store.settled_files(0).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_share_blobs_until_the_last_is_gone() {
    let store = Store::new(true).await;
    store.put("target", b"0123456789", always()).await.unwrap();
    store.copy(copy("target", "copy")).await.unwrap();
    store.begin("u").await;
    let part = |number, range| CopyPart {
        upload: upload("target", "u"),
        number,
        source: name("target"),
        source_condition: ReadCondition::default(),
        range,
        bytes_max: 100,
        now: NOW,
    };
    let outside = store.get().write(move |tables| tables.copy_part(&part(1, Some(5..11)))).await;
    assert!(matches!(outside, Err(Error::RangeOutside(10))));
    let first = store.copy_part(part(1, Some(2..6))).await.unwrap();
    let second = store.copy_part(part(2, None)).await.unwrap();
    assert_eq!(store.files(), 1, "no bytes were moved");
    let (first, second) = (ETag::of_md5(first.md5), ETag::of_md5(second.md5));
    // The object is put together from itself.
    store.complete(complete("u", &[(1, &first), (2, &second)])).await.unwrap();
    assert_eq!(store.read("target").await.unwrap(), b"23450123456789");
    store.get().write(|tables| tables.delete_object(&name("target"))).await.unwrap();
    assert_eq!(store.read("copy").await.unwrap(), b"0123456789");
    store.get().write(|tables| tables.delete_object(&name("copy"))).await.unwrap();
    assert_eq!((store.settled_files(0).await, store.blob_count().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_go_only_when_nothing_is_in_them() {
    let store = Store::new(true).await;
    let delete = || store.get().write(|tables| tables.delete_bucket(BUCKET));
    // A neighbour whose name begins in the same way is not in the bucket.
    store.get().write(|tables| tables.create_bucket("bkt-2", NOW)).await.unwrap();
    let neighbour = (store.object(Protection::Plain, b"x"), Name { bucket: "bkt-2".into(), key: "k".into() });
    store.get().write(move |tables| tables.put_object(&neighbour.1, neighbour.0, &always())).await.unwrap();
    store.put("k", b"x", always()).await.unwrap();
    assert!(matches!(delete().await, Err(Error::BucketNotEmpty)));
    store.get().write(|tables| tables.delete_object(&name("k"))).await.unwrap();
    store.begin("u").await;
    assert!(matches!(delete().await, Err(Error::BucketNotEmpty)), "an unfinished upload");
    store.get().write(|tables| tables.abort_upload(&upload("target", "u"))).await.unwrap();
    delete().await.unwrap();
    assert!(matches!(delete().await, Err(Error::NoSuchBucket)));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_listed_in_pages() {
    let store = Store::new(true).await;
    let keys = [("a/1", "u1"), ("a/2", "u2"), ("b", "u3"), ("b", "u4"), ("c", "u5")];
    for (key, id) in keys {
        let record = UploadRecord { initiated: NOW, attributes: Attributes::default(), checksum: None };
        store.get().write(move |tables| tables.create_upload(&upload(key, id), &record)).await.unwrap();
    }
    for limit in 1..6 {
        let mut query = UploadsQuery { limit, ..UploadsQuery::default() };
        let mut got = Vec::new();
        loop {
            let asked = query.clone();
            let page = store.get().read(move |snapshot| list_uploads(snapshot, BUCKET, &asked)).await.unwrap();
            assert!(page.uploads.len() <= limit);
            got.extend(page.uploads.into_iter().map(|(key, id, _)| (key, id)));
            let Some((key, id)) = page.next else { break };
            (query.key_marker, query.upload_id_marker) = (key, id);
        }
        let want: Vec<(String, String)> = keys.iter().map(|(key, id)| ((*key).into(), (*id).into())).collect();
        assert_eq!(got, want, "{limit} at once");
    }
    let rolled = UploadsQuery { delimiter: Some("/".into()), limit: 2, ..UploadsQuery::default() };
    let page = store.get().read(move |snapshot| list_uploads(snapshot, BUCKET, &rolled)).await.unwrap();
    assert_eq!((page.prefixes, page.uploads.len()), (vec!["a/".into()], 1));
    assert_eq!(page.next, Some(("b".into(), "u3".into())));
}

#[test]
fn blobs_of_this_run_are_not_collected() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = |run| Blobs::open(dir.path().into(), run, KeyFile::open(dir.path(), None).unwrap()).unwrap();
    let first = blobs(1);
    let mut kept = first.create(Protection::Plain).unwrap();
    kept.write(b"x").unwrap();
    kept.close(false).unwrap();
    assert_eq!(kept.id(), BlobId(1 << 40));
    kept.keep();
    assert!(first.old_directories().unwrap().is_empty());
    let second = blobs(2);
    let old: Vec<Vec<BlobId>> = second.old_directories().unwrap().iter().map(|dir| dir.ids().unwrap()).collect();
    assert_eq!(old, [[BlobId(1 << 40)]]);
    drop(second.create(Protection::Plain).unwrap());
    assert!(second.create(Protection::Plain).unwrap().id() > second.first_of_run());
}

/// What a client may do, over two keys.
#[derive(Clone, Debug)]
enum Act {
    Put(u8, Vec<u8>, Protection),
    Delete(u8),
    Copy(u8, u8, Option<Protection>),
    Reopen,
}

fn protection() -> impl Strategy<Value = Protection> {
    prop_oneof![Just(Protection::Plain), Just(Protection::Sealed)]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0u8..3, prop::collection::vec(any::<u8>(), 0..4), protection())
            .prop_map(|(key, bytes, protection)| Act::Put(key, bytes, protection)),
        2 => (0u8..3).prop_map(Act::Delete),
        3 => (0u8..3, 0u8..3, prop::option::of(protection())).prop_map(|(from, to, want)| Act::Copy(from, to, want)),
        1 => Just(Act::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_history_leaves_what_a_map_would_hold(acts in prop::collection::vec(act(), 1..12)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut store = Store::new(true).await;
            let mut model: BTreeMap<String, (Vec<u8>, Protection)> = BTreeMap::new();
            for act in acts {
                match act {
                    Act::Put(key, bytes, protection) => {
                        store.put_as(protection, &key.to_string(), &bytes, always()).await.unwrap();
                        model.insert(key.to_string(), (bytes, protection));
                    }
                    Act::Delete(key) => {
                        store.get().write(move |tables| tables.delete_object(&name(&key.to_string()))).await.unwrap();
                        model.remove(&key.to_string());
                    }
                    Act::Copy(from, to, protection) => {
                        let spec = CopyObject { protection, ..copy(&from.to_string(), &to.to_string()) };
                        let copied = store.copy(spec).await;
                        match model.get(&from.to_string()).cloned() {
                            Some((bytes, own)) if from != to || protection.is_some() => {
                                let protection = protection.unwrap_or(own);
                                assert_eq!(copied.unwrap().attributes.protection(), protection);
                                model.insert(to.to_string(), (bytes, protection));
                            }
                            Some(_) => assert!(matches!(copied, Err(Error::CopyOntoItself))),
                            None => assert!(matches!(copied, Err(Error::NoSuchKey))),
                        }
                    }
                    Act::Reopen => store.reopen(),
                }
            }
            assert_eq!(store.list().await, model.keys().cloned().collect::<Vec<_>>());
            for (key, (bytes, protection)) in &model {
                assert_eq!(&store.read(key).await.unwrap(), bytes);
                assert_eq!(store.protection(key).await, *protection);
            }
            assert_eq!(store.seal_count().await, store.sealed_blobs().await, "a key for each sealed blob, and no other");
            // Every file is named and every name has a file.
            let named = usize::try_from(store.blob_count().await).unwrap();
            assert_eq!(store.settled_files(named).await, named);
        });
    }
}
