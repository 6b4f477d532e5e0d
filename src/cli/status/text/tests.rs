//! Pages about made-up mounts, letter by letter.

use super::*;
use crate::base::clock;
use crate::mount::status::Caches;
use crate::mount::status::Cost;
use crate::mount::status::Files;
use crate::mount::status::Journal;
use crate::mount::status::Memory;
use crate::mount::table::Device;
use crate::mount::table::Mount;
use std::collections::BTreeMap;

const MIB: u64 = 1 << 20;

fn mount(minor: u32) -> Mount {
    Mount {
        device: Device { major: 0, minor },
        dir: format!("/mnt/{minor}").into(),
        fs_type: "fuse.brigade".into(),
        source: "s3://b".into(),
        owner: None,
    }
}

fn requests(begun: u64, failed: u64, retries: u64, bytes: u64) -> Requests {
    let failed = BTreeMap::from_iter((failed > 0).then(|| ("throttled".to_owned(), failed)));
    Requests { begun, failed, retries, bytes, ..Requests::default() }
}

fn busy() -> Status {
    Status {
        pid: 7,
        serving_s: 3_725,
        outage_s: Some(95),
        files: Files { open: 3, dirty: 3, dirty_bytes: 300 * MIB, unsent_bytes: 200 * MIB, ..Files::default() },
        memory: Memory { bytes: 64 * MIB, limit_bytes: 128 * MIB, waiting: 2 },
        journal: Some(Journal { files: 1, bytes: MIB, limit_bytes: 1024 * MIB }),
        uploads: vec![
            Upload {
                path: "big\u{1b}[2J".into(),
                stage: "storing".into(),
                size_bytes: 200 * MIB,
                stored_bytes: 90 * MIB,
                bytes_per_second: Some(2 * MIB),
                remaining_s: Some(55),
            },
            Upload { path: "new".into(), stage: "open".into(), size_bytes: 100 * MIB, ..Upload::default() },
            Upload { path: "mode".into(), stage: "attributes".into(), ..Upload::default() },
        ],
        requests: [
            ("PutObject".to_owned(), requests(3, 0, 0, 10 * MIB)),
            ("UploadPart".to_owned(), requests(120, 2, 2, 90 * MIB)),
            ("GetObject".to_owned(), requests(1, 0, 0, MIB)),
        ]
        .into(),
        cost: Cost { micro_usd: 615, prices: "list prices".into() },
        errors: vec![Failed {
            time: "2026-11-18T05:46:40Z".into(),
            times: 3,
            operation: "UploadPart".into(),
            path: "big".into(),
            message: "SlowDown: no".into(),
            ..Failed::default()
        }],
        ..Status::default()
    }
}

fn look(millis: u64, mounts: Vec<Seen>) -> Look {
    let epoch = clock::monotonic();
    Look { at: epoch + Duration::from_millis(millis), mounts }
}

fn seen(minor: u32, status: Result<Status, &str>) -> Seen {
    Seen { mount: mount(minor), status: status.map(Box::new).map_err(str::to_owned) }
}

#[test]
fn a_page_says_what_people_ask() {
    let page = page(&look(0, vec![seen(1, Ok(busy())), seen(2, Err("nobody answers"))]), None);
    let want = "\
s3://b on /mnt/1, served for 1 h 2 min
  store     has not answered for 1 min 35 s; what is to be stored waits for it; sent 100 MiB, received 1 MiB
  files     3 open, 3 not in the bucket yet: 100 MiB of 300 MiB stored
  memory    64 MiB of 128 MiB, 2 wait for some
  journal   1 file, 1 MiB of 1 GiB
  caches    names -, metadata -, reads -
  requests  UploadPart 120 (2 failed, 2 repeated), PutObject 3, GetObject 1
  cost      about $0.000615 at list prices
  uploads
    [#########-----------]  45 % 90 MiB of 200 MiB  2 MiB/s  55 s left  big\\u{1b}[2J
    [--------------------]   0 % 0 B of 100 MiB  being written  new
  changes   attributes of 1 file are to be stored
  last failures (UTC)
    05:46:40 UploadPart \"big\": SlowDown: no (3 times)

s3://b on /mnt/2: nobody answers";
    assert_eq!(page.join("\n"), want);
}

#[test]
fn rates_are_those_since_the_look_before_of_the_same_process() {
    let mut later = busy();
    later.requests.insert("PutObject".into(), requests(4, 0, 0, 14 * MIB));
    let at = clock::monotonic();
    let before = Look { at, mounts: vec![seen(1, Ok(busy()))] };
    let now =
        |pid| Look { at: at + Duration::from_secs(2), mounts: vec![seen(1, Ok(Status { pid, ..later.clone() }))] };
    let line = |look: &Look| page(look, Some(&before))[1].clone();
    assert!(line(&now(7)).ends_with("sent 104 MiB at 2 MiB/s, received 1 MiB at 0 B/s"), "{}", line(&now(7)));
    assert!(line(&now(8)).ends_with("sent 104 MiB, received 1 MiB"), "{}", line(&now(8)));
}

#[test]
fn nothing_to_tell_is_told() {
    assert_eq!(page(&look(0, Vec::new()), None), ["nothing of yours is mounted by Brigade"]);
    let page = page(&look(0, vec![seen(1, Ok(Status::default()))]), None);
    assert!(page.iter().any(|line| line.contains("all that was written is in the bucket")), "{page:?}");
}

#[test]
fn numbers_read_well() {
    for (seconds, want) in [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7_260, "2 h 1 min"), (90_000, "1 d 1 h")] {
        assert_eq!(span(seconds), want);
    }
    for (micro, want) in [(0, "$0.000000"), (1_234, "$0.001234"), (12_345_678, "$12.34")] {
        assert_eq!(dollars(micro), want);
    }
    for (done, all, want) in [(0, 0, "  0 %"), (1, 3, " 33 %"), (3, 3, "100 %")] {
        assert!(bar(done, all).ends_with(want), "{done} of {all}: {}", bar(done, all));
    }
    assert_eq!(share(HitsAndMisses { hits: 2, misses: 1 }), "66 % of 3");
}

#[test]
fn blocks_on_disk_and_what_is_still_to_be_removed_are_told_where_there_are_any() {
    let blocks = Blocks { hits: 9, misses: 1, bytes: 64 * MIB, limit_bytes: 1024 * MIB, ..Blocks::default() };
    let caches = Caches { blocks: Some(blocks), ..Caches::default() };
    let files = Files { to_be_removed: 7, ..Files::default() };
    let page = page(&look(0, vec![seen(1, Ok(Status { caches, files, ..Status::default() }))]), None);
    for line in [
        "  files     0 open, all that was written is in the bucket; 7 removed ones still in it",
        "  blocks    90 % of 10 from local disk; 64 MiB of 1 GiB there",
    ] {
        assert!(page.iter().any(|told| told == line), "{page:#?}");
    }
}
