//! What is told of uploads and times, and that docs/status.md explains each name, and no other.

use super::*;
use crate::store::layers::trace::REASONS;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn an_upload_tells_how_far_it_is() {
    let dirty = |unsent_bytes, bytes_per_second, stage| figures::Dirty {
        path: "a".into(),
        size_bytes: 100,
        unsent_bytes,
        bytes_per_second,
        stage,
    };
    let rows = [
        // unsent  rate      stage           stored  remaining
        (40, Some(15), Stage::Storing, 60, Some(3)),
        (40, Some(15), Stage::Open, 60, None),
        (40, None, Stage::Storing, 60, None),
        (140, Some(0), Stage::Storing, 0, None),
    ];
    for (unsent, rate, stage, stored, remaining) in rows {
        let upload = Upload::from(dirty(unsent, rate, stage));
        assert_eq!((upload.stored_bytes, upload.remaining_s), (stored, remaining), "{upload:?}");
    }
}

#[test]
fn times_are_those_of_rfc_3339() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_000_000_500);
    assert_eq!(written(at), "2026-11-18T11:06:40Z");
}

#[test]
fn an_answer_of_another_version_is_read_as_far_as_it_is_known() {
    let text = r#"{"version":1,"source":"s3://b","later":{"x":1},"files":{"open":2,"closed":1}}"#;
    let status: Status = serde_json::from_str(text).unwrap();
    assert_eq!((status.source.as_str(), status.files.open, status.memory.bytes), ("s3://b", 2, 0));
}

const PAGE: &str = include_str!("../../../docs/status.md");

/// The part of the page under a heading.
fn section(heading: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("# {heading}\n")).unwrap();
    rest.split_once("\n#").map_or(rest, |(section, _)| section)
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// All names below a value as the page writes them, those of objects too if `objects`.
fn names(value: &Value, above: &str, objects: bool, found: &mut BTreeSet<String>) {
    for (name, field) in value.as_object().into_iter().flatten() {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        let (path, below) = match (name.as_str(), field) {
            ("requests" | "operations", field) => (format!("{name}.OPERATION"), Some(("…".to_owned(), &field["x"]))),
            ("uploads" | "errors", field) => (path, Some((format!("{name}[]"), &field[0]))),
            // The page tells of its fields in the same line.
            ("latency", _) => (path, None),
            (_, Value::Object(_)) => (path.clone(), Some((path, field))),
            (_, _) => (path, None),
        };
        if objects || below.is_none() {
            found.insert(path);
        }
        below.into_iter().for_each(|(above, field)| names(field, &above, objects, found));
    }
}

#[test]
fn each_name_is_explained_and_no_other() {
    let whole = Status {
        journal: Some(Journal::default()),
        caches: Caches { blocks: Some(Blocks::default()), ..Caches::default() },
        uploads: vec![Upload::default()],
        requests: [("x".to_owned(), Requests::default())].into(),
        operations: [("x".to_owned(), Operations::default())].into(),
        errors: vec![Failed::default()],
        ..Status::default()
    };
    let whole = serde_json::to_value(whole).unwrap();
    let (mut all, mut leaves) = (BTreeSet::new(), BTreeSet::new());
    names(&whole, "", true, &mut all);
    names(&whole, "", false, &mut leaves);
    let rows = section("The document").lines().filter_map(|line| line.strip_prefix("| "));
    let explained: BTreeSet<_> =
        rows.filter_map(|row| row.split_once(" | ")).flat_map(|(names, _)| quoted(names)).map(str::to_owned).collect();
    let unexplained: Vec<_> = leaves.difference(&explained).collect();
    assert!(unexplained.is_empty(), "docs/status.md does not explain {unexplained:?}");
    let imagined: Vec<_> = explained.difference(&all).collect();
    assert!(imagined.is_empty(), "docs/status.md explains {imagined:?}, which is not in the document");
    let page: BTreeSet<_> = quoted(section("The document")).collect();
    let times = whole["requests"]["x"]["latency"].as_object().unwrap();
    let others = times.keys().map(String::as_str).chain(REASONS);
    let missing: Vec<_> = others.filter(|name| !page.contains(name)).collect();
    assert!(missing.is_empty(), "docs/status.md does not name {missing:?}");
}
