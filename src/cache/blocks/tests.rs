//! The cache on real directories: what one has kept another finds, and what is damaged is not there.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

const WAITING_MAX: usize = 64;
const BLOCK: usize = 256 << 10;

fn options(limit_bytes: u64) -> Options {
    Options { limit_bytes, waiting_max: WAITING_MAX, source: "s3://bucket at http://host".into() }
}

fn opened(dir: &TempDir) -> Arc<BlockCache> {
    BlockCache::open(dir.path(), options(1 << 30)).unwrap()
}

fn noise(seed: u8, len: usize) -> Bytes {
    (0..len).map(|at| u8::try_from(at % 251).unwrap() ^ seed).collect::<Vec<_>>().into()
}

fn object(cache: &BlockCache, key: &str, size: usize) -> Arc<Object> {
    cache.object(key, &ETag::new("tag"), size as u64).unwrap()
}

/// Keeps all blocks of an object, and waits until they are on the disk: the cache ends.
fn keep_all(cache: &BlockCache, key: &str, bytes: &Bytes) {
    let object = object(cache, key, bytes.len());
    for (block, at) in (0..).zip((0..bytes.len()).step_by(BLOCK)) {
        let end = (at + BLOCK).min(bytes.len());
        // In two pieces, as they come from chunks.
        let middle = at + (end - at) / 2;
        object.keep(block, || Some(vec![bytes.slice(at..middle), bytes.slice(middle..end)]));
    }
    cache.end();
}

fn read_all(object: &Object) -> Option<Vec<u8>> {
    object.load();
    let mut reading = object.reading()?;
    let mut whole = Vec::new();
    for block in 0..layout::blocks(object.size) {
        whole.extend_from_slice(reading.block(block)?);
    }
    Some(whole)
}

/// The file with an object's blocks, or with their checksums.
fn file(dir: &TempDir, sums: bool) -> PathBuf {
    let shelves = fs::read_dir(dir.path().join("blocks")).unwrap().map(|entry| entry.unwrap().path());
    let mut files = shelves.filter(|path| path.is_dir()).flat_map(|shelf| fs::read_dir(shelf).unwrap());
    files.find_map(|file| Some(file.unwrap().path()).filter(|path| path.extension().is_some() == sums)).unwrap()
}

#[test]
fn what_one_has_kept_the_next_finds() {
    let dir = TempDir::new().unwrap();
    for size in [1, BLOCK, 3 * BLOCK + 17] {
        let bytes = noise(1, size);
        keep_all(&opened(&dir), "key", &bytes);
        let cache = opened(&dir);
        assert_eq!(read_all(&object(&cache, "key", size)).unwrap(), bytes);
        assert!(read_all(&object(&cache, "other", size)).is_none());
        assert!(read_all(&cache.object("key", &ETag::new("other"), size as u64).unwrap()).is_none(), "another version");
        cache.end();
    }
    let other = Options { source: "s3://other".into(), ..options(1 << 30) };
    let cache = BlockCache::open(dir.path(), other).unwrap();
    assert!(read_all(&object(&cache, "key", 1)).is_none(), "another bucket");
}

#[test]
fn what_has_no_tag_or_no_bytes_is_not_kept() {
    let dir = TempDir::new().unwrap();
    let cache = opened(&dir);
    assert!(cache.object("key", &ETag::new(""), 5).is_none());
    assert!(cache.object("key", &ETag::new("tag"), 0).is_none());
}

#[test]
fn one_process_at_a_time_and_nobody_else() {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let cache = opened(&dir);
    let line = BlockCache::open(dir.path(), options(1)).err().unwrap().to_string();
    assert!(line.contains("is in use by another mount") && !line.contains('\n'), "{line}");
    keep_all(&cache, "key", &noise(1, BLOCK));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.path()), 0o755, "it was there, and is somebody's");
    assert_eq!(mode(&dir.path().join("blocks")), 0o700);
    assert_eq!((mode(&file(&dir, false)), mode(&file(&dir, true))), (0o600, 0o600));
    opened(&dir);
}

/// Something that happens to a file.
type Damage = fn(&mut Vec<u8>);

#[test]
fn a_damaged_block_is_not_there_and_can_be_kept_again() {
    let bytes = noise(3, 2 * BLOCK);
    // A bit of a block, a bit of its entry, a part of either file, all of it.
    let damages: [(bool, Damage); 6] = [
        (false, |bytes| bytes[BLOCK + 5] ^= 1),
        (true, |bytes| bytes[layout::HEADER_BYTES + layout::ENTRY_BYTES] ^= 1),
        (false, |bytes| bytes.truncate(BLOCK + 5)),
        (true, |bytes| bytes.truncate(layout::HEADER_BYTES + layout::ENTRY_BYTES + 3)),
        (false, |bytes| bytes[BLOCK..].fill(0)),
        (true, Vec::clear),
    ];
    for (nth, (sums, damage)) in damages.iter().enumerate() {
        let dir = TempDir::new().unwrap();
        keep_all(&opened(&dir), "key", &bytes);
        let path = file(&dir, *sums);
        let mut contents = fs::read(&path).unwrap();
        damage(&mut contents);
        fs::write(&path, contents).unwrap();
        let cache = opened(&dir);
        assert!(read_all(&object(&cache, "key", bytes.len())).is_none(), "damage {nth}");
        keep_all(&cache, "key", &bytes);
        let cache = opened(&dir);
        assert_eq!(read_all(&object(&cache, "key", bytes.len())).unwrap(), bytes, "damage {nth}");
    }
}

#[test]
fn a_file_of_another_version_is_not_believed() {
    let dir = TempDir::new().unwrap();
    keep_all(&opened(&dir), "key", &noise(1, BLOCK));
    let (data, sums) = (file(&dir, false), file(&dir, true));
    let id = VersionId::new(&options(0).source, "other", &ETag::new("tag"), BLOCK as u64);
    let shelf = dir.path().join("blocks").join(&id.name()[..2]);
    fs::create_dir_all(&shelf).unwrap();
    fs::rename(data, shelf.join(id.name())).unwrap();
    fs::rename(sums, shelf.join(id.name() + ".sums")).unwrap();
    let cache = opened(&dir);
    assert!(read_all(&object(&cache, "other", BLOCK)).is_none());
    cache.end();
    assert!(!shelf.join(id.name()).exists(), "it belongs to nothing");
}

#[test]
fn the_disk_holds_no_more_than_the_limit_also_when_it_is_lowered() {
    let used = |dir: &TempDir| -> u64 {
        let shelves = fs::read_dir(dir.path().join("blocks")).unwrap().map(|entry| entry.unwrap().path());
        let files = shelves.filter(|path| path.is_dir()).flat_map(|shelf| fs::read_dir(shelf).unwrap());
        files.map(|file| std::os::unix::fs::MetadataExt::blocks(&file.unwrap().metadata().unwrap()) * 512).sum()
    };
    let (dir, bytes) = (TempDir::new().unwrap(), noise(1, 10 * BLOCK));
    for key in ["a", "b", "c"] {
        keep_all(&BlockCache::open(dir.path(), options(25 * BLOCK as u64)).unwrap(), key, &bytes);
        assert!((1..=25 * BLOCK as u64).contains(&used(&dir)), "{}", used(&dir));
    }
    let cache = BlockCache::open(dir.path(), options(25 * BLOCK as u64)).unwrap();
    let kept = |cache: &BlockCache, key| read_all(&object(cache, key, bytes.len())).is_some();
    assert_eq!(["a", "b", "c"].map(|key| kept(&cache, key)), [false, true, true], "the oldest went");
    cache.end();
    let cache = BlockCache::open(dir.path(), options(11 * BLOCK as u64)).unwrap();
    cache.end();
    assert!((1..=11 * BLOCK as u64).contains(&used(&dir)), "{}", used(&dir));
}

#[test]
fn others_files_stay() {
    let dir = TempDir::new().unwrap();
    keep_all(&opened(&dir), "key", &noise(1, BLOCK));
    let theirs = [dir.path().join("letter"), file(&dir, false).with_file_name("letter.txt")];
    theirs.iter().for_each(|path| fs::write(path, "dear").unwrap());
    BlockCache::open(dir.path(), options(1)).unwrap().end();
    assert!(theirs.iter().all(|path| path.exists()));
    assert!(!dir.path().join("blocks").join("lock").is_dir());
}
