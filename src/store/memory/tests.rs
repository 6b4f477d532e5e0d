//! What only the fake has: losses and counters. That it is a store is shown by the conformance suite.

use super::*;

#[tokio::test]
async fn a_lost_request_does_nothing_and_a_lost_answer_all_but_answer() {
    let store = Memory::new();
    let put = |text: &'static str| {
        store.put_object("k", Bytes::from_static(text.as_bytes()).into(), &NO_HEADERS, &Condition::None)
    };
    store.lose(Op::PutObject, 1, Lost::Request);
    store.lose(Op::PutObject, 3, Lost::Answer);
    store.lose(Op::PutObject, 4, Lost::Refused(Kind::Unavailable));
    assert_eq!(put("1").await.unwrap_err().kind, Kind::Network);
    assert_eq!(store.bytes("k"), None);
    assert!(put("2").await.is_ok());
    assert_eq!(put("3").await.unwrap_err().kind, Kind::Network);
    assert_eq!(store.bytes("k").unwrap(), "3");
    assert_eq!(put("4").await.unwrap_err().kind, Kind::Unavailable);
    assert_eq!(store.bytes("k").unwrap(), "3");
    assert_eq!((store.calls(Op::PutObject), store.calls(Op::HeadObject), store.calls_in_all()), (4, 0, 4));
    store.lose(Op::PutObject, 1, Lost::Request);
    assert_eq!(put("5").await.unwrap_err().kind, Kind::Network);
}

static NO_HEADERS: Headers = Headers {
    content_type: None,
    cache_control: None,
    content_disposition: None,
    content_encoding: None,
    content_language: None,
    expires: None,
    storage_class: None,
    server_side_encryption: None,
    metadata: BTreeMap::new(),
};
