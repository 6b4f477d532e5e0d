//! Sealed objects in the store: their files, their keys, their copies, and directories from before.

use super::*;
use crate::server::backend::index::META;
use crate::server::backend::index::SEALS;
use crate::server::backend::seal::CHUNK_BYTES;
use proptest::sample::Index;
use redb::ReadableDatabase;
use std::ops::Range;
use std::path::PathBuf;

const SECRET: &[u8] = b"nobody who has only the disk reads this line ";

fn secret(bytes: usize) -> Vec<u8> {
    SECRET.iter().copied().cycle().take(bytes).collect()
}

impl Store {
    async fn put_sealed(&self, key: &str, bytes: &[u8]) {
        self.put_as(Protection::Sealed, key, bytes, always()).await.unwrap();
    }

    fn blob_paths(&self) -> Vec<PathBuf> {
        let dirs = std::fs::read_dir(self.dir.path().join(BLOBS_DIRECTORY)).unwrap();
        dirs.flat_map(|dir| std::fs::read_dir(dir.unwrap().path()).unwrap()).map(|file| file.unwrap().path()).collect()
    }

    /// How many files hold a piece of the secret.
    fn leaks(&self) -> usize {
        let holds = |path: &PathBuf| std::fs::read(path).unwrap().windows(16).any(|window| window == &SECRET[..16]);
        self.blob_paths().iter().filter(|path| holds(path)).count()
    }

    fn key_path(&self) -> PathBuf {
        self.dir.path().join(key_file::FILE)
    }
}

fn part(number: u32, source: &str, range: Option<Range<u64>>) -> CopyPart {
    CopyPart {
        upload: upload("target", "u"),
        number,
        source: name(source),
        source_condition: ReadCondition::default(),
        range,
        bytes_max: 1 << 20,
        now: NOW,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_object_is_read_while_its_key_is_there() {
    let mut store = Store::new(true).await;
    let bytes = secret(200_000);
    store.put("plain", &bytes, always()).await.unwrap();
    assert!(!store.key_path().exists(), "the key is made when it is needed");
    store.put_sealed("sealed", &bytes).await;
    assert_eq!((store.files(), store.leaks()), (2, 1));
    store.reopen();
    assert_eq!(store.read("sealed").await.unwrap(), bytes);
    let away = store.dir.path().join("away");
    std::fs::rename(store.key_path(), &away).unwrap();
    store.reopen();
    let error = store.read("sealed").await.unwrap_err().to_string();
    assert!(error.contains("is missing"), "{error}");
    assert_eq!(store.read("plain").await.unwrap(), bytes, "what is not sealed is there");
    assert!(store.get().blobs().create(Protection::Sealed).is_err(), "no second key is made");
    assert!(!store.key_path().exists());
    std::fs::rename(&away, store.key_path()).unwrap();
    assert_eq!(store.read("sealed").await.unwrap(), bytes, "the key is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_another_directory_does_not_read() {
    let (mut store, other) = (Store::new(true).await, Store::new(true).await);
    store.put_sealed("k", b"secret").await;
    other.put_sealed("k", b"secret").await;
    std::fs::copy(other.key_path(), store.key_path()).unwrap();
    store.reopen();
    let error = store.read("k").await.unwrap_err().to_string();
    assert!(error.contains("is not the key"), "{error}");
    std::fs::write(store.key_path(), "no key").unwrap();
    store.backend = None;
    let refused = Backend::open(store.dir.path(), true).err().unwrap();
    assert!(matches!(refused, OpenError::Key(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_blob_goes_with_the_last_that_names_it() {
    let store = Store::new(true).await;
    store.put_sealed("a", &secret(100)).await;
    store.copy(copy("a", "b")).await.unwrap();
    assert_eq!((store.files(), store.seal_count().await), (1, 1), "no bytes were moved");
    store.put("a", b"other", always()).await.unwrap();
    assert_eq!(store.read("b").await.unwrap(), secret(100));
    let reading = store.get().enter();
    let found = store.get().read(|snapshot| {
        let (record, content) = (snapshot.object(BUCKET, "b")?, snapshot.content(BUCKET, "b")?);
        Ok((snapshot.seals(&record, &content)?, content))
    });
    let (seals, content) = found.await.unwrap();
    store.get().write(|tables| tables.delete_object(&name("b"))).await.unwrap();
    assert_eq!(store.seal_count().await, 0);
    let stream = store.get().stream(content.pieces, seals, reading).unwrap();
    let read: Vec<u8> = stream.map(|bytes| bytes.unwrap().to_vec()).concat().await;
    assert_eq!(read, secret(100), "whoever has begun reads to the end");
    assert_eq!(store.settled_files(1).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_what_it_says_it_is() {
    let store = Store::new(true).await;
    let bytes = secret(100_000);
    store.put("plain", &bytes, always()).await.unwrap();
    let sealing = CopyObject { protection: Some(Protection::Sealed), ..copy("plain", "sealed") };
    let record = store.copy(sealing).await.unwrap();
    assert_eq!(record.attributes.protection(), Protection::Sealed);
    assert_eq!(record.etag, ETag::of_md5(md5::Md5::digest(&bytes).into()), "the tag is that of the content");
    assert_eq!((store.files(), store.leaks()), (2, 1));
    // Other attributes do not make it another protection.
    let replacing = CopyObject { replace: Some(Attributes::default()), ..copy("sealed", "again") };
    assert_eq!(store.copy(replacing).await.unwrap().attributes.protection(), Protection::Sealed);
    // Onto itself: the encryption is the change.
    let onto = |protection| CopyObject { protection, ..copy("plain", "plain") };
    assert!(matches!(store.copy(onto(None)).await, Err(Error::CopyOntoItself)));
    store.copy(onto(Some(Protection::Sealed))).await.unwrap();
    assert_eq!((store.settled_files(2).await, store.leaks()), (2, 0));
    for key in ["plain", "sealed", "again"] {
        assert_eq!(store.read(key).await.unwrap(), bytes, "{key}");
    }
    let missing = CopyObject { protection: Some(Protection::Sealed), ..copy("none", "x") };
    assert!(matches!(store.copy(missing).await, Err(Error::NoSuchKey)));
}

#[tokio::test(flavor = "multi_thread")]
async fn copied_parts_take_the_protection_of_their_upload() {
    let bytes = secret(150_000);
    let want = [&bytes[1000..70_000], &bytes[65_536..], &bytes[..]].concat();
    for upload_protection in [Protection::Plain, Protection::Sealed] {
        let store = Store::new(true).await;
        store.put("plain", &bytes, always()).await.unwrap();
        store.put_sealed("sealed", &bytes).await;
        store.begin_as(upload_protection, "u").await;
        let first = store.copy_part(part(1, "sealed", Some(1000..70_000))).await.unwrap();
        let second = store.copy_part(part(2, "plain", Some(CHUNK_BYTES..150_000))).await.unwrap();
        let third = store.copy_part(part(3, "sealed", None)).await.unwrap();
        assert_eq!(first.size + second.size + third.size, want.len() as u64);
        assert_eq!(third.md5, <[u8; 16]>::from(md5::Md5::digest(&bytes)));
        let outside = store.copy_part(part(4, "sealed", Some(0..150_001))).await;
        assert!(matches!(outside, Err(Error::RangeOutside(150_000))));
        let tags = [first, second, third].map(|part| ETag::of_md5(part.md5));
        store.complete(complete("u", &[(1, &tags[0]), (2, &tags[1]), (3, &tags[2])])).await.unwrap();
        assert_eq!(store.protection("target").await, upload_protection);
        assert_eq!(store.read("target").await.unwrap(), want);
        let leaks = if upload_protection == Protection::Sealed { 1 } else { 3 };
        assert_eq!(store.leaks(), leaks, "{upload_protection:?}");
        assert_eq!(store.seal_count().await, store.sealed_blobs().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_from_before_opens_unchanged() {
    let mut store = Store::new(true).await;
    store.put("k", b"before", always()).await.unwrap();
    let format = |store: &mut Store| {
        store.backend = None;
        let database = Database::open(store.dir.path().join(INDEX_FILE)).unwrap();
        let meta = database.begin_read().unwrap().open_table(META).unwrap();
        meta.get("format").unwrap().unwrap().value()
    };
    assert_eq!(format(&mut store), 1);
    // As a version wrote it that had no such table.
    let database = Database::open(store.dir.path().join(INDEX_FILE)).unwrap();
    let txn = database.begin_write().unwrap();
    txn.delete_table(SEALS).unwrap();
    txn.commit().unwrap();
    drop(database);
    store.reopen();
    assert_eq!(store.read("k").await.unwrap(), b"before");
    assert_eq!(format(&mut store), 1, "a version from before can go on with it");
    store.reopen();
    store.put_sealed("s", b"secret").await;
    assert_eq!(format(&mut store), 2, "now it would take sealed bytes for the content");
    store.reopen();
    assert_eq!(store.read("s").await.unwrap(), b"secret");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_flipped_bit_of_a_file_is_an_error(at in any::<Index>(), bit in 0u8..8, bytes in 1usize..140_000) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = Store::new(false).await;
            store.put_sealed("k", &secret(bytes)).await;
            let path = store.blob_paths().remove(0);
            let mut file = std::fs::read(&path).unwrap();
            let at = at.index(file.len());
            file[at] ^= 1 << bit;
            std::fs::write(&path, &file).unwrap();
            assert!(store.read("k").await.is_err());
            file[at] ^= 1 << bit;
            std::fs::write(&path, &file).unwrap();
            assert_eq!(store.read("k").await.unwrap(), secret(bytes));
        });
    }
}
