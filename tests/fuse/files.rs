//! Files and directories in a mount, as programs see them and as the bucket holds them.

use crate::backend::ACCESS_KEY_ID;
use crate::backend::BUCKET;
use crate::backend::Backend;
use crate::backend::SECRET;
use crate::mounted::MountedBucket;
use crate::speech::Speech;
use brigade::http::Origin;
use brigade::store::Condition;
use brigade::store::Headers;
use brigade::store::Kind;
use brigade::store::ListObjects;
use brigade::store::Op;
use brigade::store::Payload;
use brigade::store::Store;
use brigade::store::client::Client;
use brigade::store::client::Options;
use brigade::store::credentials::Credentials;
use brigade::store::provider::Provider;
use bytes::Bytes;
use futures_util::StreamExt;
use rustix::io::Errno;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::chown;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const MIB: usize = 1 << 20;

/// A backend, a mount of its bucket, and a look into the bucket past the mount.
pub struct Seen {
    pub mounted: MountedBucket,
    store: Client,
    runtime: Runtime,
    pub backend: Backend,
    speech: Speech,
    options: Vec<String>,
    /// What mounts keep on local disk, which the next one finds.
    state: TempDir,
}

/// Makes tests out of functions: one for each way of speaking to the backend.
macro_rules! in_every_dialect {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            use crate::speech::Speech;

            #[test]
            fn s3() {
                super::$name(Speech::S3);
            }

            #[test]
            fn jss() {
                super::$name(Speech::Jss);
            }

            #[test]
            fn wos_legacy() {
                super::$name(Speech::WosLegacy);
            }

            #[test]
            fn wos_current() {
                super::$name(Speech::WosCurrent);
            }
        })*
    };
}
pub(crate) use in_every_dialect;

in_every_dialect! {
    files_of_every_size_read_back_as_written,
    a_large_file_goes_up_in_parts_and_appears_whole_at_close,
    fsync_puts_what_is_written_into_the_bucket,
    a_crash_in_the_middle_of_an_upload_leaves_the_old_object,
    directories_and_names_behave_as_on_a_disk,
    files_and_directories_are_renamed_with_all_they_hold,
    modes_owners_times_and_links_are_kept_with_the_objects,
    who_has_opened_a_file_reads_one_version_or_is_told,
    only_the_prefix_is_mounted,
}

impl Seen {
    pub fn new(options: &[&str]) -> Self {
        Self::speaking(Speech::S3, options)
    }

    pub fn speaking(speech: Speech, options: &[&str]) -> Self {
        let backend = Backend::start();
        let state = TempDir::new().unwrap();
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let mounted = Self::mount(&backend, speech, &options, &state);
        let mut to = Options::new(BUCKET, Provider::brigade());
        to.endpoint = Some(Origin::parse(&backend.endpoint()).unwrap());
        let store = Client::connect(to, Arc::new(Credentials::new(ACCESS_KEY_ID, SECRET))).unwrap();
        Self { mounted, store, runtime: Runtime::new().unwrap(), backend, speech, options, state }
    }

    fn mount(backend: &Backend, speech: Speech, options: &[String], state: &TempDir) -> MountedBucket {
        let mut all: Vec<&str> = speech.options().to_vec();
        all.extend(options.iter().map(String::as_str));
        all.extend(["--state-dir", state.path().to_str().unwrap()]);
        MountedBucket::mount(&speech.source(BUCKET), &all, |command| backend.reach(command))
    }

    /// Unmounts and mounts again, so that nothing is remembered.
    pub fn remount(self) -> Self {
        let Self { mounted, store, runtime, backend, speech, state, options } = self;
        mounted.unmount();
        let mounted = Self::mount(&backend, speech, &[], &state);
        Self { mounted, store, runtime, backend, speech, state, options }
    }

    /// Unmounts, which stores everything, and mounts again as before.
    pub fn mounted_after_unmount(self) -> Self {
        let Self { mounted, store, runtime, backend, speech, state, options } = self;
        mounted.unmount();
        let mounted = Self::mount(&backend, speech, &options, &state);
        Self { mounted, store, runtime, backend, speech, state, options }
    }

    /// Mounts again after a crash.
    pub fn mounted_again(self) -> Self {
        let Self { mounted, store, runtime, backend, speech, state, options } = self;
        drop(mounted);
        let mounted = Self::mount(&backend, speech, &options, &state);
        Self { mounted, store, runtime, backend, speech, state, options }
    }

    /// The journal's directory, if there is one.
    pub fn journal(&self) -> Option<PathBuf> {
        let named = self.options.iter().skip_while(|option| *option != "--journal-dir").nth(1);
        let all = named.map_or_else(|| self.state.path().join("journal"), PathBuf::from);
        fs::read_dir(all).into_iter().flatten().map(|entry| entry.unwrap().path()).find(|path| path.is_dir())
    }

    /// The names of the files with bytes that wait in the journal.
    pub fn journal_files(&self) -> Vec<String> {
        let files = self.journal().map(|journal| names(&journal)).unwrap_or_default();
        files.into_iter().filter(|name| name.starts_with("data-")).collect()
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        let payload = Payload::from(Bytes::copy_from_slice(bytes));
        let headers = Headers::default();
        self.runtime.block_on(self.store.put_object(key, payload, &headers, &Condition::None)).unwrap();
    }

    /// Ends the mount, and leaves the backend.
    pub fn into_backend(self) -> Backend {
        self.mounted.unmount();
        self.backend
    }

    /// Ends the mount; no upload is left.
    #[track_caller]
    pub fn mounted_uploads_are_gone(self) {
        let left = self.into_backend().usage().uploads;
        assert_eq!(left, 0, "uploads are left");
    }

    /// The object's bytes, if it is there, read past the mount.
    pub fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.runtime.block_on(async {
            let mut body = match self.store.get_object(key, None, None).await {
                Ok(got) => got.body,
                Err(error) if error.kind == Kind::NotFound => return None,
                Err(error) => panic!("{error}"),
            };
            let mut all = Vec::new();
            while let Some(piece) = body.next().await {
                all.extend_from_slice(&piece.unwrap());
            }
            Some(all)
        })
    }

    /// The object's tag, if it is there.
    pub fn etag(&self, key: &str) -> Option<String> {
        match self.runtime.block_on(self.store.head_object(key)) {
            Ok(object) => Some(object.etag.as_str().to_owned()),
            Err(error) if error.kind == Kind::NotFound => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub fn keys(&self) -> Vec<String> {
        let page = self.runtime.block_on(self.store.list_objects(&ListObjects::default())).unwrap();
        page.objects.into_iter().map(|object| object.key).collect()
    }

    /// How many requests the backend has answered.
    pub fn requests(&self) -> u64 {
        Op::ALL.iter().map(|op| self.backend.requests(op.name())).sum()
    }

    pub fn uploads(&self) -> usize {
        self.runtime.block_on(self.store.list_uploads("")).unwrap().len()
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Bytes that no compression, offset or repetition makes look alike.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or_else(|| panic!("{error}"))
}

fn files_of_every_size_read_back_as_written(speech: Speech) {
    let seen = Seen::speaking(speech, &[]);
    let part = 8 * MIB;
    let sizes = [0, 1, 4095, 4096, 128 << 10, MIB + 1, part - 1, part, part + 1, 2 * part, 3 * part + 5];
    for (seed, size) in (1..).zip(sizes) {
        fs::write(seen.mounted.join(&size.to_string()), noise(size, seed)).unwrap();
    }
    let seen = seen.remount();
    for (seed, size) in (1..).zip(sizes) {
        let path = seen.mounted.join(&size.to_string());
        assert_eq!(fs::metadata(&path).unwrap().len(), size as u64);
        assert!(fs::read(&path).unwrap() == noise(size, seed), "{size} bytes read back otherwise");
    }
    let mut file = File::open(seen.mounted.join(&(3 * part + 5).to_string())).unwrap();
    let whole = noise(3 * part + 5, 11);
    for at in [3 * part, 7, part - 3, 2 * part + 1, part] {
        let mut piece = [0; 5];
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.read_exact(&mut piece).unwrap();
        assert_eq!(piece, whole[at..at + 5], "five bytes at {at}");
    }
    drop(file);
    seen.mounted.unmount();
}

fn a_large_file_goes_up_in_parts_and_appears_whole_at_close(speech: Speech) {
    let seen = Seen::speaking(speech, &[]);
    let mut file = File::create(seen.mounted.join("large")).unwrap();
    file.write_all(&noise(20 * MIB, 1)).unwrap();
    assert_eq!(seen.etag("large"), None, "nothing of it is seen while it is written");
    assert_eq!(fs::metadata(seen.mounted.join("large")).unwrap().len(), 20 * MIB as u64, "but for the mount itself");
    drop(file);
    let etag = seen.etag("large").unwrap();
    // The tags of JSS do not tell how many parts there were.
    let told = if speech == Speech::Jss { etag.len() == 32 } else { etag.ends_with("-3") };
    assert!(told, "20 MiB in parts of 8 MiB are three, not {etag}");
    fs::write(seen.mounted.join("small"), noise(MIB, 2)).unwrap();
    assert!(!seen.etag("small").unwrap().contains('-'), "below a part it is one request");
    assert_eq!(seen.uploads(), 0, "no upload is left behind");
    seen.mounted.unmount();
}

fn fsync_puts_what_is_written_into_the_bucket(speech: Speech) {
    let seen = Seen::speaking(speech, &[]);
    let mut file = File::create(seen.mounted.join("file")).unwrap();
    file.write_all(b"so far").unwrap();
    assert_eq!(seen.etag("file"), None);
    file.sync_all().unwrap();
    assert!(seen.etag("file").is_some());
    drop(file);
    seen.mounted.unmount();
}

fn a_crash_in_the_middle_of_an_upload_leaves_the_old_object(speech: Speech) {
    let mut seen = Seen::speaking(speech, &[]);
    fs::write(seen.mounted.join("file"), "old").unwrap();
    let old = seen.etag("file");
    let mut file = File::create(seen.mounted.join("file")).unwrap();
    file.write_all(&noise(20 * MIB, 1)).unwrap();
    seen.mounted.crash();
    drop(file);
    assert_eq!(seen.etag("file"), old);
    let again = Seen::mount(&seen.backend, speech, &[], &seen.state);
    assert_eq!(fs::read_to_string(again.join("file")).unwrap(), "old");
    again.unmount();
}

fn directories_and_names_behave_as_on_a_disk(speech: Speech) {
    let seen = Seen::speaking(speech, &[]);
    let at = |name: &str| seen.mounted.join(name);
    fs::create_dir_all(at("a/b/c")).unwrap();
    fs::write(at("a/b/file"), "1").unwrap();
    fs::write(at("a/b/c/deep"), "2").unwrap();
    assert_eq!(names(&at("a/b")), ["c", "file"]);
    assert_eq!(errno(&fs::create_dir(at("a")).unwrap_err()), Errno::EXIST);
    assert_eq!(errno(&fs::remove_dir(at("a/b")).unwrap_err()), Errno::NOTEMPTY);
    assert_eq!(errno(&fs::remove_file(at("a/b")).unwrap_err()), Errno::ISDIR);
    assert_eq!(errno(&fs::read(at("a/missing")).unwrap_err()), Errno::NOENT);
    assert_eq!(errno(&fs::read_dir(at("a/b/file")).unwrap_err()), Errno::NOTDIR);
    assert_eq!(errno(&File::create_new(at("a/b/file")).unwrap_err()), Errno::EXIST);
    fs::write(at("a/b/file"), "").unwrap();
    assert_eq!(fs::metadata(at("a/b/file")).unwrap().len(), 0, "truncated to nothing");
    fs::remove_file(at("a/b/file")).unwrap();
    fs::remove_file(at("a/b/c/deep")).unwrap();
    fs::remove_dir(at("a/b/c")).unwrap();
    assert_eq!(names(&at("a/b")), [""; 0], "a directory stays when its last entry goes");
    fs::remove_dir(at("a/b")).unwrap();
    fs::remove_dir(at("a")).unwrap();
    assert_eq!(seen.keys(), [""; 0]);
    seen.mounted.unmount();
}

fn files_and_directories_are_renamed_with_all_they_hold(speech: Speech) {
    let seen = Seen::speaking(speech, &[]);
    let at = |name: &str| seen.mounted.join(name);
    fs::create_dir_all(at("from/deep")).unwrap();
    fs::write(at("from/file"), "1").unwrap();
    fs::write(at("from/deep/large"), noise(20 * MIB, 3)).unwrap();
    fs::write(at("other"), "2").unwrap();
    fs::rename(at("from"), at("to")).unwrap();
    assert_eq!(names(seen.mounted.path()), ["other", "to"]);
    fs::rename(at("to/file"), at("other")).unwrap();
    assert_eq!(fs::read_to_string(at("other")).unwrap(), "1", "what was there is replaced");
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/x"), "").unwrap();
    assert_eq!(errno(&fs::rename(at("to"), at("full")).unwrap_err()), Errno::NOTEMPTY);
    assert_eq!(errno(&fs::rename(at("other"), at("full")).unwrap_err()), Errno::ISDIR);
    let seen = seen.remount();
    assert_eq!(names(&seen.mounted.join("to")), ["deep"]);
    assert!(fs::read(seen.mounted.join("to/deep/large")).unwrap() == noise(20 * MIB, 3));
    assert!(seen.keys().iter().all(|key| !key.starts_with("from")), "{:?}", seen.keys());
    seen.mounted.unmount();
}

fn modes_owners_times_and_links_are_kept_with_the_objects(speech: Speech) {
    let seen = Seen::speaking(speech, &[]);
    let at = |name: &str| seen.mounted.join(name);
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    fs::write(at("file"), "x").unwrap();
    fs::create_dir(at("dir")).unwrap();
    for name in ["file", "dir"] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o750)).unwrap();
        chown(at(name), Some(12), Some(34)).unwrap();
        File::open(at(name)).unwrap().set_modified(time).unwrap();
    }
    symlink("dir/../file", at("link")).unwrap();
    let seen = seen.remount();
    for name in ["file", "dir"] {
        let kept = fs::metadata(seen.mounted.join(name)).unwrap();
        assert_eq!((kept.mode() & 0o7777, kept.uid(), kept.gid()), (0o750, 12, 34), "{name}");
        assert_eq!(kept.modified().unwrap(), time, "{name}");
    }
    assert_eq!(fs::read_link(seen.mounted.join("link")).unwrap(), Path::new("dir/../file"));
    assert_eq!(fs::read_to_string(seen.mounted.join("link")).unwrap(), "x");
    seen.mounted.unmount();
}

fn who_has_opened_a_file_reads_one_version_or_is_told(speech: Speech) {
    let seen = Seen::speaking(speech, &["--metadata-ttl", "0"]);
    seen.put("file", &noise(20 * MIB, 1));
    let file = File::open(seen.mounted.join("file")).unwrap();
    let mut first = vec![0; 4096];
    file.read_exact_at(&mut first, 0).unwrap();
    seen.put("file", &noise(20 * MIB, 2));
    let mut last = vec![0; 4096];
    match file.read_exact_at(&mut last, 15 * MIB as u64) {
        Ok(()) => assert!(last == noise(20 * MIB, 1)[15 * MIB..15 * MIB + 4096], "bytes of another version"),
        Err(error) => assert_eq!(errno(&error), Errno::STALE),
    }
    drop(file);
    assert!(fs::read(seen.mounted.join("file")).unwrap() == noise(20 * MIB, 2), "opened again it is the new one");
    seen.mounted.unmount();
}

#[test]
fn keys_that_are_no_names_are_hidden_and_left_alone() {
    let seen = Seen::new(&[]);
    let keys = ["a", "a/", "a/b", "a//c", "/d", "e/", "g/h", "\u{1}odd", "ü", "..."];
    for key in keys {
        seen.put(key, b"x");
    }
    assert_eq!(names(seen.mounted.path()), ["\u{1}odd", "...", "a", "e", "g", "ü"]);
    assert!(seen.mounted.join("a").is_dir(), "a name with entries is a directory");
    assert_eq!(names(&seen.mounted.join("a")), ["b"]);
    fs::rename(seen.mounted.join("g"), seen.mounted.join("i")).unwrap();
    for hidden in ["a", "a//c", "/d"] {
        assert!(seen.keys().contains(&hidden.to_owned()), "{hidden:?} is gone");
    }
    seen.mounted.unmount();
}

#[test]
fn a_read_only_mount_refuses_every_change() {
    let seen = Seen::new(&["--read-only"]);
    seen.put("file", b"x");
    let path = seen.mounted.join("file");
    assert_eq!(fs::read(&path).unwrap(), b"x");
    let results = [
        fs::write(&path, "y"),
        fs::remove_file(&path),
        fs::create_dir(seen.mounted.join("dir")),
        fs::rename(&path, seen.mounted.join("other")),
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)),
        symlink("x", seen.mounted.join("link")),
    ];
    for result in results {
        assert_eq!(errno(&result.unwrap_err()), Errno::ROFS);
    }
    seen.mounted.unmount();
}

fn only_the_prefix_is_mounted(speech: Speech) {
    let seen = Seen::speaking(speech, &["--prefix", "below"]);
    seen.put("below/file", b"in");
    seen.put("beside", b"out");
    assert_eq!(names(seen.mounted.path()), ["file"]);
    fs::write(seen.mounted.join("new"), "x").unwrap();
    assert!(seen.etag("below/new").is_some());
    seen.mounted.unmount();
}

#[test]
fn a_local_source_keeps_what_was_written() {
    let data = TempDir::new().unwrap();
    let mounted = MountedBucket::local(&data.path().join("data"), &[]);
    fs::write(mounted.join("file"), noise(9 * MIB, 4)).unwrap();
    mounted.unmount();
    assert_eq!(fs::metadata(data.path().join("data")).unwrap().mode() & 0o777, 0o700);
    let mounted = MountedBucket::local(&data.path().join("data"), &[]);
    assert!(fs::read(mounted.join("file")).unwrap() == noise(9 * MIB, 4));
    mounted.unmount();
}
