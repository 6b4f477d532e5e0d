//! Blocks on local disk (`--cache-dir`): what was read is read again without a request, also by the next mount, and nothing
//! that happens to the disk or to the object is an error, or wrong bytes.

use crate::backend::BUCKET;
use crate::files::Seen;
use crate::files::noise;
use crate::journal::SmallDisk;
use crate::mounted::MountedBucket;
use crate::program;
use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// Files of several sizes: within a block, one block, and some with a last one that is not full.
const SIZES: [usize; 4] = [5, 256 << 10, MIB + 17, 7 * MIB + 4096];

fn with_cache(dir: &Path, more: &[&str]) -> Seen {
    Seen::new(&[&["--cache-dir", dir.to_str().unwrap()], more].concat())
}

fn put_all(seen: &Seen) {
    for (seed, size) in (1..).zip(SIZES) {
        seen.put(&size.to_string(), &noise(size, seed));
    }
}

#[track_caller]
fn read_all(seen: &Seen) {
    for (seed, size) in (1..).zip(SIZES) {
        assert!(fs::read(seen.mounted.join(&size.to_string())).unwrap() == noise(size, seed), "{size} bytes");
    }
}

/// The files of the cache.
fn kept(dir: &Path) -> Vec<PathBuf> {
    let within = |dir: &Path| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let shelves = within(&dir.join("blocks")).into_iter().filter(|path| path.is_dir());
    shelves.flat_map(|shelf| within(&shelf)).collect()
}

#[test]
fn what_was_read_is_read_by_the_next_mount_without_a_request() {
    let dir = TempDir::new().unwrap();
    let seen = with_cache(dir.path(), &[]);
    put_all(&seen);
    read_all(&seen);
    let seen = seen.mounted_after_unmount();
    let before = seen.backend.requests("GetObject");
    read_all(&seen);
    // Another way of reading, and another process.
    let file = File::open(seen.mounted.join(&SIZES[3].to_string())).unwrap();
    seen.mounted.crash_worker();
    for at in [5 * MIB + 1, 3, 7 * MIB, 2 * MIB] {
        let mut piece = vec![0; 70_000];
        let len = file.read_at(&mut piece, at as u64).unwrap();
        assert!(len > 0 && piece[..len] == noise(SIZES[3], 4)[at..at + len], "at {at}");
    }
    drop(file);
    assert_eq!(seen.backend.requests("GetObject"), before);
    seen.mounted_uploads_are_gone();
}

#[test]
fn an_upgrade_keeps_the_cache() {
    let dir = TempDir::new().unwrap();
    let seen = with_cache(dir.path(), &[]);
    put_all(&seen);
    read_all(&seen);
    let ran = seen.mounted.upgrade();
    assert_eq!(ran.status, 0, "{ran:?}");
    let seen = seen.mounted_after_unmount();
    let before = seen.backend.requests("GetObject");
    read_all(&seen);
    assert_eq!(seen.backend.requests("GetObject"), before);
    assert!(!seen.mounted.log().contains("without a cache"), "{}", seen.mounted.log());
    seen.mounted_uploads_are_gone();
}

#[test]
fn a_damaged_block_is_fetched_again() {
    let dir = TempDir::new().unwrap();
    let seen = with_cache(dir.path(), &[]);
    put_all(&seen);
    read_all(&seen);
    let seen = seen.mounted_after_unmount();
    // The files with the blocks; it may have read the others already.
    for path in kept(dir.path()).into_iter().filter(|path| path.extension().is_none()) {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        let at = file.metadata().unwrap().len() / 2;
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[!byte[0]], at).unwrap();
    }
    let before = seen.backend.requests("GetObject");
    read_all(&seen);
    assert!(seen.backend.requests("GetObject") > before);
    let seen = seen.mounted_after_unmount();
    let before = seen.backend.requests("GetObject");
    read_all(&seen);
    assert_eq!(seen.backend.requests("GetObject"), before, "the good ones were kept");
    seen.mounted_uploads_are_gone();
}

#[test]
fn a_cache_that_is_removed_or_full_is_no_error() {
    let Some(disk) = SmallDisk::new("2m") else {
        println!("skipped: mounting a small tmpfs for the cache is not permitted here");
        return;
    };
    let seen = with_cache(Path::new(disk.path()), &[]);
    put_all(&seen);
    for (seed, size) in (11..).zip(SIZES) {
        seen.put(&format!("late{seed}"), &noise(size, seed));
    }
    read_all(&seen);
    let seen = seen.mounted_after_unmount();
    read_all(&seen);
    fs::remove_dir_all(Path::new(disk.path()).join("blocks")).unwrap();
    let seen = seen.mounted_after_unmount();
    read_all(&seen);
    fs::remove_dir_all(Path::new(disk.path()).join("blocks")).unwrap();
    for (seed, size) in (11..).zip(SIZES) {
        assert!(fs::read(seen.mounted.join(&format!("late{seed}"))).unwrap() == noise(size, seed));
    }
    seen.mounted_uploads_are_gone();
}

#[test]
fn the_cache_takes_no_more_than_its_limit() {
    let dir = TempDir::new().unwrap();
    // With memory for all that waits to be written.
    let options = ["--cache-limit", "64MiB", "--memory-limit", "1GiB"];
    let seen = with_cache(dir.path(), &options);
    for seed in 0..4 {
        seen.put(&seed.to_string(), &noise(25 * MIB, seed));
    }
    for seed in 0..4 {
        assert!(fs::read(seen.mounted.join(&seed.to_string())).unwrap() == noise(25 * MIB, seed));
    }
    let seen = seen.mounted_after_unmount();
    let used: u64 = kept(dir.path()).iter().map(|path| fs::metadata(path).unwrap().blocks() * 512).sum();
    assert!((32 << 20..=64 << 20).contains(&used), "{used} bytes");
    let requests = |seed: u64| {
        let before = seen.backend.requests("GetObject");
        assert!(fs::read(seen.mounted.join(&seed.to_string())).unwrap() == noise(25 * MIB, seed));
        seen.backend.requests("GetObject") - before
    };
    assert_eq!(requests(3), 0, "the last one is there");
    assert!(requests(0) > 0, "the first one had to go");
    seen.mounted_uploads_are_gone();
}

#[test]
fn an_object_that_was_replaced_is_read_as_it_is_now() {
    let dir = TempDir::new().unwrap();
    let seen = with_cache(dir.path(), &["--metadata-ttl", "0"]);
    for seed in 0..3 {
        seen.put("file", &noise(2 * MIB, seed));
        assert!(fs::read(seen.mounted.join("file")).unwrap() == noise(2 * MIB, seed), "version {seed}");
    }
    // What this mount writes is another version too.
    fs::write(seen.mounted.join("file"), noise(2 * MIB, 9)).unwrap();
    assert!(fs::read(seen.mounted.join("file")).unwrap() == noise(2 * MIB, 9));
    seen.put("file", &noise(2 * MIB, 1));
    let before = seen.backend.requests("GetObject");
    assert!(fs::read(seen.mounted.join("file")).unwrap() == noise(2 * MIB, 1));
    assert_eq!(seen.backend.requests("GetObject"), before, "it was read before");
    seen.mounted_uploads_are_gone();
}

#[test]
fn a_directory_serves_one_mount_at_a_time() {
    let dir = TempDir::new().unwrap();
    let seen = with_cache(dir.path(), &[]);
    let home = TempDir::new().unwrap();
    let mnt = home.path().join("mnt");
    fs::create_dir(&mnt).unwrap();
    let mut second = program::brigade(home.path());
    seen.backend.reach(&mut second);
    second.args(["mount", &format!("s3://{BUCKET}")]).arg(&mnt).arg("--cache-dir").arg(dir.path());
    program::run(&mut second).refused(1, &["cache", dir.path().to_str().unwrap(), "in use by another mount"]);
    let backend = seen.into_backend();
    let options = ["--cache-dir", dir.path().to_str().unwrap()];
    MountedBucket::mount(&format!("s3://{BUCKET}"), &options, |command| backend.reach(command)).unmount();
}
