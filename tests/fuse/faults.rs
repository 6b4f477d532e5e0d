//! Work on mounts whose backend fails: what was acknowledged is in the bucket, whole; what failed was told.
//!
//! `BRIGADE_FAULT_SEED` repeats a run as far as its requests come in the same order, `BRIGADE_FAULT_ROUNDS` makes it longer.

use crate::files::Seen;
use crate::files::noise;
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

const MIB: usize = 1 << 20;

const FAULTS: &[&str] = &[
    "fault = \"latency\"\ndelay = \"1ms\"\ndelay_max = \"200ms\"\nspread = \"long-tail\"\nprobability = 0.2",
    "fault = \"status\"\nstatus = 503\nprobability = 0.25",
    "fault = \"status\"\nstatus = 429\nretry_after = \"1s\"\nprobability = 0.05",
    "fault = \"reset\"\nat = \"in-body\"\nprobability = 0.25",
    "fault = \"reset\"\nat = \"in-answer\"\nprobability = 0.25",
    "fault = \"lost-request\"\nprobability = 0.25",
    "fault = \"lost-answer\"\nprobability = 0.25",
    "fault = \"truncated\"\nprobability = 0.25",
    "fault = \"error-in-200\"\nprobability = 0.2",
    "fault = \"expired-credentials\"\nprobability = 0.05",
    "fault = \"disk-full\"\nprobability = 0.25",
];

#[test]
fn what_was_acknowledged_is_there_in_s3() {
    under_each_fault(Speech::S3);
}

#[test]
fn what_was_acknowledged_is_there_in_jss() {
    under_each_fault(Speech::Jss);
}

fn under_each_fault(speech: Speech) {
    let seed = number("BRIGADE_FAULT_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let mut met = 0;
    for round in 0..number("BRIGADE_FAULT_ROUNDS").unwrap_or(1) {
        for (nth, fault) in (0..).zip(FAULTS) {
            println!("{speech:?}, {}: BRIGADE_FAULT_SEED={}", fault.replace('\n', ", "), seed + round);
            // Draws of their own for each fault, or all would hit the same requests.
            let seed = (seed + round) * 100 + nth;
            met += one_round(speech, &format!("seed = {seed}\n[[rule]]\n{fault}"), seed);
        }
    }
    // Some hundred requests meet most of these faults with one in four.
    println!("{met} faults were met");
    assert!(met >= 10, "{met} faults were met: nothing was tried");
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

fn one_round(speech: Speech, plan: &str, seed: u64) -> u64 {
    let seen = Seen::speaking(speech, &["--part-size", "5MiB"]);
    let mut expected = Expected::default();
    seen.backend.set_faults(plan);
    let at = |name: &str| seen.mounted.join(name);
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
        let status = Command::new("cp").arg(at("a")).arg(at("copy")).stderr(std::process::Stdio::null()).status();
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
    let met = seen.backend.faults_met();
    seen.backend.set_faults("");
    let seen = seen.remount();
    for (name, may) in &expected.0 {
        let found = seen.bytes(name);
        assert!(may.contains(&found), "{name} of {:?} bytes is none of what it may be", found.map(|bytes| bytes.len()));
    }
    let names: Vec<_> =
        seen.keys().into_iter().filter(|key| !key.ends_with('/') && !expected.0.contains_key(key)).collect();
    assert_eq!(names, [""; 0], "litter");
    seen.mounted_uploads_are_gone();
    met
}
