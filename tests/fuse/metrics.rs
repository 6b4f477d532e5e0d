//! `--metrics`: a mount is scraped, and what comes is read by a strict reader.

use crate::exposition::Family;
use crate::exposition::parse;
use crate::files::Seen;
use crate::outage::until;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use tempfile::TempDir;

/// Where the mount says that its figures are, last.
fn address(seen: &Seen) -> SocketAddr {
    let log = seen.mounted.log();
    let (_, rest) = log.rsplit_once("figures are at http://").unwrap_or_else(|| panic!("{log}"));
    rest.split_once("/metrics").unwrap().0.parse().unwrap()
}

fn get(addr: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn scrape(seen: &Seen) -> BTreeMap<String, Family> {
    let (head, body) = get(address(seen), "GET /metrics");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    parse(&body)
}

/// The sum of the samples of a family that have this label, or of all.
fn value(families: &BTreeMap<String, Family>, name: &str, label: Option<(&str, &str)>) -> f64 {
    let family = families.get(name).unwrap_or_else(|| panic!("no {name}"));
    let matching = family.samples.iter().filter(|(sample, labels, _)| {
        sample == name && label.is_none_or(|(name, value)| labels.get(name).is_some_and(|found| found == value))
    });
    matching.map(|(_, _, value)| value).sum()
}

#[test]
fn a_mount_is_scraped() {
    let seen = Seen::new(&["--metrics", "127.0.0.1:0"]);
    fs::write(seen.mounted.join("file"), vec![7; 100_000]).unwrap();
    assert_eq!(fs::read(seen.mounted.join("file")).unwrap().len(), 100_000);
    assert!(fs::read(seen.mounted.join("absent")).is_err());
    let families = scrape(&seen);
    let of = |name, label, text| value(&families, name, Some((label, text)));
    assert_eq!(of("brigade_fuse_bytes_total", "operation", "write"), 100_000.0);
    assert_eq!(of("brigade_store_bytes_total", "operation", "PutObject"), 100_000.0);
    assert!(of("brigade_fuse_requests_total", "result", "ENOENT") >= 1.0);
    assert!(of("brigade_store_requests_total", "result", "ok") >= 1.0);
    assert!(of("brigade_cache_requests_total", "cache", "names") >= 1.0);
    assert!(value(&families, "brigade_store_cost_dollars_total", None) > 0.0);
    assert_eq!(value(&families, "brigade_memory_limit_bytes", None), f64::from(128 << 20));
    assert_eq!(value(&families, "brigade_files_dirty", None), 0.0);
    let address = address(&seen);
    assert!(get(address, "GET /other").0.starts_with("HTTP/1.1 404"));
    assert!(get(address, "DELETE /metrics").0.starts_with("HTTP/1.1 405"));
    seen.mounted.unmount();
    assert!(TcpStream::connect(address).is_err(), "nobody listens after the mount");
}

#[test]
fn each_figure_is_explained_and_there_is_no_other() {
    let cache = TempDir::new().unwrap();
    let seen = Seen::new(&[
        "--metrics",
        "127.0.0.1:0",
        "--durability",
        "journal",
        "--cache-dir",
        cache.path().to_str().unwrap(),
    ]);
    let there: BTreeSet<_> = scrape(&seen).into_keys().collect();
    let (_, page) = include_str!("../../docs/status.md").split_once("\n## Metrics\n").unwrap();
    assert_eq!(named(page), there, "docs/status.md explains the names on the left, those on the right are there");
    for name in named(include_str!("../../packaging/grafana-dashboard.json")) {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(&name);
        assert!(there.contains(family), "the dashboard asks for {name}");
    }
    seen.mounted.unmount();
}

/// The names of figures in a text.
fn named(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("brigade_").map(|(at, _)| &text[at..]);
    let name =
        |rest: &str| rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
    starts.map(name).collect()
}

#[test]
fn who_takes_over_is_scraped_at_the_same_address() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let seen = Seen::new(&["--metrics", &free.to_string()]);
    scrape(&seen);
    seen.mounted.crash_worker();
    until(|| fs::metadata(seen.mounted.path()).is_ok());
    scrape(&seen);
    seen.mounted.unmount();
}

#[test]
fn an_address_that_is_taken_is_told_of() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = TempDir::new().unwrap();
    fs::create_dir(home.path().join("mnt")).unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let mut command = crate::program::brigade(home.path());
    command.current_dir(home.path()).args(["mount", "local:data", "mnt", "--metrics", &addr]);
    crate::program::run(&mut command).refused(1, &[&addr, "--metrics", "a port that is free"]);
}
