//! A journal on a disk that is full, and one whose files a power cut has torn: nothing that was acknowledged is lost.

use crate::files::Seen;
use crate::files::errno;
use crate::files::noise;
use crate::outage::until;
use rustix::io::Errno;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// What begins so is refused by the store, and stays in the journal.
const KEPT: &str = "[[rule]]\nfault = \"status\"\nstatus = 503\nkey = \"kept*\"\noperation = [\"PutObject\", \
                    \"CreateMultipartUpload\", \"UploadPart\", \"CompleteMultipartUpload\"]";

/// A file system of its own, in memory, which goes away with the test.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where this user may not mount.
    pub fn new(size: &str) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(dir.path());
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then_some(Self(dir))
    }

    pub fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// Takes all that is left, by a file of this name.
    fn fill(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        let mut file = File::create(&path).unwrap();
        let full = (0..).find_map(|_| file.write_all(&[7; 4096]).err()).unwrap();
        assert_eq!(errno(&full), Errno::NOSPC);
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Nothing here may fail: the test has already succeeded or told why not.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).stderr(Stdio::null()).status();
    }
}

fn written(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[test]
fn a_full_disk_is_told_before_anything_is_acknowledged_and_costs_nothing_that_was() {
    let Some(disk) = SmallDisk::new("24m") else {
        println!("skipped: mounting a small tmpfs for the journal is not permitted here");
        return;
    };
    let options = ["--durability", "journal", "--journal-dir", disk.path(), "--part-size", "5MiB"];
    let seen = Seen::new(&[options.as_slice(), &["--memory-limit", "32MiB", "--timeout", "2s"]].concat());
    seen.backend.set_faults(KEPT);
    let content = |nth: usize| noise(3 * MIB + nth, nth as u64);
    let mut acknowledged = Vec::new();
    let refused = (0..20).find_map(|nth| match written(&seen.mounted.join(&format!("kept{nth}")), &content(nth)) {
        Ok(()) => {
            acknowledged.push(nth);
            None
        }
        Err(error) => Some(error),
    });
    // The journal has no room, and the bucket, which would be as safe, refuses it.
    assert!(matches!(errno(&refused.unwrap()), Errno::NOSPC | Errno::IO), "it is full before 60 MiB");
    assert!(acknowledged.len() >= 4, "{acknowledged:?} were acknowledged");
    let left = seen.mounted.join(&format!("kept{}", acknowledged.len()));
    until(|| !left.exists() || fs::remove_file(&left).is_ok());

    // What has no room in the journal is in the bucket when it is acknowledged.
    let filler = disk.fill("filler");
    written(&seen.mounted.join("direct"), &content(50)).unwrap();
    assert!(seen.bytes("direct").unwrap() == content(50));
    // What memory cannot hold either is refused, and of the file there is what was taken before.
    let huge = noise(40 * MIB, 51);
    assert_eq!(errno(&written(&seen.mounted.join("huge"), &huge).unwrap_err()), Errno::NOSPC);
    assert!(seen.bytes("huge").is_none_or(|bytes| huge.starts_with(&bytes)));

    // A process that goes on finds what was acknowledged, on a disk that takes not even a log.
    seen.mounted.crash_worker();
    for nth in &acknowledged {
        assert!(fs::read(seen.mounted.join(&format!("kept{nth}"))).unwrap() == content(*nth), "kept{nth}");
    }
    // All of it is stored and forgotten, which makes room.
    seen.backend.set_faults("");
    until(|| seen.journal_files().is_empty());
    written(&seen.mounted.join("kept0"), b"later").unwrap();
    until(|| seen.journal_files().is_empty());
    fs::remove_file(filler).unwrap();
    seen.backend.set_faults(KEPT);
    written(&seen.mounted.join("kept-after"), &content(52)).unwrap();
    assert_eq!(seen.journal_files().len(), 1, "there is room again");
    seen.backend.set_faults("");

    let seen = seen.mounted_after_unmount();
    for nth in acknowledged.into_iter().skip(1) {
        assert!(seen.bytes(&format!("kept{nth}")).unwrap() == content(nth), "kept{nth}");
    }
    assert_eq!(seen.bytes("kept0").unwrap(), b"later", "nothing is stored twice");
    assert!(seen.bytes("kept-after").unwrap() == content(52));
    assert!(
        seen.keys().iter().all(|key| key.starts_with("kept") || ["direct", "huge"].contains(&key.as_str())),
        "{:?}",
        seen.keys()
    );
    assert_eq!(seen.journal_files(), [""; 0]);
    seen.mounted_uploads_are_gone();
}

/// What a power cut does to the end of the log, from where the disk was last synced.
#[derive(Clone, Copy, Debug)]
enum Torn {
    /// It ends early.
    Cut,
    /// It is as long as it was to be, but the end has not been written.
    Zeros,
    /// A bit is another one.
    Flipped,
    /// More was written, but not all of it.
    Begun,
}

impl Torn {
    fn tear(self, log: &Path, synced: u64, draw: u64) {
        let file = File::options().read(true).write(true).open(log).unwrap();
        let length = file.metadata().unwrap().len();
        let at = synced + draw % (length - synced);
        match self {
            Self::Cut => file.set_len(at).unwrap(),
            Self::Zeros => {
                file.set_len(at).unwrap();
                file.set_len(length).unwrap();
            }
            Self::Flipped => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ 1 << (draw % 8)], at).unwrap();
            }
            Self::Begun => {
                let record = fs::read(log).unwrap();
                let whole = &record[usize::try_from(synced).unwrap()..];
                file.write_all_at(&whole[..whole.len().min(40)], length).unwrap();
            }
        }
    }
}

/// The journal's log that counts.
fn log(seen: &Seen) -> PathBuf {
    let files = fs::read_dir(seen.journal().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("log-")).max().unwrap()
}

#[test]
fn a_torn_journal_has_all_that_was_synced() {
    let seed = u64::from(std::process::id());
    for (nth, torn) in (0..).zip([Torn::Cut, Torn::Zeros, Torn::Flipped, Torn::Begun, Torn::Cut, Torn::Flipped]) {
        let draw = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(nth * 7) >> 1;
        println!("{torn:?}, drawn {draw}");
        let mut seen = Seen::new(&["--durability", "journal", "--part-size", "5MiB"]);
        seen.backend.set_faults(KEPT);
        let (small, large) = (noise(1000, draw), noise(6 * MIB, draw + 1));
        written(&seen.mounted.join("kept-small"), &small).unwrap();
        let mut open = File::create(seen.mounted.join("kept-large")).unwrap();
        open.write_all(&large).unwrap();
        open.sync_all().unwrap();
        let (path, synced) = (log(&seen), fs::metadata(log(&seen)).unwrap().len());
        // What comes now is told to nobody, since a power cut comes first.
        open.write_all(&noise(MIB, draw + 2)).unwrap();
        let last = noise(2 * MIB, draw + 3);
        written(&seen.mounted.join("kept-last"), &last).unwrap();
        seen.mounted.crash();
        drop(open);
        assert_eq!(log(&seen), path, "the log was not written anew meanwhile");
        torn.tear(&path, synced, draw);
        // So are bytes that were on their way into the data.
        let journal = seen.journal().unwrap();
        for name in seen.journal_files() {
            let mut data = File::options().append(true).open(journal.join(name)).unwrap();
            data.write_all(&noise(usize::try_from(draw % 5000).unwrap(), draw + 4)).unwrap();
        }
        fs::write(journal.join("data-00000000000000000099"), noise(5000, draw + 5)).unwrap();

        let seen = seen.mounted_again();
        assert!(fs::read(seen.mounted.join("kept-small")).unwrap() == small, "{torn:?} {draw}");
        assert!(fs::read(seen.mounted.join("kept-large")).unwrap() == large, "{torn:?} {draw}");
        seen.backend.set_faults("");
        let seen = seen.mounted_after_unmount();
        assert!(seen.bytes("kept-small").unwrap() == small, "{torn:?} {draw}");
        assert!(seen.bytes("kept-large").unwrap() == large, "{torn:?} {draw}");
        assert!(seen.bytes("kept-last").is_none_or(|bytes| bytes == last), "{torn:?} {draw}: whole, or not there");
        assert!(seen.keys().iter().all(|key| key.starts_with("kept-")), "{:?}", seen.keys());
        assert_eq!(seen.journal_files(), [""; 0], "{torn:?} {draw}");
        seen.mounted_uploads_are_gone();
    }
}
