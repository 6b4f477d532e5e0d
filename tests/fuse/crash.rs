//! `kill -9` of a mount and of its backend: what `fsync` or a successful `cp` acknowledged is in the bucket, whole.
//!
//! Moments are counted in acknowledged files and in requests that the backend has seen, not in time.
//! `BRIGADE_FAULT_SEED` repeats the draws; `BRIGADE_CRASHES=200 BRIGADE_BACKEND_CRASHES=50 cargo test --test fuse crash` is
//! the long run.

use crate::backend::ACCESS_KEY_ID;
use crate::backend::BUCKET;
use crate::backend::SECRET;
use crate::files::Seen;
use crate::files::noise;
use crate::mounted::MountedBucket;
use crate::program;
use std::env;
use std::fs;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use tempfile::TempDir;

/// What a mount is told: acknowledged means in the bucket, or in the journal.
const BUCKET_DURABILITY: &[&str] = &["--part-size", "5MiB"];
const JOURNAL_DURABILITY: &[&str] = &["--part-size", "5MiB", "--durability", "journal"];
/// Names that are written in turn. With a journal more: what is written again and again is not stored in between.
const NAMES: usize = 5;
const JOURNAL_NAMES: usize = 64;
/// So often a file has some parts.
const LARGE_EVERY: usize = 8;
const MIB: usize = 1 << 20;

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn seed() -> u64 {
    let seed = number("BRIGADE_FAULT_SEED", u64::from(std::process::id()));
    println!("BRIGADE_FAULT_SEED={seed}");
    seed
}

/// The n-th content: mostly small, sometimes of some parts.
fn content(nth: usize, seed: u64) -> Vec<u8> {
    let length = if nth % LARGE_EVERY == 3 { 11 * MIB + nth } else { 100 + 977 * (nth % 50) };
    noise(length, seed.wrapping_mul(1000) + nth as u64)
}

fn name(nth: usize, names: usize) -> String {
    format!("f{}", nth % names)
}

/// Writes the n-th file; whether it was acknowledged. By `fsync`, or by `cp`, whose status tells of `close`.
fn write(dir: &Path, scratch: &Path, (nth, names): (usize, usize), seed: u64) -> bool {
    let (bytes, path) = (content(nth, seed), dir.join(name(nth, names)));
    if nth.is_multiple_of(2) {
        let file = File::create(path).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        return file.is_ok();
    }
    fs::write(scratch, &bytes).unwrap();
    let copied = Command::new("cp").arg(scratch).arg(path).stderr(Stdio::null()).status();
    copied.unwrap().success()
}

/// Writes files until one fails, and tells of each that was acknowledged.
fn writer(
    dir: PathBuf,
    seed: u64,
    (from, names): (usize, usize),
    told: mpsc::Sender<usize>,
) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let scratch = TempDir::new().unwrap();
        for nth in from.. {
            if !write(&dir, &scratch.path().join("source"), (nth, names), seed) || told.send(nth).is_err() {
                return nth;
            }
        }
        unreachable!("it ends with the mount")
    })
}

/// Each name holds the last content that was acknowledged for it, or a later one that was under way, and all of it.
fn compare(found: impl Fn(&str) -> Option<Vec<u8>>, acknowledged: &[usize], (tried, names): (usize, usize), seed: u64) {
    for slot in 0..names {
        let last = acknowledged.iter().rev().find(|nth| *nth % names == slot);
        let bytes = found(&name(slot, names));
        let candidates = last.map_or(0, |nth| *nth)..=tried;
        let is_whole =
            candidates.filter(|nth| nth % names == slot).any(|nth| bytes.as_ref() == Some(&content(nth, seed)));
        if is_whole || (bytes.is_none() && last.is_none()) {
            continue;
        }
        let holds = (0..=tried + 1).find(|nth| bytes.as_ref() == Some(&content(*nth, seed)));
        let length = bytes.as_ref().map(Vec::len);
        panic!(
            "{} holds {holds:?}, {length:?} bytes, after {last:?} of {acknowledged:?} and {tried}",
            name(slot, names)
        );
    }
}

/// What is killed, and with it what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    /// All processes of the mount: the writer fails, and somebody mounts again.
    Mount,
    /// The process that serves it: another one goes on, and so may the writer.
    Worker,
}

impl Killed {
    /// Kills it. What is still told afterwards is acknowledged as well.
    fn kill(self, mounted: &mut MountedBucket, told: mpsc::Receiver<usize>, acknowledged: &mut Vec<usize>) {
        match self {
            Self::Mount => {
                mounted.crash();
                acknowledged.extend(told);
            }
            Self::Worker => {
                mounted.crash_worker();
                // The file that was being written may fail, or go on if nothing of it was lost.
                acknowledged.extend(told.into_iter().take(2));
            }
        }
    }

    /// Whether everything is stored before the next moment. Mostly that one begins with a journal that is on its way.
    fn is_unmounted_after(self, moment: u64, drawn: u64) -> bool {
        match self {
            Self::Mount => drawn.is_multiple_of(4),
            // A mount does not start processes for ever that die at once.
            Self::Worker => moment % 4 == 3,
        }
    }
}

#[test]
fn a_killed_mount_loses_nothing_that_was_acknowledged() {
    killed_mounts(Killed::Mount, BUCKET_DURABILITY);
}

#[test]
fn a_killed_mount_with_a_journal_loses_nothing_that_was_acknowledged() {
    killed_mounts(Killed::Mount, JOURNAL_DURABILITY);
}

#[test]
fn a_killed_worker_loses_nothing_that_was_acknowledged() {
    killed_mounts(Killed::Worker, BUCKET_DURABILITY);
}

#[test]
fn a_killed_worker_with_a_journal_loses_nothing_that_was_acknowledged() {
    killed_mounts(Killed::Worker, JOURNAL_DURABILITY);
}

fn killed_mounts(killed: Killed, durability: &[&str]) {
    let seed = seed();
    let journal = durability == JOURNAL_DURABILITY;
    let names = if journal { JOURNAL_NAMES } else { NAMES };
    let mut seen = Seen::new(durability);
    let (mut acknowledged, mut next) = (Vec::new(), 0);
    for moment in 0..number("BRIGADE_CRASHES", 10) {
        let (tell, told) = mpsc::channel();
        let writing = writer(seen.mounted.path().to_owned(), seed, (next, names), tell);
        let drawn = seed.wrapping_mul(31).wrapping_add(moment * 7);
        acknowledged.extend(told.iter().take(usize::try_from(1 + drawn % 5).unwrap()));
        // And some requests into the next file.
        let from = seen.requests();
        while seen.requests() < from + drawn % 6 && !writing.is_finished() {
            // With a journal, files are acknowledged without any request.
            match told.try_recv() {
                Ok(nth) => acknowledged.push(nth),
                Err(_) => thread::yield_now(),
            }
        }
        killed.kill(&mut seen.mounted, told, &mut acknowledged);
        let tried = writing.join().unwrap();
        if !journal {
            compare(|name| seen.bytes(name), &acknowledged, (tried, names), seed);
        }
        // What is there after the crash is what the next moments begin with.
        next = tried + 1;
        if killed == Killed::Mount {
            seen = seen.mounted_again();
        }
        compare(|name| fs::read(seen.mounted.join(name)).ok(), &acknowledged, (tried, names), seed);
        if killed.is_unmounted_after(moment, drawn) {
            seen = seen.mounted_after_unmount();
            compare(|name| seen.bytes(name), &acknowledged, (tried, names), seed);
        }
    }
    let seen = seen.mounted_after_unmount();
    compare(|name| seen.bytes(name), &acknowledged, (next - 1, names), seed);
    let names: Vec<_> = seen.keys().into_iter().filter(|key| !(0..names).any(|nth| *key == name(nth, names))).collect();
    assert_eq!(names, [""; 0], "litter");
    seen.mounted_uploads_are_gone();
}

#[test]
fn a_killed_mount_undoes_no_removal_that_was_acknowledged() {
    for durability in [BUCKET_DURABILITY, JOURNAL_DURABILITY] {
        killed_removals(Killed::Mount, durability);
    }
}

#[test]
fn a_killed_worker_undoes_no_removal_that_was_acknowledged() {
    for durability in [BUCKET_DURABILITY, JOURNAL_DURABILITY] {
        killed_removals(Killed::Worker, durability);
    }
}

/// Files that are removed, or renamed, in turn.
const REMOVED: usize = 300;

fn killed_removals(killed: Killed, durability: &[&str]) {
    let seed = seed();
    let mut seen = Seen::new(durability);
    (0..REMOVED).for_each(|nth| fs::write(seen.mounted.join(&format!("f{nth}")), nth.to_string()).unwrap());
    // In the bucket, also with a journal.
    seen = seen.mounted_after_unmount();
    let (dir, (tell, told)) = (seen.mounted.path().to_owned(), mpsc::channel());
    let removing = thread::spawn(move || {
        let remove = |nth: &usize| {
            let from = dir.join(format!("f{nth}"));
            let done = if nth.is_multiple_of(2) {
                fs::remove_file(from)
            } else {
                fs::rename(from, dir.join(format!("r{nth}")))
            };
            done.is_err() || tell.send(*nth).is_err()
        };
        (0..REMOVED).find(remove).unwrap_or(REMOVED)
    });
    let mut acknowledged: Vec<_> = told.iter().take(usize::try_from(3 + seed % 150).unwrap()).collect();
    killed.kill(&mut seen.mounted, told, &mut acknowledged);
    let tried = removing.join().unwrap();
    if killed == Killed::Mount {
        seen = seen.mounted_again();
    }
    for _ in 0..2 {
        let read = |name: String| fs::read_to_string(seen.mounted.join(&name)).ok();
        for nth in (0..REMOVED).filter(|nth| *nth != tried) {
            let whole = Some(nth.to_string());
            let want = if acknowledged.contains(&nth) { (None, whole.filter(|_| nth % 2 == 1)) } else { (whole, None) };
            assert_eq!((read(format!("f{nth}")), read(format!("r{nth}"))), want, "{nth} of {acknowledged:?}");
        }
        seen = seen.mounted_after_unmount();
    }
}

/// The backend as a process of its own.
struct Served(Child);

impl Served {
    fn start(home: &Path, listen: &str) -> (Self, String) {
        let mut command = program::brigade(home);
        command.env("BRIGADE_ACCESS_KEY_ID", ACCESS_KEY_ID).env("BRIGADE_SECRET_ACCESS_KEY", SECRET);
        command.arg("serve").arg(home.join("data")).args(["--bucket", BUCKET, "--listen", listen]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.map(|line| line.unwrap()).find_map(|line| Some(line.split_once("http://")?.1.to_owned()));
        (Self(child), address.expect("it says where it listens"))
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_killed_backend_loses_nothing_that_was_acknowledged() {
    killed_backends(BUCKET_DURABILITY);
}

#[test]
fn a_killed_backend_loses_nothing_that_was_acknowledged_in_a_journal() {
    killed_backends(JOURNAL_DURABILITY);
}

fn killed_backends(durability: &[&str]) {
    let seed = seed();
    let names = if durability == JOURNAL_DURABILITY { JOURNAL_NAMES } else { NAMES };
    let home = TempDir::new().unwrap();
    let (mut served, address) = Served::start(home.path(), "127.0.0.1:0");
    let mount = || {
        MountedBucket::mount(&format!("s3://{BUCKET}"), durability, |command| {
            command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID).env("AWS_SECRET_ACCESS_KEY", SECRET);
            command.env("AWS_ENDPOINT_URL", format!("http://{address}")).env("AWS_REGION", "us-east-1");
        })
    };
    let mounted = mount();
    let (mut acknowledged, mut next) = (Vec::new(), 0);
    for moment in 0..number("BRIGADE_BACKEND_CRASHES", 5) {
        let (tell, told) = mpsc::channel();
        let writing = writer(mounted.path().to_owned(), seed, (next, names), tell);
        let drawn = seed.wrapping_mul(31).wrapping_add(moment * 7);
        acknowledged.extend(told.iter().take(usize::try_from(1 + drawn % 4).unwrap()));
        served.kill();
        (served, _) = Served::start(home.path(), &address);
        // The mount overcomes it: more files are acknowledged by the same writer.
        acknowledged.extend(told.iter().take(2));
        drop(told);
        let tried = writing.join().unwrap();
        next = tried + 1;
        // The one that could not be told was written as well.
        acknowledged.push(tried);
    }
    mounted.unmount();
    let again = mount();
    compare(|name| fs::read(again.join(name)).ok(), &acknowledged, (next, names), seed);
    again.unmount();
}
