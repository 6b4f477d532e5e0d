//! Keys that are not file names, and those that cannot be sent.

use super::Bench;
use super::checks;
use super::kind;
use brigade::store::Condition;
use brigade::store::CopySource;
use brigade::store::Headers;
use brigade::store::Kind;
use brigade::store::ListObjects;
use brigade::store::Payload;
use bytes::Bytes;

checks![every_key_is_kept_apart, keys_that_cannot_be_sent_are_refused, the_longest_key_is_a_key];

const ODD: &[&str] = &[
    "a",
    "a/",
    "a//",
    "a//b",
    "/a",
    "//",
    "...",
    ".a",
    "a.",
    "a./b",
    " a",
    "a ",
    "a b",
    "a+b",
    "a%20b",
    "%41",
    "%",
    "%zz",
    "a?b",
    "a?versionId=1",
    "a#b",
    "a&b=c",
    "a;b:c@d!$'()*,[]|^`{}",
    "a<b>&\"c'",
    "back\\slash",
    "\u{1}\u{7f}",
    "line\nfeed",
    "car\rriage",
    "tab\t",
    "caf\u{e9}",
    "cafe\u{301}",
    "目录/文件",
    "\u{1f600}",
    "\u{ffff}",
    "\u{fffd}",
    "A",
    "~-_.",
];

async fn every_key_is_kept_apart(bench: Bench) {
    for key in ODD {
        let etag = bench.put(key, Bytes::from_static(key.as_bytes())).await;
        assert_eq!(bench.store.head_object(&bench.key(key)).await.unwrap().etag, etag, "{key:?}");
    }
    for key in ODD {
        assert_eq!(bench.get(key).await, key.as_bytes(), "{key:?}");
    }
    let page = bench.store.list_objects(&ListObjects { prefix: bench.prefix.clone(), ..ListObjects::default() }).await;
    let listed: Vec<String> = page.unwrap().objects.into_iter().map(|object| object.key).collect();
    let mut want: Vec<String> = ODD.iter().map(|key| bench.key(key)).collect();
    want.sort();
    assert_eq!(listed, want);
    for key in ODD {
        let source = CopySource { key: bench.key(key), if_match: None };
        bench.store.copy_object(&source, &bench.key("copy"), None).await.unwrap();
        assert_eq!(bench.get("copy").await, key.as_bytes(), "{key:?}");
    }
    for key in ODD {
        bench.store.delete_object(&bench.key(key)).await.unwrap();
        assert!(!bench.exists(key).await, "{key:?}");
    }
}

async fn keys_that_cannot_be_sent_are_refused(bench: Bench) {
    let long = "k".repeat(bench.store.facts().key_bytes_max + 1);
    for key in ["", ".", "..", "a/../b", "../a", "a/..", "./a", "a/./b", long.as_str()] {
        let put = bench.store.put_object(key, Payload::default(), &Headers::default(), &Condition::None).await;
        assert_eq!(kind(put), Kind::InvalidKey, "{key:?}");
        assert_eq!(kind(bench.store.head_object(key).await), Kind::InvalidKey, "{key:?}");
        assert_eq!(kind(bench.store.get_object(key, None, None).await), Kind::InvalidKey, "{key:?}");
        assert_eq!(kind(bench.store.delete_object(key).await), Kind::InvalidKey, "{key:?}");
        assert_eq!(kind(bench.store.create_upload(key, &Headers::default()).await), Kind::InvalidKey, "{key:?}");
    }
}

async fn the_longest_key_is_a_key(bench: Bench) {
    let name = "é".repeat((bench.store.facts().key_bytes_max - bench.prefix.len()) / 2);
    bench.put(&name, "1").await;
    assert_eq!(bench.get(&name).await, b"1");
}
