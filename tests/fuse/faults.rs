//! Work on mounts whose backend fails: what was acknowledged is in the bucket, whole; what failed was told.
//!
//! `BRIGADE_FAULT_SEED` repeats a run as far as its requests come in the same order, `BRIGADE_FAULT_ROUNDS` makes it longer,
//! `BRIGADE_FAULT` leaves only the faults whose rules contain it.

use crate::files::Seen;
use crate::files::noise;
use crate::outage::until;
use crate::speech::Speech;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

const MIB: usize = 1 << 20;

/// Rounds at the same time. They mostly wait.
const AT_ONCE: usize = 8;

/// Faults of a store that does not lie about what it has done.
const FAULTS: &[&str] = &[
    "fault = \"latency\"\ndelay = \"1ms\"\ndelay_max = \"200ms\"\nspread = \"long-tail\"\nprobability = 0.2",
    "fault = \"latency\"\ndelay = \"50ms\"",
    "fault = \"bandwidth\"\nup = \"16MiB\"\ndown = \"16MiB\"",
    "fault = \"clock-skew\"\nby = \"-20m\"",
    // What such a server begins it dates so that after a crash nobody knows whose it is.
    "fault = \"clock-skew\"\noperation = [\"PutObject\", \"UploadPart\", \"CompleteMultipartUpload\", \"CopyObject\", \"HeadObject\", \
     \"GetObject\", \"ListObjectsV2\"]\nby = \"20m\"\nprobability = 0.2",
    "fault = \"status\"\nstatus = 500\nprobability = 0.25",
    "fault = \"status\"\nstatus = 500\nretry_after = \"1s\"\nprobability = 0.05",
    "fault = \"status\"\nstatus = 503\nprobability = 0.25",
    "fault = \"status\"\nstatus = 503\nretry_after = \"1s\"\nprobability = 0.05",
    "fault = \"status\"\nstatus = 429\nretry_after = \"1s\"\nprobability = 0.05",
    "fault = \"reset\"\nat = \"before-body\"\nprobability = 0.25",
    "fault = \"reset\"\nat = \"in-body\"\nprobability = 0.25",
    "fault = \"reset\"\nat = \"after-body\"\nprobability = 0.25",
    "fault = \"reset\"\nat = \"in-answer\"\nprobability = 0.25",
    "fault = \"lost-request\"\nprobability = 0.25",
    "fault = \"lost-answer\"\nprobability = 0.25",
    "fault = \"outage\"\nafter = \"200ms\"\nbefore = \"1s\"",
    "fault = \"stall\"\ndelay = \"1s\"\nprobability = 0.05",
    "fault = \"truncated\"\nprobability = 0.25",
    "fault = \"corrupted\"\nof = \"request\"\nprobability = 0.25",
    "fault = \"error-in-200\"\nprobability = 0.2",
    "fault = \"expired-credentials\"\nprobability = 0.05",
    "fault = \"disk-full\"\nprobability = 0.25",
    "fault = \"disk-full\"\nstatus = 503\nprobability = 0.25",
];

/// Faults of one that does. What was changed on the word of the store is then a conflict with a version that never was,
/// and kept beside the file.
const LIES: &[&str] = &[
    "fault = \"wrong-etag\"\noperation = [\"GetObject\", \"HeadObject\", \"ListObjects\", \"ListObjectsV2\"]\nprobability = 0.1",
    "fault = \"stale-listing\"\nbehind = 3\nprobability = 0.25",
];

const BUCKET_DURABILITY: &[&str] = &["--part-size", "5MiB"];
const JOURNAL_DURABILITY: &[&str] = &["--part-size", "5MiB", "--durability", "journal"];

#[test]
fn what_was_acknowledged_is_there_in_s3() {
    under_each_fault(Speech::S3, BUCKET_DURABILITY);
}

#[test]
fn what_was_acknowledged_is_there_in_jss() {
    under_each_fault(Speech::Jss, BUCKET_DURABILITY);
}

#[test]
fn what_was_acknowledged_in_a_journal_is_there_in_s3() {
    under_each_fault(Speech::S3, JOURNAL_DURABILITY);
}

#[test]
fn what_was_acknowledged_in_a_journal_is_there_in_jss() {
    under_each_fault(Speech::Jss, JOURNAL_DURABILITY);
}

fn under_each_fault(speech: Speech, durability: &[&str]) {
    let seed = number("BRIGADE_FAULT_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let only = env::var("BRIGADE_FAULT").unwrap_or_default();
    let mut rounds = Vec::new();
    for round in 0..number("BRIGADE_FAULT_ROUNDS").unwrap_or(1) {
        for (nth, fault) in (0..).zip(FAULTS.iter().chain(LIES)).filter(|(_, fault)| fault.contains(&only)) {
            rounds.push((seed + round, nth, *fault));
        }
    }
    let (next, met) = (AtomicUsize::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((seed, nth, fault)) = rounds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Draws of their own for each fault, or all would hit the same requests.
                    let own = seed * 100 + nth;
                    let told = format!("{speech:?}, {}: BRIGADE_FAULT_SEED={seed}", fault.replace('\n', ", "));
                    println!("{told}");
                    let plan = format!("seed = {own}\n[[rule]]\n{fault}");
                    met.fetch_add(one_round(speech, durability, &plan, (own, &told)), Ordering::Relaxed);
                }
            });
        }
    });
    // Some hundred requests meet most of these faults with one in four.
    let met = met.into_inner();
    println!("{met} faults were met");
    assert!(met >= 10 || !only.is_empty(), "{met} faults were met: nothing was tried");
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// What each name may hold: one content if the last operation on it was acknowledged, more if it failed.
#[derive(Default)]
struct Expected(BTreeMap<String, Vec<Option<Vec<u8>>>>);

impl Expected {
    fn note(&mut self, name: &str, new: Option<Vec<u8>>, done: &io::Result<()>) {
        let may = self.0.entry(name.to_owned()).or_insert_with(|| vec![None]);
        match done {
            Ok(()) => *may = vec![new],
            // Nobody knows how far it came.
            Err(_) => may.push(new),
        }
    }

    /// The content, if there is no doubt.
    fn known(&self, name: &str) -> Option<Vec<u8>> {
        match self.0.get(name)?.as_slice() {
            [content] => content.clone(),
            _ => None,
        }
    }
}

fn written(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn one_round(speech: Speech, durability: &[&str], plan: &str, (seed, told): (u64, &str)) -> u64 {
    let seen = Seen::speaking(speech, durability);
    seen.backend.set_faults(plan);
    let mut expected = work(seen.mounted.path(), seed);
    let (seen, met) = if durability == JOURNAL_DURABILITY {
        stored_under_faults(seen, &mut expected, seed)
    } else {
        let met = healed(&seen);
        (seen.remount(), met)
    };
    let keys = seen.keys();
    let beside: Vec<_> =
        keys.iter().filter(|key| key.contains(".conflict-")).filter_map(|key| seen.bytes(key)).collect();
    let lies = LIES.iter().any(|fault| plan.ends_with(fault));
    for (name, may) in &expected.0 {
        let found = seen.bytes(name);
        let kept = lies && may.iter().flatten().any(|bytes| beside.contains(bytes));
        let length = found.as_ref().map(Vec::len);
        assert!(may.contains(&found) || kept, "{told}: {name} of {length:?} bytes is none of what it may be");
    }
    let is_meant = |key: &str| key.ends_with('/') || expected.0.contains_key(key) || lies && key.contains(".conflict-");
    let litter: Vec<_> = keys.into_iter().filter(|key| !is_meant(key)).collect();
    assert_eq!(litter, [""; 0], "{told}: litter");
    assert_eq!(seen.journal_files(), [""; 0], "{told}: data is left in the journal");
    // Told by the last mount, which ended those that others had left.
    let log = seen.mounted.log();
    let left = seen.into_backend().usage().uploads;
    assert_eq!(left, 0, "{told}: uploads are left; the log:\n{log}");
    met
}

/// Ends the faults. How many were met.
fn healed(seen: &Seen) -> u64 {
    let met = seen.backend.faults_met();
    seen.backend.set_faults("");
    met
}

/// Lets some requests of what waits in the journal meet faults, under an unmount or until the mount is killed. Then the
/// rest is stored without them.
fn stored_under_faults(mut seen: Seen, expected: &mut Expected, seed: u64) -> (Seen, u64) {
    // What was written until here needs few requests.
    for nth in 0..4 {
        let (name, bytes) = (format!("more{nth}"), noise(6 * MIB + 5, seed + nth));
        let done = written(&seen.mounted.join(&name), &bytes);
        expected.note(&name, Some(bytes), &done);
    }
    let enough_met = seen.backend.faults_met() + 1 + seed / 2 % 8;
    let enough = |seen: &Seen| seen.backend.faults_met() >= enough_met || seen.journal_files().is_empty();
    if seed.is_multiple_of(2) {
        until(|| enough(&seen));
        seen.mounted.crash();
        let met = healed(&seen);
        // What the killed mount has asked for last is done before the next one looks for it, or never.
        seen.backend.stop();
        seen.backend.restart();
        return (seen.mounted_again().remount(), met);
    }
    let mut command = seen.mounted.unmount_command();
    let unmount = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    until(|| enough(&seen));
    let met = healed(&seen);
    let unmounted = unmount.wait_with_output().unwrap();
    if unmounted.status.success() {
        seen.mounted.wait();
        assert_eq!(seen.journal_files(), [""; 0], "it is unmounted, and data is left in the journal");
        (seen.mounted_again(), met)
    } else {
        // It could not store everything, and the mount stays.
        println!("seed {seed}: {}", String::from_utf8_lossy(&unmounted.stderr));
        (seen.remount(), met)
    }
}

/// What programs do, and what they are told of it.
fn work(dir: &Path, seed: u64) -> Expected {
    let mut expected = Expected::default();
    let at = |name: &str| dir.join(name);
    for (name, bytes) in
        [("small", noise(1000, seed)), ("large", noise(11 * MIB + 7, seed)), ("a", noise(70_000, seed))]
    {
        let done = written(&at(name), &bytes);
        expected.note(name, Some(bytes), &done);
    }
    if let Some(mut bytes) = expected.known("large") {
        let done = File::options().write(true).open(at("large")).and_then(|file| {
            file.write_all_at(b"changed", 6_000_000)?;
            file.sync_all()
        });
        bytes[6_000_000..6_000_007].copy_from_slice(b"changed");
        expected.note("large", Some(bytes), &done);
    }
    if let Some(mut bytes) = expected.known("small") {
        let done = File::options().append(true).open(at("small")).and_then(|mut file| {
            file.write_all(b"appended")?;
            file.sync_all()
        });
        bytes.extend(b"appended");
        expected.note("small", Some(bytes), &done);
    }
    if let Some(bytes) = expected.known("a") {
        let status = Command::new("cp").arg(at("a")).arg(at("copy")).stderr(Stdio::null()).status();
        let copied = if status.unwrap().success() { Ok(()) } else { Err(io::ErrorKind::Other.into()) };
        expected.note("copy", Some(bytes.clone()), &copied);
        if copied.is_err() {
            // It makes the file before it reads the other one, and closes it empty when it cannot.
            expected.note("copy", Some(Vec::new()), &copied);
        }
        let moved = fs::rename(at("a"), at("b"));
        expected.note("a", None, &moved);
        expected.note("b", Some(bytes), &moved);
    }
    if let Some(mut bytes) = expected.known("b") {
        let done = File::options().write(true).open(at("b")).and_then(|file| {
            file.set_len(333)?;
            file.sync_all()
        });
        bytes.truncate(333);
        expected.note("b", Some(bytes), &done);
    }
    if expected.known("copy").is_some() {
        let done = fs::remove_file(at("copy"));
        expected.note("copy", None, &done);
    }
    if fs::create_dir(at("dir")).is_ok() {
        // As rsync does it.
        let bytes = noise(9000, seed + 1);
        let done = written(&at("dir/.f.tmp"), &bytes).and_then(|()| fs::rename(at("dir/.f.tmp"), at("dir/f")));
        expected.note("dir/.f.tmp", None, &done);
        if done.is_err() {
            expected.note("dir/.f.tmp", Some(bytes.clone()), &done);
        }
        expected.note("dir/f", Some(bytes), &done);
    }
    expected
}
