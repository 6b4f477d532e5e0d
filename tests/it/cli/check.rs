//! `brigade check`: what it says of good stores and bad ones, and that it leaves nothing behind.

use crate::backend::BUCKET;
use crate::backend::Backend;
use crate::program::Ran;
use crate::program::brigade;
use crate::program::run;
use crate::speech::Speech;
use serde_json::Value;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::process::Command;
use tempfile::TempDir;

fn check(backend: &Backend, source: &str, options: &[&str]) -> (TempDir, Command) {
    let home = TempDir::new().unwrap();
    let mut command = brigade(home.path());
    backend.reach(&mut command);
    command.current_dir(home.path()).args(["check", source]).args(options);
    (home, command)
}

fn checked(backend: &Backend, source: &str, options: &[&str]) -> Ran {
    let (_home, mut command) = check(backend, source, options);
    run(&mut command)
}

/// What is in the bucket, finished or not.
fn litter(backend: &Backend) -> u64 {
    let usage = backend.usage();
    usage.objects + usage.uploads
}

fn passes(speech: Speech) {
    let backend = Backend::start();
    let ran = checked(&backend, &speech.source(BUCKET), speech.options());
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{speech:?}: {ran:#?}");
    for what in ["connection", "credentials", "list", "write", "read", "latency", "multipart", "delete"] {
        assert!(ran.stdout.contains(&format!("ok      {what}: ")), "{what}: {}", ran.stdout);
    }
    for what in ["conditional writes", "user metadata", "part copy", "copy conditions"] {
        assert!(ran.stdout.contains(&format!("ok      {what}: yes\n")), "{what}: {}", ran.stdout);
    }
    assert!(ran.stdout.ends_with("can be mounted\n"), "{}", ran.stdout);
    assert!(backend.requests("AbortMultipartUpload") > 0, "uploads were tried");
    assert_eq!(litter(&backend), 0);
}

#[test]
fn a_good_store_passes_in_every_dialect() {
    Speech::ALL.into_iter().for_each(passes);
}

#[test]
fn a_local_source_passes_and_keeps_nothing() {
    let backend = Backend::start();
    let (home, mut command) = check(&backend, "local:data", &["--json"]);
    let ran = run(&mut command);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:#?}");
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["source"], format!("local:{}", home.path().join("data").display()));
    assert_eq!((&told["mountable"], &told["capabilities"]["metadata_in_listings"]), (&true.into(), &true.into()));
    assert!(told["round_trip_ms"].as_f64().unwrap() > 0.0);
    assert!(told["findings"].as_array().unwrap().iter().all(|finding| finding["level"] == "ok"), "{told:#}");
}

#[test]
fn a_prefix_is_all_that_is_touched() {
    let backend = Backend::start();
    let ran = checked(&backend, &format!("s3://{BUCKET}/below/it"), &["--json"]);
    assert_eq!(ran.status, 0, "{ran:#?}");
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["source"], format!("s3://{BUCKET}/below/it"));
    assert_eq!(litter(&backend), 0);
}

#[test]
fn what_is_wrong_is_an_error_with_a_remedy_and_status_1() {
    let backend = Backend::start();
    let failed = |source: &str, spoil: &dyn Fn(&mut Command), says: &[&str]| {
        let (_home, mut command) = check(&backend, source, &[]);
        spoil(&mut command);
        let ran = run(&mut command);
        assert_eq!((ran.status, ran.stderr.as_str()), (1, ""), "{ran:#?}");
        let line = ran.stdout.lines().find(|line| line.starts_with("error")).unwrap_or_else(|| panic!("{ran:#?}"));
        says.iter().for_each(|part| assert!(line.contains(part), "{line:?} does not say {part:?}"));
        assert!(ran.stdout.ends_with(&format!("{source} cannot be mounted\n")), "{ran:#?}");
        assert!(!ran.stdout.contains("not the secret"), "{ran:#?}");
    };
    let as_it_is = |_: &mut Command| {};
    let address = unused_address();
    failed("s3://nothere", &as_it_is, &["list: bucket \"nothere\" does not exist", "; create it"]);
    let wrong = |command: &mut Command| {
        command.env("AWS_SECRET_ACCESS_KEY", "not the secret");
    };
    failed("s3://bucket", &wrong, &["credentials: ", "refused the credentials", "; check AWS_ACCESS_KEY_ID"]);
    let none = |command: &mut Command| {
        command.env_remove("AWS_ACCESS_KEY_ID");
    };
    failed("s3://bucket", &none, &["credentials: no credentials found", "set AWS_ACCESS_KEY_ID"]);
    let gone = |command: &mut Command| {
        command.arg(format!("--endpoint-url=http://{address}"));
    };
    failed("s3://bucket", &gone, &["connection: cannot reach", "; check --endpoint-url"]);
    assert_eq!(litter(&backend), 0);
}

/// Taken and let go, so that nobody listens there.
fn unused_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn wrong_usage_is_one_line_and_status_2() {
    let backend = Backend::start();
    checked(&backend, "bucket", &[]).refused(2, &["\"bucket\"", "s3://BUCKET", "jss://BUCKET"]);
    checked(&backend, "jss://bucket", &["--checksum", "sha256"]).refused(2, &["--checksum sha256", "JSS"]);
    checked(&backend, "s3://bucket", &["--read-only"]).refused(2, &["--read-only", "`brigade check --help`"]);
}
