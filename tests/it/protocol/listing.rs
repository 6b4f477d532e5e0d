//! Listings on the wire, in both versions.

use crate::protocol::raw::Running;

fn filled() -> Running {
    let running = Running::start();
    for key in ["a", "b/1", "b/2", "c/1/x", "c/2", "d%2B%20e", "f%0A"] {
        assert_eq!(running.ask(&format!("PUT /bkt/{key}"), &[("x-amz-meta-m", "v")], b"x").status, 200);
    }
    running
}

#[test]
fn keys_are_rolled_up_at_the_delimiter() {
    let running = filled();
    let rows: &[(&str, &[&str], &[&str])] = &[
        ("", &["a", "b/1", "b/2", "c/1/x", "c/2", "d+ e", "f\n"], &[]),
        ("delimiter=/", &["a", "d+ e", "f\n"], &["b/", "c/"]),
        ("delimiter=/&prefix=b/", &["b/1", "b/2"], &[]),
        ("delimiter=/&prefix=c/", &["c/2"], &["c/1/"]),
        ("delimiter=/1&prefix=", &["a", "b/2", "c/2", "d+ e", "f\n"], &["b/1", "c/1"]),
        ("prefix=c", &["c/1/x", "c/2"], &[]),
        ("prefix=none", &[], &[]),
        ("max-keys=0", &[], &[]),
    ];
    for (query, keys, prefixes) in rows {
        for version in ["", "&list-type=2"] {
            let page = running.ask(&format!("GET /bkt?{query}{version}"), &[], b"");
            assert_eq!(page.elements("Key"), *keys, "{query}{version}");
            let mut rolled = page.elements("Prefix");
            // The first is the one that was asked for.
            rolled.remove(0);
            assert_eq!(rolled, *prefixes, "{query}{version}");
            assert_eq!(page.element("IsTruncated").as_deref(), Some("false"), "{query}{version}");
        }
    }
}

#[test]
fn pages_follow_one_another() {
    let running = filled();
    for (first, next_element, next_parameter) in [
        ("list-type=2&delimiter=/", "NextContinuationToken", "continuation-token"),
        ("delimiter=/", "NextMarker", "marker"),
        ("delimiter=/&encoding-type=url", "NextMarker", "marker"),
    ] {
        for size in 1..=5 {
            let (mut keys, mut prefixes, mut next) = (Vec::new(), Vec::new(), String::new());
            for _ in 0..20 {
                let page = running.ask(&format!("GET /bkt?{first}&max-keys={size}{next}"), &[], b"");
                keys.extend(page.elements("Key"));
                prefixes.extend(page.elements("Prefix").into_iter().skip(1));
                if page.element("IsTruncated").as_deref() == Some("false") {
                    break;
                }
                let place = page.element(next_element).unwrap();
                let place = if first.contains("encoding") { place } else { brigade::wire::uri::encode(&place) };
                next = format!("&{next_parameter}={place}");
            }
            assert_eq!((keys.len(), prefixes.len()), (3, 2), "{first} by {size}: {keys:?} {prefixes:?}");
        }
    }
    let after = running.ask("GET /bkt?list-type=2&start-after=b/2", &[], b"");
    assert_eq!((after.elements("Key").len(), after.element("KeyCount").as_deref()), (4, Some("4")));
    let marked = running.ask("GET /bkt?marker=b/2&max-keys=1", &[], b"");
    assert_eq!((marked.elements("Key"), marked.element("NextMarker")), (vec!["c/1/x".to_owned()], None));
}

#[test]
fn listings_say_what_else_is_asked_for() {
    let running = filled();
    let plain = running.ask("GET /bkt?list-type=2&max-keys=1", &[], b"");
    assert_eq!((plain.element("Owner"), plain.element("UserMetadata")), (None, None));
    assert_eq!(plain.element("ETag").as_deref(), Some("&quot;9dd4e461268c8034f5c8564e155c67a6&quot;"));
    assert_eq!(
        (plain.element("Size").as_deref(), plain.element("StorageClass").as_deref()),
        (Some("1"), Some("STANDARD"))
    );
    assert!(running.ask("GET /bkt?list-type=2&fetch-owner=true", &[], b"").element("Owner").is_some());
    let with = running.ask("GET /bkt?list-type=2&metadata=true&max-keys=1", &[], b"");
    assert!(with.element("UserMetadata").unwrap().contains(">v<"), "{}", with.text());
    let encoded = running.ask("GET /bkt?prefix=d&encoding-type=url", &[], b"");
    assert_eq!(encoded.elements("Key"), ["d%2B%20e"]);
    assert_eq!(running.refusal("GET /bkt?max-keys=-1", &[], b""), (400, "InvalidArgument".into()));
}
