//! What common operations cost, counted by the backend: requests, and bytes where they are the point.
//!
//! Each row begins with a fresh mount, and what it puts off is counted too: the count ends when it has been unmounted.

use crate::backend::BUCKET;
use crate::backend::Backend;
use crate::files::noise;
use crate::mounted::MountedBucket;
use brigade::base::clock;
use brigade::http::Origin;
use brigade::server::Traffic;
use brigade::store::Condition;
use brigade::store::CopySource;
use brigade::store::Headers;
use brigade::store::PartNumber;
use brigade::store::Payload;
use brigade::store::Store;
use brigade::store::client::Client;
use brigade::store::client::Options;
use brigade::store::credentials::Credentials;
use brigade::store::provider::Provider;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const MIB: u64 = 1 << 20;

/// What was spent, by S3's name of the operation.
type Spent = BTreeMap<&'static str, Traffic>;

/// A backend whose bucket is filled past any mount.
struct Shop {
    store: Client,
    runtime: Runtime,
    backend: Backend,
}

impl Shop {
    fn new() -> Self {
        let backend = Backend::start();
        let mut to = Options::new(BUCKET, Provider::brigade());
        to.endpoint = Some(Origin::parse(&backend.endpoint()).unwrap());
        let credentials = Credentials::new(crate::backend::ACCESS_KEY_ID, crate::backend::SECRET);
        let store = Client::connect(to, Arc::new(credentials)).unwrap();
        Self { store, runtime: Runtime::new().unwrap(), backend }
    }

    /// With these objects of a few bytes.
    fn with(keys: &[&str]) -> Self {
        let shop = Self::new();
        for key in keys {
            let payload = Payload::from(Bytes::from_static(b"something"));
            shop.runtime.block_on(shop.store.put_object(key, payload, &Headers::default(), &Condition::None)).unwrap();
        }
        shop
    }

    /// An object of many MiB, most of which never passes through here.
    fn large(&self, key: &str, mib: u64) {
        let put = |at: String| async move {
            let payload = Payload::from(Bytes::from(noise(usize::try_from(64 * MIB).unwrap(), 7)));
            self.store.put_object(&at, payload, &Headers::default(), &Condition::None).await.unwrap()
        };
        self.runtime.block_on(async {
            let brick = "brick".to_owned();
            let etag = put(brick.clone()).await;
            let upload = self.store.create_upload(key, &Headers::default()).await.unwrap();
            let source = CopySource { key: brick.clone(), if_match: Some(etag) };
            let mut parts = Vec::new();
            for number in 1..=mib / 64 {
                let number = PartNumber(u32::try_from(number).unwrap());
                parts.push(self.store.copy_part(key, &upload, number, &source, 0..64 * MIB).await.unwrap());
            }
            self.store.complete_upload(key, &upload, &parts, &Condition::None).await.unwrap();
            self.store.delete_object(&brick).await.unwrap();
        });
    }

    fn mount(&self) -> MountedBucket {
        let options = ["--provider", "brigade"];
        MountedBucket::mount(&format!("s3://{BUCKET}"), &options, |command| self.backend.reach(command))
    }

    /// What `used` costs on a fresh mount, after `before` has been done on it.
    fn spent(&self, before: impl FnOnce(&Path), used: impl FnOnce(&Path)) -> Spent {
        let mounted = self.mount();
        before(mounted.path());
        let begun = self.backend.traffic();
        used(mounted.path());
        mounted.unmount();
        let mut spent = self.backend.traffic();
        for (operation, traffic) in &mut spent {
            let before = begun.get(operation).copied().unwrap_or_default();
            traffic.requests -= before.requests;
            traffic.received -= before.received;
            traffic.sent -= before.sent;
        }
        spent.retain(|_, traffic| traffic.requests > 0);
        spent
    }
}

#[track_caller]
fn within(spent: &Spent, requests: u64) {
    let all: u64 = spent.values().map(|traffic| traffic.requests).sum();
    assert!(all <= requests, "{all} requests, not at most {requests}: {spent:#?}");
    assert!(all > 0, "nothing was counted");
}

fn requests(spent: &Spent, operation: &str) -> u64 {
    spent.get(operation).map_or(0, |traffic| traffic.requests)
}

/// A listing, as `ls` asks for it.
fn listed(dir: &'static str) -> impl FnOnce(&Path) {
    move |mnt| assert!(fs::read_dir(mnt.join(dir)).unwrap().count() > 0)
}

fn nothing(_: &Path) {}

#[track_caller]
fn run(program: &str, arguments: &[&str], paths: &[&Path]) -> String {
    let output = Command::new(program).args(arguments).args(paths).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{program}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_small_file_in_a_listed_directory_is_one_request() {
    let shop = Shop::with(&["dir/other"]);
    let spent = shop.spent(listed("dir"), |mnt| fs::write(mnt.join("dir/new"), "text").unwrap());
    within(&spent, 1);
}

#[test]
fn a_small_file_elsewhere_is_three() {
    let shop = Shop::with(&["dir/other"]);
    within(&shop.spent(nothing, |mnt| fs::write(mnt.join("dir/new"), "text").unwrap()), 3);
}

#[test]
fn a_cold_file_is_read_with_three() {
    let shop = Shop::with(&["dir/file"]);
    within(&shop.spent(nothing, |mnt| assert_eq!(fs::read(mnt.join("dir/file")).unwrap(), b"something")), 3);
}

#[test]
fn a_file_is_removed_with_two() {
    let shop = Shop::with(&["dir/other", "dir/file", "top"]);
    within(&shop.spent(nothing, |mnt| fs::remove_file(mnt.join("top")).unwrap()), 2);
    within(&shop.spent(listed("dir"), |mnt| fs::remove_file(mnt.join("dir/file")).unwrap()), 2);
}

#[test]
fn two_thousand_files_are_removed_by_a_few_requests() {
    let (shop, home) = (Shop::new(), TempDir::new().unwrap());
    let tree = home.path().join("tree");
    fs::create_dir(&tree).unwrap();
    (0..2000).for_each(|number| fs::write(tree.join(number.to_string()), "x").unwrap());
    let mounted = shop.mount();
    run("cp", &["-r"], &[&tree, mounted.path()]);
    mounted.unmount();
    let mut took = Duration::ZERO;
    let spent = shop.spent(nothing, |mnt| {
        let begun = clock::monotonic();
        run("rm", &["-r"], &[&mnt.join("tree")]);
        took = begun.elapsed();
    });
    // What begins the series, the directory, two full batches, and for each pause of two milliseconds two more.
    let removing: u64 = ["DeleteObject", "DeleteObjects"].iter().map(|op| requests(&spent, op)).sum();
    assert!(u128::from(removing) <= 24 + took.as_millis(), "{removing} requests in {took:?}: {spent:#?}");
    assert!(shop.runtime.block_on(shop.store.head_object("tree/7")).is_err());
}

#[test]
fn a_file_is_renamed_with_three() {
    let shop = Shop::with(&["dir/other", "dir/file"]);
    let rename = |mnt: &Path| fs::rename(mnt.join("dir/file"), mnt.join("dir/moved")).unwrap();
    within(&shop.spent(listed("dir"), rename), 3);
}

#[test]
fn mv_renames_a_file_with_three_and_a_larger_one_with_five() {
    // It asks that the new name be free. No request of S3 copies on that condition: small objects are put again with it,
    // larger ones are begun (with their headers, which are asked for), copied, and completed with it.
    for (bytes, requests) in [(9, 3), (6 << 20, 5)] {
        let shop = Shop::with(&["dir/other"]);
        // Written by a mount: of an object of another tool the headers are asked for, so that they stay.
        let mounted = shop.mount();
        fs::write(mounted.join("dir/file"), noise(bytes, 3)).unwrap();
        mounted.unmount();
        let mv = |mnt: &Path| drop(run("mv", &["-T"], &[&mnt.join("dir/file"), &mnt.join("dir/moved")]));
        within(&shop.spent(listed("dir"), mv), requests);
        let rename = |mnt: &Path| fs::rename(mnt.join("dir/moved"), mnt.join("dir/file")).unwrap();
        within(&shop.spent(listed("dir"), rename), 3);
    }
}

#[test]
fn a_thousand_files_are_listed_with_their_attributes_by_one_request() {
    let shop = Shop::new();
    let mounted = shop.mount();
    for number in 0..1000 {
        fs::write(mounted.join(&number.to_string()), "").unwrap();
    }
    mounted.unmount();
    let ls = |mnt: &Path| assert_eq!(run("ls", &["-l"], &[mnt]).lines().count(), 1001);
    within(&shop.spent(nothing, ls), 1);
}

#[test]
fn one_byte_more_on_a_large_object_costs_neither_its_size_nor_many_requests() {
    let shop = Shop::new();
    shop.large("large", 1024);
    let append = |mnt: &Path| {
        File::options().append(true).open(mnt.join("large")).unwrap().write_all(b"x").unwrap();
    };
    let spent = shop.spent(nothing, append);
    let bytes: u64 = spent.values().map(|traffic| traffic.received + traffic.sent).sum();
    assert!(bytes < 20_000_000, "{bytes} bytes for one: {spent:#?}");
    within(&spent, 5);
    let object = shop.runtime.block_on(shop.store.head_object("large")).unwrap();
    assert_eq!(object.size, 1024 * MIB + 1);
}

#[test]
fn a_new_small_file_is_brought_by_rsync_with_four() {
    let (shop, home) = (Shop::with(&["other"]), TempDir::new().unwrap());
    let file = home.path().join("file");
    fs::write(&file, "text").unwrap();
    // One to see what is there; what is put under a name of its own, copied to the right one with its times, and removed.
    let rsync = |mnt: &Path| drop(run("rsync", &["-a"], &[&file, mnt]));
    within(&shop.spent(nothing, rsync), 4);
}

#[test]
fn a_second_rsync_of_a_thousand_files_costs_three() {
    let (shop, home) = (Shop::new(), TempDir::new().unwrap());
    let tree = home.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for number in 0..1000 {
        fs::write(tree.join(number.to_string()), number.to_string()).unwrap();
    }
    let mounted = shop.mount();
    run("rsync", &["-a"], &[&tree, mounted.path()]);
    mounted.unmount();
    let again = |mnt: &Path| assert_eq!(run("rsync", &["-a", "--itemize-changes"], &[&tree, mnt]), "");
    within(&shop.spent(nothing, again), 3);
}

#[test]
fn what_is_counted_are_the_bytes_that_pass() {
    let shop = Shop::new();
    let spent = shop.spent(nothing, |mnt| fs::write(mnt.join("file"), noise(9 << 20, 1)).unwrap());
    let received: u64 = spent.values().map(|traffic| traffic.received).sum();
    assert!((9 * MIB..10 * MIB).contains(&received), "{spent:#?}");
    let spent = shop.spent(nothing, |mnt| assert_eq!(fs::read(mnt.join("file")).unwrap().len(), 9 << 20));
    let sent = spent["GetObject"].sent;
    assert!((9 * MIB..10 * MIB).contains(&sent), "{spent:#?}");
}

/// Rounds of which one must find every page in the kernel. It may drop pages by itself whenever it likes: some machines
/// look for pages that seem idle all the time. What the mount makes it drop is dropped in each round.
const ROUNDS: usize = 100;

#[test]
fn what_was_read_is_read_again_from_the_kernels_pages() {
    for options in [&["--metadata-ttl", "1ms"][..], &["--metadata-ttl", "1ms", "--provider", "brigade"]] {
        let shop = Shop::new();
        shop.large("large", 64);
        let reach = |command: &mut Command| shop.backend.reach(command);
        let mounted = MountedBucket::mount(&format!("s3://{BUCKET}"), options, reach);
        let path = mounted.join("large");
        let about = |metadata: fs::Metadata| (metadata.ino(), metadata.len(), metadata.modified().unwrap());
        // Cold, by a name that no listing has shown; then the listing tells of it, in other words.
        fs::read(&path).unwrap();
        let known = about(fs::metadata(&path).unwrap());
        let costs = (0..ROUNDS).map(|_| {
            let before = shop.backend.requests("GetObject");
            assert!(fs::read_dir(mounted.path()).unwrap().count() > 0);
            assert_eq!(about(fs::metadata(&path).unwrap()), known, "{options:?}");
            assert!(fs::read(&path).unwrap().len() as u64 == 64 * MIB);
            shop.backend.requests("GetObject") - before
        });
        assert!(costs.into_iter().any(|cost| cost == 0), "{options:?}");
        mounted.unmount();
    }
}
