//! Mounts whose store goes away and comes back: what is stored waits, what is asked ends, and nothing hangs.

use crate::backend::ACCESS_KEY_ID;
use crate::backend::SECRET;
use crate::files::Seen;
use crate::files::noise;
use crate::mounted::MountedBucket;
use brigade::base::clock;
use brigade::server::keys::Keys;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::process::Signal;
use std::fs;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

const MIB: usize = 1 << 20;

/// Every request is cut off.
const GONE: &str = "[[rule]]\nfault = \"outage\"";
/// Every request is taken, and none is answered.
const SILENT: &str = "[[rule]]\nfault = \"stall\"\ndelay = \"1h\"";
/// Answers begin, and then a byte comes each second.
const DRIPPING: &str = "[[rule]]\nfault = \"bandwidth\"\noperation = \"GetObject\"\ndown = \"1\"";

/// Waits for something that comes by itself.
#[track_caller]
pub(crate) fn until(condition: impl Fn() -> bool) {
    let begun = clock::monotonic();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come");
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// Waits for a line that a program prints.
#[track_caller]
fn until_said(program: &mut Child, text: &str) {
    let lines = BufReader::new(program.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut said = Vec::new();
    for line in lines {
        if line.contains(text) {
            return;
        }
        said.push(line);
    }
    let error = io::read_to_string(program.stderr.take().unwrap()).unwrap();
    panic!("it has ended without {text:?}; it said {said:?} and {error:?}");
}

#[track_caller]
fn until_logged(seen: &Seen, text: &str) {
    until(|| seen.mounted.log().contains(text));
}

fn cp(from: &Path, to: &Path) -> Child {
    Command::new("cp").arg(from).arg(to).stderr(Stdio::null()).spawn().unwrap()
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> Option<Errno> {
    result.unwrap_err().raw_os_error().map(Errno::from_raw_os_error)
}

/// A file outside of the mount.
fn source(length: usize) -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::TempDir::new().unwrap();
    let bytes = noise(length, 5);
    fs::write(dir.path().join("large"), &bytes).unwrap();
    (dir, bytes)
}

#[test]
fn a_copy_goes_on_by_itself_when_the_store_is_back() {
    let mut seen = Seen::new(&["--timeout", "2s", "--metadata-ttl", "1ms"]);
    let (dir, bytes) = source(50 * MIB);
    seen.backend.set_faults("[[rule]]\nfault = \"bandwidth\"\nup = \"4MiB\"");
    let before = seen.backend.requests("UploadPart");
    let mut copy = cp(&dir.path().join("large"), &seen.mounted.join("large"));
    until(|| seen.backend.requests("UploadPart") > before);
    seen.backend.stop();
    until_logged(&seen, "the store does not answer");
    let asked = errno(fs::metadata(seen.mounted.join("other")));
    assert_eq!(asked, Some(Errno::IO), "who only asks does not wait for ever");
    seen.backend.restart();
    assert!(copy.wait().unwrap().success(), "{}", seen.mounted.log());
    assert!(seen.bytes("large").unwrap() == bytes);
    assert!(seen.mounted.log().contains("the store answers again"));
    seen.mounted.unmount();
}

#[test]
fn a_soft_mount_fails_at_the_deadline() {
    let seen = Seen::new(&["--soft", "--timeout", "2s"]);
    fs::write(seen.mounted.join("old"), "old").unwrap();
    let mut open = File::create(seen.mounted.join("new")).unwrap();
    open.write_all(b"new").unwrap();
    seen.backend.set_faults(GONE);
    assert_eq!(errno(open.sync_all()), Some(Errno::IO));
    assert_eq!(errno(fs::rename(seen.mounted.join("old"), seen.mounted.join("other"))), Some(Errno::IO));
    seen.backend.set_faults("");
    drop(open);
    until(|| fs::read(seen.mounted.join("old")).is_ok_and(|bytes| bytes == b"old"));
    assert_eq!(seen.keys(), ["old"], "nothing of what failed");
    seen.mounted.unmount();
}

#[test]
fn a_store_that_is_silent_or_drips_is_not_waited_for_by_readers() {
    let seen = Seen::new(&["--timeout", "2s", "--metadata-ttl", "1ms"]);
    seen.put("file", &noise(100_000, 1));
    assert_eq!(fs::read(seen.mounted.join("file")).unwrap().len(), 100_000);
    seen.put("unread", &noise(100_000, 2));
    seen.backend.set_faults(SILENT);
    for _ in 0..3 {
        assert_eq!(errno(fs::metadata(seen.mounted.join("unread"))), Some(Errno::IO));
        assert_eq!(
            errno(fs::read_dir(seen.mounted.path()).and_then(Iterator::collect::<io::Result<Vec<_>>>)),
            Some(Errno::IO)
        );
    }
    seen.backend.set_faults(DRIPPING);
    until(|| fs::metadata(seen.mounted.join("unread")).is_ok());
    assert_eq!(errno(fs::read(seen.mounted.join("unread"))), Some(Errno::IO));
    seen.backend.set_faults("");
    until(|| fs::read(seen.mounted.join("unread")).is_ok_and(|bytes| bytes == noise(100_000, 2)));
    seen.mounted.unmount();
}

#[test]
fn force_ends_a_mount_whose_store_is_gone() {
    for (fault, why) in [(GONE, "cut off"), (SILENT, "never answered")] {
        let Seen { mut mounted, backend, .. } = Seen::new(&[]);
        let (dir, _) = source(50 * MIB);
        fs::write(mounted.join("stored"), "stored").unwrap();
        let written = |name: &str| {
            let mut file = File::create(mounted.join(name)).unwrap();
            file.write_all(b"written").unwrap();
            file
        };
        let (open, closing) = (written("open"), written("closing"));
        backend.set_faults("[[rule]]\nfault = \"bandwidth\"\nup = \"4MiB\"");
        let before = backend.requests("UploadPart");
        let mut copy = cp(&dir.path().join("large"), &mounted.join("large"));
        until(|| backend.requests("UploadPart") > before);
        backend.set_faults(fault);
        let close = thread::spawn(move || closing.sync_all());
        until(|| backend.faults_met() >= 2);
        let ran = mounted.try_unmount(&["--force"]);
        assert_eq!(ran.status, 1, "{why}: {ran:?}");
        for name in ["open", "closing", "large"] {
            assert!(ran.stderr.contains(&format!("not stored: {name:?}")), "{why}, {name}: {ran:?}");
        }
        assert!(!ran.stderr.contains("\"stored\""), "{why}: {ran:?}");
        assert!(!copy.wait().unwrap().success(), "{why}: who waits is told");
        assert!(close.join().unwrap().is_err(), "{why}: who waits is told");
        assert!(!mounted.wait().success(), "{why}: it lost something");
        drop(open);
        backend.set_faults("");
        assert!(fs::read_dir(mounted.path()).unwrap().next().is_none(), "{why}: it is unmounted");
    }
}

#[test]
fn with_a_journal_close_does_without_the_store() {
    let mut seen = Seen::new(&["--durability", "journal", "--timeout", "2s"]);
    let bytes = noise(11 * MIB, 6);
    let mut files = ["synced", "closed"].map(|name| File::create(seen.mounted.join(name)).unwrap());
    seen.backend.stop();
    let [synced, closed] = &mut files;
    synced.write_all(&bytes).unwrap();
    synced.sync_all().unwrap();
    closed.write_all(b"closed").unwrap();
    let [synced, closed] = files;
    // By a program of its own, since dropping a file does not tell.
    let mut cat = Command::new("cat").stdin(Stdio::null()).stdout(closed).spawn().unwrap();
    assert!(cat.wait().unwrap().success());
    until_logged(&seen, "the store does not answer");
    assert_eq!(fs::read(seen.mounted.join("closed")).unwrap(), b"closed", "this host reads it meanwhile");
    drop(synced);
    seen.backend.restart();
    until(|| seen.journal_files().is_empty());
    assert!(seen.bytes("synced").unwrap() == bytes);
    assert_eq!(seen.bytes("closed").unwrap(), b"closed");
    assert_eq!(seen.keys(), ["closed", "synced"]);
    seen.mounted_uploads_are_gone();
}

#[test]
fn force_leaves_in_the_journal_what_is_not_stored() {
    for (fault, why) in [(GONE, "cut off"), (SILENT, "never answered")] {
        let mut seen = Seen::new(&["--durability", "journal", "--timeout", "2s"]);
        let bytes = noise(11 * MIB, 7);
        let mut large = File::create(seen.mounted.join("large")).unwrap();
        let mut open = File::create(seen.mounted.join("open")).unwrap();
        seen.backend.set_faults(fault);
        large.write_all(&bytes).unwrap();
        large.sync_all().unwrap();
        drop(large);
        open.write_all(b"synced").unwrap();
        open.sync_all().unwrap();
        open.write_all(b", and more").unwrap();
        let ran = seen.mounted.try_unmount(&["--force"]);
        assert_eq!(ran.status, 1, "{why}: {ran:?}");
        for name in ["large", "open"] {
            let told = ran.stderr.lines().find(|line| line.contains(&format!("not stored: {name:?}")));
            assert!(told.is_some_and(|line| line.contains("in the journal")), "{why}, {name}: {ran:?}");
        }
        assert!(!seen.mounted.wait().success(), "{why}: not everything is in the bucket");
        drop(open);
        seen.backend.set_faults("");
        assert_eq!(seen.keys(), [""; 0], "{why}: nothing is there yet");
        let seen = seen.mounted_again();
        assert!(fs::read(seen.mounted.join("large")).unwrap() == bytes, "{why}: it is shown at once");
        until(|| seen.journal_files().is_empty());
        assert!(seen.bytes("large").unwrap() == bytes, "{why}");
        assert_eq!(seen.bytes("open").unwrap(), b"synced", "{why}: as it was acknowledged");
        seen.mounted_uploads_are_gone();
    }
}

#[test]
fn an_unmount_says_that_it_waits_for_the_store() {
    let seen = Seen::new(&[]);
    fs::write(seen.mounted.join("file"), "file").unwrap();
    seen.backend.set_faults(GONE);
    // Stored a moment later.
    fs::set_permissions(seen.mounted.join("file"), fs::Permissions::from_mode(0o604)).unwrap();
    let mut unmount = seen.mounted.unmount_command();
    let mut unmount = unmount.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until_said(&mut unmount, "the store has not answered for");
    seen.backend.set_faults("");
    assert!(unmount.wait().unwrap().success());
    let seen = seen.mounted_again();
    assert_eq!(fs::metadata(seen.mounted.join("file")).unwrap().permissions().mode() & 0o7777, 0o604);
}

#[test]
fn an_unmount_that_is_interrupted_says_what_remains() {
    let seen = Seen::new(&["--durability", "journal"]);
    // From now on what is in the directory is known.
    fs::write(seen.mounted.join("other"), "").unwrap();
    seen.backend.set_faults(GONE);
    fs::write(seen.mounted.join("file"), noise(MIB, 1)).unwrap();
    for signal in [Signal::INT, Signal::TERM] {
        let mut unmount = seen.mounted.unmount_command();
        let mut unmount = unmount.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until_said(&mut unmount, "storing 2 files, 1 MiB left");
        rustix::process::kill_process(Pid::from_raw(unmount.id().cast_signed()).unwrap(), signal).unwrap();
        let ended = unmount.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        let dir = seen.mounted.path().display();
        let want = "interrupted; it stays mounted, and 2 files go on being stored, 1 MiB of them left";
        assert_eq!(said, format!("brigade: cannot unmount {dir}: {want}\n"));
    }
    seen.backend.set_faults("");
    assert!(fs::read(seen.mounted.join("file")).unwrap() == noise(MIB, 1), "it stays mounted");
    let seen = seen.mounted_after_unmount();
    assert!(seen.bytes("file").unwrap() == noise(MIB, 1));
}

#[test]
fn keys_that_change_in_the_file_are_taken_up_by_a_running_mount() {
    let mut seen = Seen::new(&[]);
    seen.put("file", b"file");
    let home = tempfile::TempDir::new().unwrap();
    let keys = home.path().join("keys");
    let write = |id: &str, secret: &str| {
        let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        fs::write(&keys, text).unwrap();
    };
    write(ACCESS_KEY_ID, SECRET);
    let mounted = MountedBucket::mount("s3://bucket", &["--metadata-ttl", "1ms"], |command| {
        seen.backend.reach(command);
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        command.env("AWS_SHARED_CREDENTIALS_FILE", &keys);
    });
    assert_eq!(fs::read(mounted.join("file")).unwrap(), b"file");
    seen.backend.stop();
    seen.backend.rotate(Keys { access_key_id: "AKIDROTATED".to_owned(), secret: "another secret".to_owned() });
    seen.backend.restart();
    write("AKIDROTATED", "another secret");
    fs::write(mounted.join("new"), "new").unwrap();
    assert_eq!(fs::read(mounted.join("new")).unwrap(), b"new");
    mounted.unmount();
}
