//! `brigade serve` as a process: what it prints, how it ends, and what it refuses.

use crate::program::brigade;
use crate::program::core_limit;
use crate::program::run;
use rustix::process::Pid;
use rustix::process::Signal;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

/// A served directory, killed with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // It has usually ended by then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Served {
    /// Starts it and reads until the line with its address.
    fn start(command: &mut Command) -> (Self, Vec<String>) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let served = Self(child);
        let mut lines = Vec::new();
        for line in stdout.lines() {
            let line = line.unwrap();
            let last = line.starts_with("serving ");
            lines.push(line);
            if last {
                return (served, lines);
            }
        }
        panic!("it ended after saying {lines:?}");
    }

    fn signal(&mut self, signal: Signal) -> Option<i32> {
        let pid = Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
        self.0.wait().unwrap().code()
    }
}

fn serve(home: &Path, arguments: &str) -> Command {
    let mut command = brigade(home);
    command.current_dir(home).arg("serve").args(arguments.split(' '));
    command
}

#[test]
fn it_tells_where_it_serves_and_where_the_keys_are_and_ends_clean() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = TempDir::new().unwrap();
        let (mut served, lines) = Served::start(&mut serve(home.path(), "data --listen 127.0.0.1:0 --bucket bucket"));
        let [keys, serving] = lines.as_slice() else { panic!("{lines:?}") };
        let path = Path::new(keys.strip_prefix("keys: ").unwrap());
        assert!(path.starts_with(home.path().canonicalize().unwrap()) || path.starts_with(home.path()), "{keys}");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "nobody else reads the keys");
        assert!(serving.contains("data at http://127.0.0.1:"), "{serving}");
        let secret = fs::read_to_string(path).unwrap();
        assert!(
            !secret.lines().any(|line| line.len() > 8 && lines.iter().any(|told| told.contains(line))),
            "{lines:?}"
        );
        assert_eq!(served.signal(signal), Some(0));
    }
}

#[test]
fn keys_of_the_environment_are_used_and_not_kept() {
    let home = TempDir::new().unwrap();
    let mut command = serve(home.path(), "data --listen 127.0.0.1:0");
    command.env("BRIGADE_ACCESS_KEY_ID", "id").env("BRIGADE_SECRET_ACCESS_KEY", "hush");
    let (mut served, lines) = Served::start(&mut command);
    assert_eq!(lines.len(), 1, "there is no file of keys to name: {lines:?}");
    assert!(!home.path().join("data/credentials").exists());
    assert_eq!(served.signal(Signal::TERM), Some(0));

    let mut command = serve(home.path(), "data");
    run(command.env("BRIGADE_ACCESS_KEY_ID", "id")).refused(2, &["BRIGADE_SECRET_ACCESS_KEY is not"]);
    let mut command = serve(home.path(), "data");
    let ran = run(command.env("BRIGADE_SECRET_ACCESS_KEY", "hush"));
    ran.refused(2, &["BRIGADE_ACCESS_KEY_ID is not"]);
    assert!(!ran.stderr.contains("hush"));
}

#[test]
fn a_second_pair_for_reading_is_whole_and_another_one() {
    let home = TempDir::new().unwrap();
    let (id, secret) = ("BRIGADE_READ_ONLY_ACCESS_KEY_ID", "BRIGADE_READ_ONLY_SECRET_ACCESS_KEY");
    run(serve(home.path(), "data").env(id, "id")).refused(2, &[id, secret, "set both"]);
    let ran = run(serve(home.path(), "data").env(secret, "hush"));
    ran.refused(2, &[id, secret, "set both"]);
    assert!(!ran.stderr.contains("hush"));
    let mut same = serve(home.path(), "data");
    same.env(id, "id").env(secret, "a").env("BRIGADE_ACCESS_KEY_ID", "id").env("BRIGADE_SECRET_ACCESS_KEY", "b");
    run(&mut same).refused(2, &[id, "each pair its own"]);
}

#[test]
fn each_request_is_a_line_of_the_log_without_its_signature() {
    let home = TempDir::new().unwrap();
    let mut command = serve(home.path(), "data --listen 127.0.0.1:0 --dialect wos --log-file log");
    let (mut served, lines) = Served::start(command.env("BRIGADE_LOG", "debug"));
    let (_, address) = lines.last().unwrap().split_once("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = "GET /bkt/k?AccessKey=a&Expires=1&Signature=hush&contentType=b HTTP/1.1\r\nhost: h\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut status = String::new();
    BufReader::new(&stream).read_line(&mut status).unwrap();
    assert_eq!(status, "HTTP/1.1 400 Bad Request\r\n");
    drop(stream);
    assert_eq!(served.signal(Signal::TERM), Some(0));
    let log = fs::read_to_string(home.path().join("log")).unwrap();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("dialect=JSS")).collect();
    let [line] = lines.as_slice() else { panic!("one line, and not: {log}") };
    for part in [
        "jingdong",
        "GET",
        "/bkt/k?AccessKey=a&Expires=1&Signature=..&contentType=b",
        "400",
        "ExpiredToken",
        "request_id",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!log.contains("hush"));
}

#[test]
fn the_memory_of_the_server_is_dumped_nowhere() {
    let home = TempDir::new().unwrap();
    let (mut served, _) = Served::start(&mut serve(home.path(), "data --listen 127.0.0.1:0"));
    assert_eq!(core_limit(served.0.id()), "0");
    assert_eq!(served.signal(Signal::TERM), Some(0));
}

#[test]
fn a_data_directory_that_cannot_be_written_to_is_named() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("file"), "").unwrap();
    run(&mut serve(home.path(), "file --listen 127.0.0.1:0")).refused(1, &["file"]);
    run(&mut serve(home.path(), "file/data --listen 127.0.0.1:0")).refused(1, &["file/data"]);
    run(&mut serve(home.path(), "/proc/data --listen 127.0.0.1:0")).refused(1, &["/proc/data"]);
}

#[test]
fn a_taken_port_and_a_data_directory_in_use_are_named() {
    let home = TempDir::new().unwrap();
    let (served, lines) = Served::start(&mut serve(home.path(), "data --listen 127.0.0.1:0"));
    let (_, address) = lines.last().unwrap().split_once("http://").unwrap();
    run(&mut serve(home.path(), &format!("other --listen {address}"))).refused(1, &[address, "in use"]);
    let data = home.path().join("data");
    run(&mut serve(home.path(), "data --listen 127.0.0.1:0")).refused(1, &[data.to_str().unwrap(), "in use"]);
    drop(served);
}

#[test]
fn wrong_usage_is_one_line_and_status_2() {
    let home = TempDir::new().unwrap();
    run(brigade(home.path()).arg("serve")).refused(2, &["<DATA>", "brigade serve --help"]);
    run(&mut serve(home.path(), "data --listen here")).refused(2, &["here", "--listen"]);
    run(&mut serve(home.path(), "data --colour red")).refused(2, &["--colour"]);
    run(brigade(home.path()).arg("fly")).refused(2, &["fly", "brigade --help"]);
    run(&mut brigade(home.path())).refused(2, &["mount, umount, status, log, upgrade, serve", "brigade --help"]);
}

#[test]
fn a_plan_of_faults_is_read_and_its_seed_told() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("bad"), "seed = 1\n[[rule]]\nfault = \"flood\"\n").unwrap();
    run(&mut serve(home.path(), "data --listen 127.0.0.1:0 --faults bad"))
        .refused(2, &["--faults bad: line 3", "latency"]);
    run(&mut serve(home.path(), "data --listen 127.0.0.1:0 --faults none")).refused(2, &["none", "No such file"]);
    fs::write(home.path().join("plan"), "seed = 11\n[[rule]]\nfault = \"lost-answer\"\n").unwrap();
    let (served, lines) = Served::start(&mut serve(home.path(), "data --listen 127.0.0.1:0 --faults plan"));
    assert!(lines.contains(&"faults: plan with seed = 11".to_owned()), "{lines:?}");
    let (_, address) = lines.last().unwrap().split_once("http://").unwrap();
    let mut line = TcpStream::connect(address).unwrap();
    line.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut line, &mut answer).unwrap();
    assert_eq!(answer, b"", "the work is done, nothing is answered");
    drop(served);
}
