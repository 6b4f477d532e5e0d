//! Who gets at what: secrets in logs and in memory, other users of the machine, keys that may not do everything.

use crate::backend::ACCESS_KEY_ID;
use crate::backend::BUCKET;
use crate::backend::Backend;
use crate::backend::SECRET;
use crate::mounted::MountedBucket;
use crate::program::brigade;
use crate::program::core_limit;
use crate::program::run;
use crate::programs::shell;
use crate::speech::Speech;
use brigade::base::clock;
use brigade::wire::date::AmzDate;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Sha256;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::process::Command;
use tempfile::TempDir;

const TOKEN: &str = "the token of a session for tests";

/// The key that requests of this day are signed with, derived as the vendor's page has it.
fn signing_key(day: &str) -> [u8; 32] {
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for word in [day, "us-east-1", "s3", "aws4_request"] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(word.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    key.try_into().unwrap()
}

#[test]
fn no_log_holds_a_secret() {
    let backend = Backend::start();
    for speech in Speech::ALL {
        let first_day = AmzDate::new(clock::now()).day();
        let options: Vec<_> = speech.options().iter().copied().chain(["--log", "json"]).collect();
        let mounted = MountedBucket::mount(&format!("{}/below", speech.source(BUCKET)), &options, |command| {
            backend.reach(command);
            // Of every library as well.
            command.env("BRIGADE_LOG", "trace,brigade=trace");
            if speech != Speech::Jss {
                command.env("AWS_SESSION_TOKEN", TOKEN);
            }
        });
        fs::write(mounted.join("file"), "text").unwrap();
        let log = mounted.log();
        assert!(log.lines().count() > 10, "{speech:?}: there is something to look through: {log}");
        // As text, and as the numbers that a careless line would show.
        let mut hidden = vec![SECRET.to_owned(), TOKEN.to_owned(), format!("{:?}", SECRET.as_bytes())];
        for day in [first_day, AmzDate::new(clock::now()).day()] {
            let key = signing_key(&day);
            hidden.push(data_encoding::HEXLOWER.encode(&key));
            hidden.push(data_encoding::BASE64.encode(&key));
            hidden.push(format!("{key:?}"));
        }
        // What comes before a signature.
        hidden.extend(["Signature=", "aws4_request, SignedHeaders"].map(str::to_owned));
        hidden.push(format!("{ACCESS_KEY_ID}:"));
        for (nth, secret) in hidden.iter().enumerate() {
            assert!(!log.contains(secret), "{speech:?}: what must not be told (number {nth}) is in the log");
        }
        mounted.unmount();
    }
}

#[test]
fn the_memory_of_a_mount_is_dumped_nowhere() {
    let data = TempDir::new().unwrap();
    let mounted = MountedBucket::local(data.path(), &[]);
    assert_eq!(core_limit(mounted.pid()), "0");
    mounted.unmount();
}

#[test]
fn what_is_kept_on_the_disk_is_its_owners_alone() {
    let (backend, home) = (Backend::start(), TempDir::new().unwrap());
    let option = |name: &str| format!("--{name}={}", home.path().join(name).display());
    let options = [option("cache-dir"), option("journal-dir"), option("state-dir"), option("log-file")];
    let options = options.each_ref().map(String::as_str);
    let mounted = MountedBucket::mount(&Speech::S3.source(BUCKET), &options, |command| backend.reach(command));
    fs::write(mounted.join("file"), "text").unwrap();
    assert_eq!(fs::read_to_string(mounted.join("file")).unwrap(), "text");
    let open = shell(home.path(), "find . -mindepth 1 -perm /077");
    assert_eq!(open, "");
    assert_eq!(shell(home.path(), "ls"), "cache-dir\njournal-dir\nlog-file\nstate-dir\n");
    mounted.unmount();
}

#[test]
fn other_users_get_in_only_if_they_are_let() {
    if !rustix::process::geteuid().is_root() {
        println!("only root can become another user; nothing to see here");
        return;
    }
    let data = TempDir::new().unwrap();
    let theirs = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    // The mount lies below a directory of this user's own, where others would not get to it: they start inside.
    let mounted = MountedBucket::local(data.path(), &[]);
    fs::write(mounted.join("file"), "ours").unwrap();
    for attempt in ["cat file", "ls .", "touch new", "stat file"] {
        shell(mounted.path(), &format!("{theirs} sh -c '! {attempt} 2>/dev/null'"));
    }
    shell(mounted.path(), "test $(ls -A) = file");
    mounted.unmount();
    let mounted = MountedBucket::local(data.path(), &["--allow-other"]);
    assert_eq!(shell(mounted.path(), &format!("{theirs} cat file")), "ours");
    shell(mounted.path(), &format!("{theirs} sh -c '! touch new 2>/dev/null'"));
    mounted.unmount();
}

const USERS: &str = "\
[reader]
aws_access_key_id = READER
aws_secret_access_key = the reader's secret
access = read-only
buckets = bucket

[elsewhere]
aws_access_key_id = ELSEWHERE
aws_secret_access_key = another secret
buckets = other-*
";

fn by(command: &mut Command, id: &str, secret: &str) {
    command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
}

/// A backend that lets in [`USERS`], with a file in its bucket.
fn with_users() -> Backend {
    let mut backend = Backend::start();
    backend.stop();
    backend.admit(USERS);
    backend.restart();
    let mounted = MountedBucket::mount(&Speech::S3.source(BUCKET), &[], |command| backend.reach(command));
    fs::write(mounted.join("old"), "there before").unwrap();
    mounted.unmount();
    backend
}

#[test]
fn keys_that_may_only_read_read_and_are_told_what_they_may_not() {
    let backend = with_users();
    let mounted = MountedBucket::mount(&Speech::S3.source(BUCKET), &[], |command| {
        backend.reach(command);
        by(command, "READER", "the reader's secret");
    });
    assert_eq!(fs::read_to_string(mounted.join("old")).unwrap(), "there before");
    let is_denied = |result: io::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    };
    is_denied(fs::create_dir(mounted.join("dir")));
    is_denied(fs::remove_file(mounted.join("old")));
    is_denied(fs::rename(mounted.join("old"), mounted.join("new")));
    is_denied(File::create(mounted.join("synced")).and_then(|mut file| {
        file.write_all(b"x")?;
        file.sync_all()
    }));
    // By programs that look at what `close` answers.
    shell(mounted.path(), "! cp /proc/self/status copied 2>/dev/null");
    let told = shell(mounted.path(), "cp /proc/self/status copied 2>&1 || true");
    assert!(told.contains("Permission denied"), "{told}");
    assert_eq!(fs::read_to_string(mounted.join("old")).unwrap(), "there before");
    mounted.unmount();
    assert_eq!(backend.usage().objects, 1, "nothing came about");
}

#[test]
fn keys_of_another_bucket_mount_nothing() {
    let backend = with_users();
    let home = TempDir::new().unwrap();
    fs::create_dir(home.path().join("mnt")).unwrap();
    let mut command = brigade(home.path());
    backend.reach(&mut command);
    by(&mut command, "ELSEWHERE", "another secret");
    command.current_dir(home.path()).args(["mount", &Speech::S3.source(BUCKET), "mnt"]);
    run(&mut command).refused(1, &["denies listing bucket \"bucket\"", "grant these credentials s3:ListBucket"]);
}
