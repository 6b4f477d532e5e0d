//! Key pairs that may do some things in some buckets: every other way in is refused.

use crate::protocol::raw::Answer;
use crate::protocol::raw::Ask;
use crate::protocol::raw::Running;
use brigade::http::server::Limits;
use brigade::server::users;

const READER: (&str, &str) = ("READER", "one secret");
const WRITER: (&str, &str) = ("WRITER", "another secret");
const USERS: &str = "\
[reader]
aws_access_key_id = READER
aws_secret_access_key = one secret
access = read-only
buckets = bkt

[writer]
aws_access_key_id = WRITER
aws_secret_access_key = another secret
buckets = own-*
";

fn running() -> Running {
    let running = Running::open(Limits::default(), |mut options| {
        options.users = users::parse(USERS).unwrap();
        options
    });
    for request in ["PUT /own-one", "PUT /bkt/k", "PUT /own-one/k"] {
        assert_eq!(running.ask(request, &[], b"").status, 200, "{request}");
    }
    running
}

fn ask(running: &Running, keys: (&'static str, &'static str), request: &str, headers: &[(&str, &str)]) -> Answer {
    Ask::new(request).by(keys).headers(headers).send(running)
}

#[test]
fn each_pair_does_what_it_may_and_nothing_else() {
    let running = running();
    let rows = [
        (READER, "GET /bkt/k", true),
        (READER, "HEAD /bkt/k", true),
        (READER, "GET /bkt?list-type=2", true),
        (READER, "GET /bkt?uploads", true),
        (READER, "PUT /bkt/new", false),
        (READER, "DELETE /bkt/k", false),
        (READER, "POST /bkt/k?uploads", false),
        (READER, "POST /bkt?delete", false),
        (READER, "GET /own-one/k", false),
        (READER, "GET /own-one?list-type=2", false),
        (READER, "PUT /made", false),
        (WRITER, "GET /own-one/k", true),
        (WRITER, "PUT /own-one/new", true),
        (WRITER, "DELETE /own-one/new", true),
        (WRITER, "POST /own-one/k?uploads", true),
        (WRITER, "PUT /own-two", true),
        (WRITER, "PUT /foreign", false),
        (WRITER, "GET /bkt/k", false),
        (WRITER, "HEAD /bkt", false),
        (WRITER, "DELETE /bkt", false),
        (WRITER, "GET /not-there/k", false),
    ];
    for (keys, request, allowed) in rows {
        let answer = ask(&running, keys, request, &[]);
        assert_eq!(answer.status / 100 == 2, allowed, "{} {request}: {answer:?}", keys.0);
        if !allowed && !request.starts_with("HEAD") {
            assert_eq!((answer.status, answer.code().as_str()), (403, "AccessDenied"), "{} {request}", keys.0);
        }
    }
    assert_eq!(ask(&running, ("READER", "another secret"), "GET /bkt/k", &[]).code(), "SignatureDoesNotMatch");
}

#[test]
fn buckets_out_of_reach_are_not_shown() {
    let running = running();
    let shown = |keys| ask(&running, keys, "GET /", &[]).elements("Name");
    assert_eq!((shown(READER), shown(WRITER)), (vec!["bkt".to_owned()], vec!["own-one".to_owned()]));
}

#[test]
fn copies_do_not_read_what_is_out_of_reach() {
    let running = running();
    let from = |source: &'static str| [("x-amz-copy-source", source)];
    assert_eq!(ask(&running, WRITER, "PUT /own-one/copy", &from("/own-one/k")).status, 200);
    let refused = ask(&running, WRITER, "PUT /own-one/copy", &from("/bkt/k"));
    assert_eq!((refused.status, refused.code().as_str()), (403, "AccessDenied"));
    let begun = ask(&running, WRITER, "POST /own-one/parts?uploads", &[]);
    let part = format!("PUT /own-one/parts?partNumber=1&uploadId={}", begun.element("UploadId").unwrap());
    assert_eq!(ask(&running, WRITER, &part, &from("/bkt/k")).code(), "AccessDenied");
    assert_eq!(ask(&running, WRITER, &part, &from("/own-one/k")).status, 200);
}
