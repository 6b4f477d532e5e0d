//! Removing objects, one by one and many at once.

use super::Bench;
use super::checks;

checks![
    deleting_twice_is_deleting,
    many_are_deleted_at_once,
    odd_keys_are_deleted_with_the_others,
    more_than_a_request_takes
];

async fn deleting_twice_is_deleting(bench: Bench) {
    bench.put("k", "1").await;
    bench.put("k2", "2").await;
    for _ in 0..2 {
        bench.store.delete_object(&bench.key("k")).await.unwrap();
        assert!(!bench.exists("k").await);
    }
    assert_eq!(bench.get("k2").await, b"2", "its neighbour stays");
}

async fn many_are_deleted_at_once(bench: Bench) {
    for name in ["a", "b", "c"] {
        bench.put(name, "1").await;
    }
    let keys = [bench.key("a"), bench.key("absent"), bench.key("c"), bench.key("a")];
    let failed = bench.store.delete_objects(&keys).await.unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(!bench.exists("a").await && bench.exists("b").await && !bench.exists("c").await);
    assert!(bench.store.delete_objects(&[]).await.unwrap().is_empty());
}

async fn odd_keys_are_deleted_with_the_others(bench: Bench) {
    let names = ["a b", "a&b<c>\"'", "a\u{1}b", "a\nb", "a\r\nb", " a ", "%41", "a+b", "\u{ffff}", "目"];
    let mut keys = Vec::new();
    for name in names {
        bench.put(name, "1").await;
        keys.push(bench.key(name));
    }
    let failed = bench.store.delete_objects(&keys).await.unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    for name in names {
        assert!(!bench.exists(name).await, "{name:?} is still there");
    }
}

async fn more_than_a_request_takes(bench: Bench) {
    let mut keys: Vec<String> = (0..2100).map(|number| bench.key(&format!("absent-{number}"))).collect();
    for (at, name) in [(0, "first"), (1000, "second"), (2099, "last")] {
        bench.put(name, "1").await;
        keys[at] = bench.key(name);
    }
    let failed = bench.store.delete_objects(&keys).await.unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(!bench.exists("first").await && !bench.exists("second").await && !bench.exists("last").await);
}
