//! Listings: order, prefixes, pages.

use super::Bench;
use super::checks;
use super::metadata;
use brigade::store::ListObjects;
use brigade::store::ListPage;

checks![
    keys_come_in_the_order_of_their_bytes,
    prefixes_are_rolled_up,
    pages_of_any_size_give_the_same,
    a_listing_may_start_after_a_key,
    a_listing_of_nothing_is_empty,
    a_listing_tells_what_head_tells,
    a_delimiter_may_be_any_text,
    a_thousand_keys_are_not_all,
];

/// All pages of a listing as one, with names relative to the bench.
async fn list(bench: &Bench, prefix: &str, delimiter: Option<&str>, limit: Option<u32>) -> (Vec<String>, Vec<String>) {
    let delimiter = delimiter.map(str::to_owned);
    let mut request = ListObjects { prefix: bench.key(prefix), delimiter, limit, ..ListObjects::default() };
    let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
    loop {
        let ListPage { objects, prefixes: common, next } = bench.store.list_objects(&request).await.unwrap();
        if let Some(limit) = limit {
            assert!(objects.len() + common.len() <= limit as usize, "more than was asked for");
        }
        keys.extend(objects.into_iter().map(|object| relative(bench, &object.key)));
        prefixes.extend(common.iter().map(|prefix| relative(bench, prefix)));
        request.continuation = next;
        if request.continuation.is_none() {
            return (keys, prefixes);
        }
    }
}

fn relative(bench: &Bench, key: &str) -> String {
    key.strip_prefix(&bench.prefix).expect("only what was asked for is listed").to_owned()
}

async fn fill(bench: &Bench, names: &[&str]) {
    for name in names {
        bench.put(name, "1").await;
    }
}

async fn keys_come_in_the_order_of_their_bytes(bench: Bench) {
    let names = ["B", "a", "a ", "a!", "a/", "a/b", "a0", "aa", "b", "z", "é", "\u{fffd}", "\u{1f600}"];
    fill(&bench, &names).await;
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    assert_eq!(list(&bench, "", None, None).await.0, sorted);
    assert_eq!(list(&bench, "a", None, None).await.0, ["a", "a ", "a!", "a/", "a/b", "a0", "aa"]);
}

const TREE: &[&str] = &["a", "a!", "a/", "a/b/c", "a/d", "a0", "b/c", "b/d/e", "c//d", "e f/g", "e+f/g", "é/h", "z"];

async fn prefixes_are_rolled_up(bench: Bench) {
    fill(&bench, TREE).await;
    let (keys, prefixes) = list(&bench, "", Some("/"), None).await;
    assert_eq!(keys, ["a", "a!", "a0", "z"]);
    assert_eq!(prefixes, ["a/", "b/", "c/", "e f/", "e+f/", "é/"]);
    let (keys, prefixes) = list(&bench, "a/", Some("/"), None).await;
    assert_eq!((keys, prefixes), (vec!["a/".to_owned(), "a/d".to_owned()], vec!["a/b/".to_owned()]));
    let (keys, prefixes) = list(&bench, "a", Some("/"), None).await;
    assert_eq!(keys, ["a", "a!", "a0"]);
    assert_eq!(prefixes, ["a/"]);
    let (keys, prefixes) = list(&bench, "c/", Some("/"), None).await;
    assert_eq!((keys, prefixes), (vec![], vec!["c//".to_owned()]));
}

async fn pages_of_any_size_give_the_same(bench: Bench) {
    fill(&bench, TREE).await;
    for prefix in ["", "a", "a/", "b/"] {
        for delimiter in [None, Some("/")] {
            let whole = list(&bench, prefix, delimiter, None).await;
            for limit in 1..=5 {
                assert_eq!(
                    list(&bench, prefix, delimiter, Some(limit)).await,
                    whole,
                    "{prefix:?} {delimiter:?} {limit}"
                );
            }
        }
    }
}

async fn a_listing_may_start_after_a_key(bench: Bench) {
    fill(&bench, &["a", "b", "c", "d"]).await;
    for (after, want) in [("", 4), ("a", 3), ("aa", 3), ("c", 1), ("d", 0), ("z", 0)] {
        let start_after = Some(bench.key(after));
        let request =
            ListObjects { prefix: bench.prefix.clone(), start_after, limit: Some(2), ..ListObjects::default() };
        let first = bench.store.list_objects(&request).await.unwrap();
        let mut count = first.objects.len();
        if first.next.is_some() {
            let request = ListObjects { continuation: first.next, ..request };
            count += bench.store.list_objects(&request).await.unwrap().objects.len();
        }
        assert_eq!(count, want, "after {after:?}");
    }
}

async fn a_listing_of_nothing_is_empty(bench: Bench) {
    for delimiter in [None, Some("/")] {
        assert_eq!(list(&bench, "nothing/", delimiter, None).await, (vec![], vec![]));
    }
}

async fn a_listing_tells_what_head_tells(bench: Bench) {
    let headers = metadata(&[("mode", "33188"), ("mtime", "1700000000.000000001"), ("note", "a<b>&\"c\"")]);
    bench.put_with("k", "12345", &headers).await;
    bench.put("plain", "").await;
    let request = ListObjects { prefix: bench.prefix.clone(), ..ListObjects::default() };
    let page = bench.store.list_objects(&request).await.unwrap();
    assert_eq!(page.objects.len(), 2);
    for listed in page.objects {
        let head = bench.store.head_object(&listed.key).await.unwrap();
        assert_eq!((listed.size, listed.etag), (head.size, head.etag));
        let apart = listed.last_modified.duration_since(head.last_modified).unwrap_or_else(|error| error.duration());
        assert!(apart.as_secs() < 1, "headers tell seconds, listings may tell more");
        let want = bench.store.facts().listing_metadata.then_some(head.headers.metadata);
        assert_eq!(listed.metadata, want, "{:?}", listed.key);
    }
}

async fn a_delimiter_may_be_any_text(bench: Bench) {
    fill(&bench, &["a--b", "a--c", "a-b", "b--", "--"]).await;
    let (keys, prefixes) = list(&bench, "", Some("--"), None).await;
    assert_eq!(keys, ["a-b"]);
    assert_eq!(prefixes, ["--", "a--", "b--"]);
}

async fn a_thousand_keys_are_not_all(bench: Bench) {
    let names: Vec<String> = (0..1005).map(|number| format!("{number:04}")).collect();
    futures_util::future::join_all(names.iter().map(|name| bench.put(name, "1"))).await;
    let request = ListObjects { prefix: bench.prefix.clone(), ..ListObjects::default() };
    let first = bench.store.list_objects(&request).await.unwrap();
    assert!(first.objects.len() <= 1000 && first.next.is_some());
    assert_eq!(list(&bench, "", None, None).await.0, names);
}
