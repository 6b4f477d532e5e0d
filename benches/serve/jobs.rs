//! What the server is asked to do.

use crate::client::Connection;
use crate::client::Prepared;
use crate::client::Signer;
use crate::process::BUCKET;
use brigade::base::clock;
use std::sync::Barrier;
use std::time::Duration;

/// Bytes of a large object.
const LARGE_BYTES: u64 = 1 << 30;
/// Bytes of a part.
const PART_BYTES: u64 = 8 << 20;
/// Bytes of a small object: it lives in the index.
const SMALL_BYTES: u64 = 1 << 10;
/// Bytes of one that has a file of its own.
const MIDDLE_BYTES: u64 = 16 << 10;
/// Connections that small objects come and go by.
const CONNECTIONS: usize = 32;
/// Small requests of each of them.
const REQUESTS: usize = 400;
/// Listings in a row.
const LISTINGS: usize = 50;

/// What one run has done, and in which time.
pub struct Done {
    /// From the first byte to the last.
    pub time: Duration,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Requests.
    pub requests: usize,
}

/// How the rate of a job is told.
#[derive(Clone, Copy)]
pub enum Unit {
    /// Gibibytes in a second, and processor time for each.
    Bytes,
    /// Requests in a second, and processor time for each.
    Requests,
    /// Milliseconds that a request takes, of which no two are under way.
    Latency,
}

/// A job.
pub struct Job {
    /// By which it is chosen.
    pub name: &'static str,
    /// In the table.
    pub title: &'static str,
    /// How it is told.
    pub unit: Unit,
    /// Does it; the number of the round makes names differ.
    pub run: fn(&Signer, usize) -> Done,
}

/// All of them, in order: some read what others wrote.
pub fn all() -> Vec<Job> {
    use Unit::Bytes;
    use Unit::Latency;
    use Unit::Requests;
    let job = |name, title, unit, run| Job { name, title, unit, run };
    vec![
        job("put-large", "PUT of 1 GiB", Bytes, |signer, _| transfer(signer, 1, "PUT")),
        job("get-large", "GET of 1 GiB", Bytes, |signer, _| transfer(signer, 1, "GET")),
        job("parts", "1 GiB in parts of 8 MiB, 4 at a time", Bytes, parts),
        job("put-streams", "4 PUTs of 1 GiB", Bytes, |signer, _| transfer(signer, 4, "PUT")),
        job("get-streams", "4 GETs of 1 GiB", Bytes, |signer, _| transfer(signer, 4, "GET")),
        job("put-small", "PUTs of 1 KiB on 32 connections", Requests, |signer, round| {
            small(signer, "PUT", SMALL_BYTES, |at| format!("/{BUCKET}/s/{round}/{at}"))
        }),
        job("put-middle", "PUTs of 16 KiB on 32 connections", Requests, |signer, round| {
            small(signer, "PUT", MIDDLE_BYTES, |at| format!("/{BUCKET}/m/{round}/{at}"))
        }),
        job("get-small", "GETs of 1 KiB on 32 connections", Requests, |signer, _| {
            small(signer, "GET", 0, |at| format!("/{BUCKET}/l/{:04}", at % 1000))
        }),
        job("get-middle", "GETs of 16 KiB on 32 connections", Requests, |signer, _| {
            small(signer, "GET", 0, |at| format!("/{BUCKET}/k/{:04}", at % 1000))
        }),
        job("list", "listings of 1,000 keys, one by one", Latency, list),
    ]
}

/// Stores what is only read.
pub fn prepare(signer: &Signer) {
    let mut connection = Connection::open(signer.addr);
    for at in 0..1000 {
        connection.exchange(&signer.prepare("PUT", &format!("/{BUCKET}/l/{at:04}"), &[], SMALL_BYTES));
        connection.exchange(&signer.prepare("PUT", &format!("/{BUCKET}/k/{at:04}"), &[], MIDDLE_BYTES));
    }
    for at in 0..4 {
        connection.exchange(&signer.prepare("PUT", &format!("/{BUCKET}/large/{at}"), &[], LARGE_BYTES));
    }
}

/// Each list of requests on a connection of its own; the clock runs while they do.
fn side_by_side(signer: &Signer, lists: &[Vec<Prepared>]) -> Duration {
    let begins = Barrier::new(lists.len() + 1);
    let started = std::thread::scope(|scope| {
        for list in lists {
            let mut connection = Connection::open(signer.addr);
            let begins = &begins;
            scope.spawn(move || {
                begins.wait();
                for request in list {
                    connection.exchange(request);
                }
            });
        }
        begins.wait();
        clock::monotonic()
    });
    started.elapsed()
}

fn transfer(signer: &Signer, streams: usize, method: &str) -> Done {
    let sent = if method == "PUT" { LARGE_BYTES } else { 0 };
    let one = |at| vec![signer.prepare(method, &format!("/{BUCKET}/large/{at}"), &[], sent)];
    let lists: Vec<_> = (0..streams).map(one).collect();
    let time = side_by_side(signer, &lists);
    Done { time, bytes: LARGE_BYTES * streams as u64, requests: streams }
}

fn parts(signer: &Signer, _round: usize) -> Done {
    const LANES: u64 = 4;
    let path = format!("/{BUCKET}/in-parts");
    let mut connection = Connection::open(signer.addr);
    let begun = connection.exchange(&signer.prepare("POST", &path, &[("uploads", "")], 0));
    let begun = String::from_utf8(begun).expect("a document");
    let id = begun.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).expect("it names the upload");
    let part = |number: u64| {
        signer.prepare("PUT", &path, &[("partNumber", &number.to_string()), ("uploadId", id)], PART_BYTES)
    };
    let numbers = 1..=LARGE_BYTES / PART_BYTES;
    let lane = |lane| numbers.clone().filter(|number| number % LANES == lane).map(part).collect();
    let lists: Vec<Vec<_>> = (0..LANES).map(lane).collect();
    let time = side_by_side(signer, &lists);
    connection.exchange(&signer.prepare("DELETE", &path, &[("uploadId", id)], 0));
    Done { time, bytes: LARGE_BYTES, requests: lists.iter().map(Vec::len).sum() }
}

fn small(signer: &Signer, method: &str, bytes: u64, path: impl Fn(usize) -> String) -> Done {
    let one = |at| signer.prepare(method, &path(at), &[], bytes);
    let list = |connection| (0..REQUESTS).map(|at| one(connection * REQUESTS + at)).collect();
    let lists: Vec<Vec<_>> = (0..CONNECTIONS).map(list).collect();
    let time = side_by_side(signer, &lists);
    let requests = CONNECTIONS * REQUESTS;
    Done { time, bytes: bytes * requests as u64, requests }
}

fn list(signer: &Signer, _round: usize) -> Done {
    let query = [("encoding-type", "url"), ("list-type", "2"), ("prefix", "l/")];
    let requests = (0..LISTINGS).map(|_| signer.prepare("GET", &format!("/{BUCKET}"), &query, 0)).collect();
    let time = side_by_side(signer, &[requests]);
    Done { time, bytes: 0, requests: LISTINGS }
}
