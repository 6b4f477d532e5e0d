//! The steps over the in-memory store: what each failure is told as, and that nothing stays behind.

use super::*;
use crate::store::Op;
use crate::store::memory::Lost;
use crate::store::memory::Memory;

const KEY: &str = "a/.brigade-probe-test";

async fn steps(store: &Memory) -> Report {
    let mut report = Report::default();
    Steps { store, key: KEY, facts: &Facts { part_bytes_min: 16, ..Facts::S3 } }.all(&mut report).await;
    clean_up(store, "a/", KEY, &mut report).await;
    report
}

fn told(report: &Report) -> Vec<(Level, &'static str)> {
    report.findings.iter().map(|finding| (finding.level, finding.what)).collect()
}

fn small() -> Memory {
    Memory::with_facts(Facts { part_bytes_min: 16, ..Facts::S3 })
}

#[tokio::test]
async fn a_good_store_passes_every_step() {
    let store = small();
    let report = steps(&store).await;
    let whats = ["write", "read", "latency", "multipart", "delete"];
    assert_eq!(told(&report), whats.map(|what| (Level::Ok, what)), "{report:?}");
    assert!(report.is_mountable() && report.round_trip.is_some());
    assert_eq!((store.keys().len(), store.uploads_open()), (0, 0));
}

#[tokio::test]
async fn a_step_that_fails_is_told_with_a_remedy_and_leaves_nothing_behind() {
    let rows = [
        (Op::PutObject, Kind::AccessDenied, (Level::Warning, "write")),
        (Op::PutObject, Kind::Invalid, (Level::Error, "write")),
        (Op::CreateUpload, Kind::AccessDenied, (Level::Warning, "multipart")),
        (Op::PutPart, Kind::Unavailable, (Level::Warning, "multipart")),
        (Op::ListParts, Kind::AccessDenied, (Level::Warning, "multipart")),
        (Op::CompleteUpload, Kind::Invalid, (Level::Warning, "multipart")),
        (Op::DeleteObject, Kind::AccessDenied, (Level::Warning, "delete")),
    ];
    for (op, kind, want) in rows {
        let store = small();
        store.lose(op, 1, Lost::Refused(kind.clone()));
        let report = steps(&store).await;
        let worst = report.findings.iter().find(|finding| finding.level != Level::Ok).unwrap();
        assert_eq!((worst.level, worst.what), want, "{op} {kind:?}: {report:?}");
        assert!(worst.remedy.is_some(), "{op} {kind:?}");
        assert_eq!((store.keys().len(), store.uploads_open()), (0, 0), "{op} {kind:?}");
    }
}

#[tokio::test]
async fn a_listing_that_fails_says_which_of_the_first_steps_it_was() {
    let place = Place { bucket: "b".into(), endpoint: "http://s3.example".into() };
    let rows = [
        (Kind::Network, "connection"),
        (Kind::Protocol, "connection"),
        (Kind::BadCredentials, "credentials"),
        (Kind::ClockSkew, "clock"),
        (Kind::NoSuchBucket, "list"),
        (Kind::AccessDenied, "list"),
    ];
    for (kind, what) in rows {
        let (store, mut report) = (Memory::new(), Report::default());
        store.lose(Op::ListObjects, 1, Lost::Refused(kind.clone()));
        assert_eq!(list(&store, "", &place, &mut report).await, None, "{kind:?}");
        assert_eq!(told(&report), [(Level::Error, what)], "{kind:?}");
        assert!(report.findings[0].remedy.is_some() && !report.is_mountable(), "{report:?}");
    }
}

#[tokio::test]
async fn where_nothing_may_be_written_what_is_there_is_read() {
    let store = Memory::new();
    store.put_object("k", Payload::default(), &Headers::default(), &Condition::None).await.unwrap();
    let mut report = Report::default();
    read_foreign(&store, Some("k"), &mut report).await;
    store.lose(Op::HeadObject, 1, Lost::Refused(Kind::AccessDenied));
    read_foreign(&store, Some("k"), &mut report).await;
    read_foreign(&store, None, &mut report).await;
    assert_eq!(told(&report), [(Level::Ok, "read"), (Level::Error, "read"), (Level::Warning, "read")]);
}

#[test]
fn what_is_missing_is_told_with_what_it_means() {
    let mut report = Report::default();
    let facts = Facts { conditional_writes: false, listing_metadata: true, equal_parts: true, ..Facts::S3 };
    let verdicts = [(Capability::ConditionalWrites, Verdict::No), (Capability::ListingMetadata, Verdict::Yes)];
    capabilities(&facts, &verdicts, Provider::named("r2").unwrap(), &mut report);
    let line = |what: &str| report.findings.iter().find(|finding| finding.what == what).unwrap();
    let conditional = line("conditional writes");
    assert!(conditional.level == Level::Warning && conditional.finding.starts_with("no: "), "{conditional:?}");
    assert_eq!(line("metadata in listings").finding, "yes");
    assert_eq!(line("part copy").finding, "yes, as the provider's row has it");
    assert_eq!((line("move").level, line("equal parts").level), (Level::Ok, Level::Warning));
}
