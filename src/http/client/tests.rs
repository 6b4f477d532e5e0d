//! Against a plain socket that shows what arrives byte for byte.

use super::*;
use crate::http::HeaderMap;
use crate::http::Method;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_encode;
use proptest::prelude::*;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(30);

fn request(origin: &Origin, method: Method, path: &str, body: Body) -> Request {
    let (path, query) = (path.to_owned(), String::new());
    Request {
        method,
        origin: origin.clone(),
        path,
        query,
        headers: HeaderMap::new(),
        body,
        patience: PATIENCE,
        pace: 0,
    }
}

/// A key as signatures want it in a path; written apart from `wire`, which is another layer.
fn escaped(key: &str) -> String {
    const SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
    percent_encode(key.as_bytes(), SET).to_string()
}

async fn listen() -> (TcpListener, Origin) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    (listener, origin)
}

/// Reads the head of a request and as much of a body as it announces.
async fn read_request(socket: &mut TcpStream) -> (String, Vec<u8>) {
    let mut all = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = socket.read(&mut piece).await.unwrap();
        assert!(count > 0, "the request ended early");
        all.extend_from_slice(&piece[..count]);
        let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        let length = header_of(&head, "content-length").map_or(0, |text| text.parse().unwrap());
        if all.len() == end + 4 + length {
            return (head, all.split_off(end + 4));
        }
    }
}

fn header_of<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    fields.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Sends one request, answers it with `answer`, and gives what arrived and what came back.
async fn exchange(
    request: Request,
    listener: TcpListener,
    answer: &'static [u8],
) -> (String, Vec<u8>, Result<Response>) {
    let client = Client::new(&request.origin).unwrap();
    let serve = async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let (head, body) = read_request(&mut socket).await;
        socket.write_all(answer).await.unwrap();
        (head, body)
    };
    let ((head, body), response) = tokio::join!(serve, client.send(request));
    (head, body, response)
}

#[tokio::test]
async fn pieces_arrive_as_one_body_of_known_length() {
    let (listener, origin) = listen().await;
    let large = Bytes::from(vec![7; 3 * FRAME_BYTES + 1]);
    let body = Body::new(vec![Bytes::from_static(b"head"), Bytes::new(), large.clone()]);
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\netag: x\r\n\r\nyes";
    let (head, arrived, response) = exchange(request(&origin, Method::PUT, "/k", body), listener, answer).await;
    assert_eq!(header_of(&head, "content-length"), Some("786437"), "{head}");
    assert_eq!(header_of(&head, "transfer-encoding"), None, "{head}");
    assert_eq!(header_of(&head, "host"), Some(origin.authority().as_str()), "{head}");
    assert_eq!(arrived, [&b"head"[..], &large[..]].concat());
    let response = response.unwrap();
    assert_eq!((response.status.as_u16(), response.headers["etag"].as_bytes()), (200, &b"x"[..]));
    assert_eq!(response.bytes(3).await.unwrap(), "yes");
}

#[tokio::test]
async fn an_empty_body_is_announced_where_one_could_be() {
    for (method, want) in [(Method::PUT, Some("0")), (Method::POST, Some("0")), (Method::GET, None)] {
        let (listener, origin) = listen().await;
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        let (head, _, response) = exchange(request(&origin, method, "/", Body::default()), listener, answer).await;
        assert_eq!(header_of(&head, "content-length"), want, "{head}");
        assert_eq!(response.unwrap().bytes(0).await.unwrap(), "");
    }
}

#[tokio::test]
async fn odd_keys_arrive_as_they_were_signed() {
    let keys =
        ["//a//", "/\\", "a+b c?d#e%f&g=h", "目录/é", "\u{1}\u{7f}\t\n", "a;b:c@d!$'()*,[]|^`{}\"<>", "...", "a/.b/c."];
    for key in keys {
        let (listener, origin) = listen().await;
        let path = format!("/bucket/{}", escaped(key));
        let mut request = request(&origin, Method::GET, &path, Body::default());
        request.query = format!("prefix={}&list-type=2", escaped(key));
        let line = format!("GET {path}?{} HTTP/1.1", request.query);
        let (head, _, response) = exchange(request, listener, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert!(response.is_ok());
        assert_eq!(head.lines().next(), Some(line.as_str()), "{key:?}");
    }
}

#[test]
fn paths_that_would_be_resolved_are_refused() {
    let origin = Origin::parse("http://127.0.0.1:1").unwrap();
    for path in ["/b/..", "/b/../c", "/b/.", "/b/./c", "/b/%2e%2E/c", "/b/%2e", "/b/a b", "/b/#", "no-slash"] {
        let error = exact_url(&request(&origin, Method::GET, path, Body::default())).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Url, "{path}");
    }
}

proptest! {
    #[test]
    fn every_key_is_sent_exactly_or_refused(key in "[a./\\\\%+ ?#é\u{0}-\u{20}]{0,8}") {
        let origin = Origin::parse("http://127.0.0.1:1").unwrap();
        let path = format!("/b/{}", escaped(&key));
        let resolved = key.split('/').any(|segment| segment == "." || segment == "..");
        match exact_url(&request(&origin, Method::GET, &path, Body::default())) {
            Ok(url) => prop_assert_eq!(url.path(), path),
            Err(_) => prop_assert!(resolved, "{:?} could have been sent", key),
        }
    }
}

#[tokio::test]
async fn a_short_body_is_an_error() {
    let (listener, origin) = listen().await;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort";
    let (_, _, response) = exchange(request(&origin, Method::GET, "/", Body::default()), listener, answer).await;
    assert_eq!(response.unwrap().bytes(100).await.unwrap_err().kind, ErrorKind::Broken);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_an_error() {
    let (listener, origin) = listen().await;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde";
    let (_, _, response) = exchange(request(&origin, Method::GET, "/", Body::default()), listener, answer).await;
    assert_eq!(response.unwrap().bytes(4).await.unwrap_err().kind, ErrorKind::Broken);
}

#[tokio::test]
async fn failures_are_told_in_one_line() {
    let (listener, origin) = listen().await;
    drop(listener);
    let client = Client::new(&origin).unwrap();
    let error = client.send(request(&origin, Method::GET, "/", Body::default())).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Connect);
    assert_eq!(error.to_string(), format!("{}: connection refused", origin.authority()));

    let (listener, plain) = listen().await;
    let (_, _, response) =
        exchange(request(&plain, Method::GET, "/", Body::default()), listener, b"what?\r\n\r\n").await;
    assert_eq!(response.err().unwrap().kind, ErrorKind::NotHttp);

    let (listener, plain) = listen().await;
    let tls = Origin::parse(&format!("https://{}", plain.authority())).unwrap();
    let client = Client::new(&tls).unwrap();
    let serve = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        socket
    };
    let (_socket, response) = tokio::join!(serve, client.send(request(&tls, Method::GET, "/", Body::default())));
    let error = response.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Tls, "{error}");
}

#[tokio::test(start_paused = true)]
async fn silence_is_noticed_and_progress_is_not_silence() {
    let progress = AtomicU64::new(0);
    let start = tokio::time::Instant::now();
    let advance = async {
        for _ in 0..10 {
            tokio::time::sleep(PATIENCE / 2).await;
            progress.fetch_add(1, Ordering::Relaxed);
        }
    };
    tokio::join!(stalled(&progress, PATIENCE), advance);
    let waited = start.elapsed();
    assert!(waited >= PATIENCE * 6 && waited < PATIENCE * 7, "{waited:?}");
}

#[test]
fn a_body_that_drips_is_not_waited_for() {
    let second = Duration::from_secs(1);
    type Row = (&'static [(u64, u64)], bool, &'static str);
    let rows: &[Row] = &[
        (&[(0, 1), (29, 1)], true, "there is time left"),
        (&[(0, 1), (29, 1), (1, 1)], false, "three bytes in half a minute"),
        (&[(29, 1), (1, 40_000)], true, "late, but enough"),
        (&[(0, 1 << 30), (30, 0), (29, 1), (1, 1)], false, "what came long ago does not count"),
        (&[(0, 1); 100], true, "no wait at all"),
    ];
    for (pieces, want, why) in rows {
        let mut pace = Pace::new(30 * second, 1024);
        let holds = pieces.iter().all(|(waited, bytes)| pace.holds(second * u32::try_from(*waited).unwrap(), *bytes));
        assert_eq!(holds, *want, "{why}");
    }
    let mut any = Pace::new(30 * second, 0);
    assert!((0..1000).all(|_| any.holds(20 * second, 1)), "who may take his time");
}

#[tokio::test]
async fn an_answer_that_drips_ends() {
    let (listener, origin) = listen().await;
    let serve = async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
        // Until the client ends the connection.
        while socket.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let ask = async {
        let patience = Duration::from_secs(1);
        let request = Request { patience, pace: 1024, ..request(&origin, Method::GET, "/k", Body::default()) };
        let response = Client::new(&origin).unwrap().send(request).await.unwrap();
        response.bytes(2_000_000).await
    };
    let ((), answer) = tokio::join!(serve, ask);
    assert_eq!(answer.unwrap_err().kind, ErrorKind::Timeout);
}
