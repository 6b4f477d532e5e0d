//! `brigade status` about real mounts: one that stores, one whose store is gone, one that hangs.

use crate::files::Seen;
use crate::files::noise;
use crate::outage::until;
use crate::program;
use crate::program::Ran;
use crate::terminal::Terminal;
use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Child;
use std::process::Stdio;
use std::thread;
use tempfile::TempDir;

const MIB: usize = 1 << 20;
/// Every request is cut off.
const GONE: &str = "[[rule]]\nfault = \"outage\"";

fn status(seen: &Seen, options: &[&str]) -> Ran {
    program::run(seen.mounted.command("status").args(options))
}

/// The only mount of the document.
#[track_caller]
fn document(seen: &Seen) -> Value {
    let ran = status(seen, &["--json"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let mut told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["version"], 1);
    let mounts = told["mounts"].as_array_mut().unwrap();
    assert_eq!(mounts.len(), 1, "{mounts:?}");
    mounts.remove(0)
}

fn signal(process: u32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(process.try_into().unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn an_upload_under_way_is_seen_with_its_rate_and_its_end() {
    let seen = Seen::new(&[]);
    seen.backend.set_faults("[[rule]]\nfault = \"bandwidth\"\nup = \"4MiB\"");
    thread::scope(|scope| {
        let large = seen.mounted.join("large");
        scope.spawn(move || fs::write(large, noise(64 * MIB, 3)).unwrap());
        until(|| {
            let told = document(&seen);
            let upload = &told["uploads"][0];
            upload["stage"] == "storing" && upload["remaining_s"].is_u64() && upload["stored_bytes"].as_u64() > Some(0)
        });
        let told = document(&seen);
        let upload = &told["uploads"][0];
        assert_eq!((&upload["path"], &upload["size_bytes"]), (&"large".into(), &(64 * MIB).into()), "{told}");
        assert!(told["requests"]["UploadPart"]["under_way"].as_u64() > Some(0), "{told}");
        assert_eq!((&told["files"]["dirty"], &told["files"]["open"]), (&1.into(), &1.into()), "{told}");
        let page = status(&seen, &[]);
        assert_eq!((page.status, page.stderr.as_str()), (0, ""));
        assert!(page.stdout.contains(" left  large\n") && page.stdout.contains("/s  "), "{}", page.stdout);
        seen.backend.set_faults("");
    });
    let told = document(&seen);
    assert_eq!((&told["files"]["dirty"], &told["uploads"]), (&0.into(), &Value::Array(Vec::new())), "{told}");
    assert_eq!(told["operations"]["write"]["bytes"], 64 * MIB, "{told}");
    assert!(told["operations"]["write"]["latency"]["p50_us"].as_u64() > Some(0), "{told}");
    assert!(told["requests"]["UploadPart"]["bytes"].as_u64() >= Some(64 << 20), "{told}");
    assert!(told["cost"]["micro_usd"].as_u64() > Some(0), "{told}");
    assert!(told["caches"]["lookups"]["hits"].is_u64() && told["memory"]["limit_bytes"] == 128 << 20, "{told}");
    seen.mounted.unmount();
}

#[test]
fn a_failure_is_told_with_its_path_and_why() {
    let seen = Seen::new(&["--soft", "--timeout", "2s"]);
    fs::create_dir(seen.mounted.join("dir")).unwrap();
    let mut open = File::create(seen.mounted.join("dir/new")).unwrap();
    open.write_all(b"new").unwrap();
    seen.backend.set_faults("[[rule]]\nfault = \"status\"\noperation = \"PutObject\"\nstatus = 503");
    assert!(open.sync_all().is_err());
    let told = document(&seen);
    let errors = told["errors"].as_array().unwrap();
    let find = |operation: &str| errors.iter().find(|error| error["operation"] == operation);
    let of_store = find("PutObject").unwrap_or_else(|| panic!("{told}"));
    assert_eq!((&of_store["path"], &of_store["code"]), (&"dir/new".into(), &"ServiceUnavailable".into()), "{told}");
    assert!(of_store["request_id"].is_string() && of_store["times"].as_u64() > Some(1), "{told}");
    let of_mount = find("fsync").unwrap_or_else(|| panic!("{told}"));
    assert_eq!((&of_mount["path"], &of_mount["code"]), (&"dir/new".into(), &"ServiceUnavailable".into()), "{told}");
    let errno = of_mount["errno"].as_str().unwrap();
    assert_eq!(told["operations"]["fsync"]["failed"][errno], 1, "{told}");
    assert!(told["requests"]["PutObject"]["failed"]["unavailable"].as_u64() > Some(1), "{told}");
    assert!(told["requests"]["PutObject"]["retries"].as_u64() > Some(0), "{told}");
    let (log, id) = (seen.mounted.log(), of_mount["request_id"].as_str().unwrap());
    let line = log.lines().find(|line| line.contains("refused") && line.contains("fsync"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    for part in ["dir/new", errno, "ServiceUnavailable", id] {
        assert!(line.contains(part), "{line} does not say {part}");
    }
    seen.backend.set_faults("");
    drop(open);
    seen.mounted.unmount();
}

#[test]
fn a_mount_whose_store_is_gone_says_so_at_once() {
    let seen = Seen::new(&["--timeout", "2s"]);
    let mut open = File::create(seen.mounted.join("file")).unwrap();
    open.write_all(b"waits").unwrap();
    seen.backend.set_faults(GONE);
    let syncing = thread::spawn(move || open.sync_all());
    until(|| document(&seen)["outage_s"].is_u64());
    let page = status(&seen, &[]);
    assert_eq!(page.status, 0, "{page:?}");
    assert!(page.stdout.contains("store     has not answered for "), "{}", page.stdout);
    seen.backend.set_faults("");
    syncing.join().unwrap().unwrap();
    until(|| document(&seen)["outage_s"].is_null());
    seen.mounted.unmount();
}

#[test]
fn a_mount_that_hangs_is_a_line_and_not_waited_for() {
    let seen = Seen::new(&[]);
    let worker = seen.mounted.worker();
    signal(worker, Signal::STOP);
    let (page, json) = (status(&seen, &[]), status(&seen, &["--json"]));
    signal(worker, Signal::CONT);
    assert_eq!((page.status, page.stderr.as_str(), page.stdout.lines().count()), (1, "", 1), "{page:?}");
    assert!(page.stdout.contains("its process has not answered for 3 s"), "{}", page.stdout);
    let told: Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(json.status == 1 && told["mounts"][0]["error"].is_string(), "{told}");
    assert_eq!(document(&seen)["pid"], worker);
    seen.mounted.unmount();
}

#[test]
fn only_their_user_reaches_the_socket() {
    let seen = Seen::new(&[]);
    let table = brigade::mount::table::read().unwrap();
    let mount = brigade::mount::table::at(&table, seen.mounted.path()).unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let directory = brigade::mount::control::directory(uid, None);
    let socket = brigade::mount::control::socket_path(&directory, mount.device);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    seen.mounted.unmount();
}

#[test]
fn a_cache_on_disk_and_removals_are_told_of() {
    let dir = TempDir::new().unwrap();
    let seen = Seen::new(&["--cache-dir", dir.path().to_str().unwrap(), "--cache-limit", "64MiB"]);
    let bytes = noise(3 * MIB, 5);
    seen.put("file", &bytes);
    assert!(fs::read(seen.mounted.join("file")).unwrap() == bytes);
    let told = document(&seen);
    let blocks = &told["caches"]["blocks"];
    assert_eq!((&blocks["hits"], &blocks["miss_bytes"]), (&0.into(), &(3 * MIB).into()), "{told}");
    assert_eq!((&blocks["misses"], &blocks["limit_bytes"]), (&12.into(), &(64 << 20).into()), "{told}");
    let seen = seen.mounted_after_unmount();
    assert!(fs::read(seen.mounted.join("file")).unwrap() == bytes);
    let told = document(&seen);
    let blocks = &told["caches"]["blocks"];
    assert_eq!((&blocks["hits"], &blocks["hit_bytes"]), (&12.into(), &(3 * MIB).into()), "{told}");
    assert_eq!((&blocks["misses"], &blocks["miss_bytes"]), (&0.into(), &0.into()), "{told}");
    assert!(blocks["bytes"].as_u64() >= Some(3 << 20), "{told}");
    let page = status(&seen, &[]).stdout;
    assert!(page.contains("  blocks    100 % of 12 from local disk; "), "{page}");
    seen.mounted.unmount();
}

fn watched(seen: &Seen, terminal: &Terminal) -> Child {
    let end = || Stdio::from(terminal.end.try_clone().unwrap());
    seen.mounted.command("status").arg("--watch").stdin(end()).stdout(end()).stderr(end()).spawn().unwrap()
}

#[test]
fn a_live_screen_follows_the_mount_and_the_window_and_leaves_the_terminal_as_it_was() {
    let seen = Seen::new(&[]);
    for leave in [&b"q"[..], b"\x03"] {
        let mut terminal = Terminal::new(24, 80);
        let mut watching = watched(&seen, &terminal);
        until(|| terminal.shown().contains("q leaves"));
        assert!(terminal.shown().starts_with("\x1b[?1049h"), "{:?}", terminal.shown());
        assert!(!terminal.is_as_it_was(), "keys are not shown");
        let open = File::create(seen.mounted.join("file")).unwrap();
        until(|| terminal.shown().contains("files     1 open"));
        terminal.resize(3, 80);
        signal(watching.id(), Signal::WINCH);
        until(|| terminal.shown().contains("lines are below the window"));
        terminal.press(b"x");
        terminal.press(leave);
        assert!(watching.wait().unwrap().success());
        until(|| terminal.shown().ends_with("\x1b[?1049l"));
        assert!(terminal.is_as_it_was());
        drop(open);
    }
    let terminal = Terminal::new(24, 80);
    let mut watching = watched(&seen, &terminal);
    until(|| terminal.shown().contains("q leaves"));
    signal(watching.id(), Signal::TERM);
    assert!(watching.wait().unwrap().success());
    assert!(terminal.is_as_it_was(), "a signal leaves it as it was too");
    seen.mounted.unmount();
}

#[test]
fn elsewhere_than_on_a_terminal_a_watch_is_page_after_page() {
    let seen = Seen::new(&[]);
    for (options, want) in [(&["--watch"][..], "  store     answers"), (&["--watch", "--json"], "{\"mounts\":[")] {
        let mut watching = seen.mounted.command("status").args(options).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(watching.stdout.take().unwrap()).lines().map(Result::unwrap);
        let found: Vec<_> = lines.filter(|line| line.starts_with(want)).take(2).collect();
        assert!(found.len() == 2 && found.iter().all(|line| !line.contains('\x1b')), "{found:?}");
        // Its reader has gone.
        assert!(watching.wait().unwrap().success());
    }
    seen.mounted.unmount();
}

#[test]
fn what_is_logged_is_changed_while_programs_go_on() {
    let seen = Seen::new(&[]);
    let log = |options: &[&str]| program::run(seen.mounted.command("log").args(options));
    let told = |options: &[&str]| {
        let ran = log(options);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
        ran.stdout
    };
    assert_eq!(told(&[]), "level info, access log off\n");
    fs::write(seen.mounted.join("before"), "text").unwrap();
    assert_eq!(told(&["--access", "on"]), "level info, access log on\n");
    fs::write(seen.mounted.join("during"), "text").unwrap();
    assert_eq!(told(&["--access", "off", "--level", "debug"]), "level debug, access log off\n");
    fs::write(seen.mounted.join("after"), "text").unwrap();
    log(&["--level", "loud"]).refused(1, &["\"loud\" is no level", "use error, warn, info, debug or trace"]);
    let text = seen.mounted.log();
    let accesses: Vec<_> = text.lines().filter(|line| line.contains("brigade::access")).collect();
    let of = |name: &str| accesses.iter().filter(|line| line.contains(name)).count();
    // The kernel tells of the end of a file when it likes.
    assert!(of("\"during\"") > 2 && of("write path=\"before\"") + of("write path=\"after\"") == 0, "{accesses:#?}");
    for part in ["write path=\"during\"", "result=\"ok\" bytes=4 us="] {
        assert!(accesses.iter().any(|line| line.contains(part)), "{part}: {accesses:#?}");
    }
    let requests = |key: &str| text.lines().any(|line| line.contains("op=PutObject") && line.contains(key));
    assert!(requests("after") && !requests("during"), "requests to the store are logged at debug:\n{text}");
    seen.mounted.unmount();
}
