//! Multipart uploads on the wire.

use crate::protocol::raw::Running;
use brigade::wire::etag::ETag;

const PART: usize = 5 << 20;

struct Upload<'a> {
    running: &'a Running,
    id: String,
}

impl<'a> Upload<'a> {
    fn begin(running: &'a Running, headers: &[(&str, &str)]) -> Self {
        let answer = running.ask("POST /bkt/k?uploads", headers, b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        Self { running, id: answer.element("UploadId").unwrap() }
    }

    fn part(&self, number: u32, body: &[u8]) -> String {
        let answer = self.running.ask(&format!("PUT /bkt/k?partNumber={number}&uploadId={}", self.id), &[], body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("etag").unwrap().to_owned()
    }

    fn complete(&self, parts: &[(u32, &str)], headers: &[(&str, &str)]) -> crate::protocol::raw::Answer {
        let parts = parts.iter().map(|(n, tag)| format!("<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>"));
        let document = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.collect::<String>());
        self.running.ask(&format!("POST /bkt/k?uploadId={}", self.id), headers, document.as_bytes())
    }
}

#[test]
fn parts_become_an_object() {
    let mut running = Running::start();
    let (first, second) = (vec![b'a'; PART], vec![b'b'; 1024]);
    let upload = Upload::begin(&running, &[("content-type", "text/x"), ("x-amz-meta-m", "1")]);
    let (one, two) = (upload.part(1, &first), upload.part(9, &second));
    assert_eq!(running.ask("HEAD /bkt/k", &[], b"").status, 404, "nothing is there before it is complete");
    let listed = running.ask(&format!("GET /bkt/k?uploadId={}&max-parts=1", upload.id), &[], b"");
    assert_eq!(
        (listed.elements("PartNumber"), listed.element("NextPartNumberMarker").as_deref()),
        (vec!["1".to_owned()], Some("1"))
    );
    assert_eq!(running.ask("GET /bkt?uploads", &[], b"").elements("UploadId"), [upload.id.as_str()]);
    let bare = two.trim_matches('"');
    let done = upload.complete(&[(1, &one.replace('"', "&quot;")), (9, bare)], &[]);
    let tag = "16329fb6004d64a4fbc5bbb983fa0528-2";
    assert_eq!((done.status, done.element("ETag")), (200, Some(format!("&quot;{tag}&quot;"))), "{}", done.text());
    let again = upload.complete(&[(1, &one), (9, &two)], &[]);
    assert_eq!((again.status, again.element("ETag")), (200, done.element("ETag")), "a repeated request");
    assert_eq!(upload.complete(&[(1, &one)], &[]).code(), "NoSuchUpload");
    running.restart();
    let got = running.ask("GET /bkt/k", &[], b"");
    assert_eq!(got.body, [first, second].concat());
    assert_eq!(ETag::new(got.header("etag").unwrap()).as_str(), tag);
    assert_eq!((got.header("content-type"), got.header("x-amz-meta-m")), (Some("text/x"), Some("1")));
    let part = running.ask("GET /bkt/k?partNumber=2", &[], b"");
    assert_eq!((part.status, part.body.len(), part.header("x-amz-mp-parts-count")), (206, 1024, Some("2")));
    assert_eq!(running.refusal("GET /bkt/k?partNumber=3", &[], b""), (416, "InvalidRange".into()));
}

#[test]
fn wrong_lists_of_parts_are_refused_and_the_upload_goes_on() {
    let running = Running::start();
    let upload = Upload::begin(&running, &[]);
    let (small, large) = (upload.part(1, b"small"), upload.part(2, &vec![0; PART]));
    let other = "\"00000000000000000000000000000000\"";
    type Row<'a> = (&'a [(u32, &'a str)], u16, &'a str);
    let rows: &[Row<'_>] = &[
        (&[(2, &large), (1, &small)], 400, "InvalidPartOrder"),
        (&[(1, &small), (1, &small)], 400, "InvalidPartOrder"),
        (&[(1, &small), (2, &large)], 400, "EntityTooSmall"),
        (&[(1, other)], 400, "InvalidPart"),
        (&[(3, &large)], 400, "InvalidPart"),
        (&[(0, &small)], 400, "InvalidArgument"),
        (&[(10_001, &small)], 400, "InvalidArgument"),
        (&[], 400, "MalformedXML"),
    ];
    for (parts, status, code) in rows {
        let answer = upload.complete(parts, &[]);
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{parts:?}");
    }
    assert_eq!(upload.complete(&[(2, &large), (3, &upload.part(3, b"end"))], &[]).status, 200);
    running.goes_on();
}

#[test]
fn unknown_uploads_and_numbers_are_refused() {
    let running = Running::start();
    let id = Upload::begin(&running, &[]).id;
    let unknown = "0".repeat(id.len());
    let none = (404, "NoSuchUpload".to_owned());
    assert_eq!(running.refusal(&format!("PUT /bkt/k?partNumber=1&uploadId={unknown}"), &[], b"x"), none);
    assert_eq!(
        running.refusal(&format!("PUT /bkt/other?partNumber=1&uploadId={id}"), &[], b"x"),
        none,
        "of another key"
    );
    assert_eq!(running.refusal(&format!("GET /bkt/k?uploadId={unknown}"), &[], b""), none);
    assert_eq!(running.refusal(&format!("DELETE /bkt/k?uploadId={unknown}"), &[], b""), none);
    assert_eq!(
        running.refusal(
            "POST /bkt/k?uploadId=x%00y",
            &[],
            b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>"
        ),
        none
    );
    for number in ["0", "10001", "-1", "x", ""] {
        let request = format!("PUT /bkt/k?partNumber={number}&uploadId={id}");
        assert_eq!(running.refusal(&request, &[], b"x"), (400, "InvalidArgument".into()), "{number:?}");
    }
    assert_eq!(running.ask(&format!("DELETE /bkt/k?uploadId={id}"), &[], b"").status, 204);
    assert_eq!(running.refusal(&format!("DELETE /bkt/k?uploadId={id}"), &[], b""), none);
    assert_eq!(running.refusal(&format!("PUT /bkt/k?partNumber=1&uploadId={id}"), &[], &vec![0; 9000]), none);
    assert_eq!(running.blob_files(), 0);
    running.goes_on();
}

#[test]
fn parts_are_copied_from_other_objects() {
    let running = Running::start();
    let body: Vec<u8> = (0..=255).cycle().take(PART + 100).collect();
    running.ask("PUT /bkt/source", &[], &body);
    let upload = Upload::begin(&running, &[]);
    let copy = |number: u32, range: Option<&str>| {
        let mut headers = vec![("x-amz-copy-source", "bkt/source")];
        headers.extend(range.map(|range| ("x-amz-copy-source-range", range)));
        running.ask(&format!("PUT /bkt/k?partNumber={number}&uploadId={}", upload.id), &headers, b"")
    };
    let whole = copy(1, None).element("ETag").unwrap();
    let some = copy(2, Some("bytes=10-19")).element("ETag").unwrap();
    assert_eq!(copy(3, Some("bytes=10-")).code(), "InvalidArgument");
    assert_eq!(copy(3, Some(&format!("bytes=0-{}", body.len()))).code(), "InvalidArgument", "beyond the end");
    assert_eq!(upload.complete(&[(1, &whole), (2, &some)], &[]).status, 200);
    assert_eq!(running.ask("GET /bkt/k", &[], b"").body, [&body[..], &body[10..20]].concat());
    assert_eq!(running.blob_files(), 1, "no bytes were moved");
}

#[test]
fn the_checksum_of_the_whole_is_verified() {
    let running = Running::start();
    let (first, second) = (vec![1; PART], b"end".to_vec());
    let sum =
        |bytes: &[u8]| brigade::wire::checksum::checksum(brigade::wire::checksum::Algorithm::Crc64Nvme, bytes).base64();
    let upload =
        Upload::begin(&running, &[("x-amz-checksum-algorithm", "CRC64NVME"), ("x-amz-checksum-type", "FULL_OBJECT")]);
    let (one, two) = (upload.part(1, &first), upload.part(2, &second));
    let parts = [(1, one.as_str()), (2, two.as_str())];
    let wrong = upload.complete(&parts, &[("x-amz-checksum-crc64nvme", &sum(b"other"))]);
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "BadDigest"));
    assert_eq!(upload.complete(&parts, &[("x-amz-mp-object-size", "1")]).code(), "InvalidRequest");
    let whole = sum(&[first, second].concat());
    let done = upload.complete(&parts, &[("x-amz-checksum-crc64nvme", &whole)]);
    assert_eq!((done.status, done.element("ChecksumCRC64NVME")), (200, Some(whole.clone())), "{}", done.text());
    let head = running.ask("HEAD /bkt/k", &[("x-amz-checksum-mode", "ENABLED")], b"");
    assert_eq!(head.header("x-amz-checksum-crc64nvme"), Some(whole.as_str()));
    assert_eq!(head.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    let never = [("x-amz-checksum-algorithm", "SHA256"), ("x-amz-checksum-type", "FULL_OBJECT")];
    assert_eq!(running.refusal("POST /bkt/k?uploads", &never, b""), (400, "InvalidRequest".into()));
}

#[test]
fn completing_is_bound_to_conditions() {
    let running = Running::start();
    running.ask("PUT /bkt/k", &[], b"before");
    let upload = Upload::begin(&running, &[]);
    let one = upload.part(1, b"after");
    let refused = upload.complete(&[(1, &one)], &[("if-none-match", "*")]);
    assert_eq!((refused.status, refused.code().as_str()), (412, "PreconditionFailed"));
    assert_eq!(upload.complete(&[(1, &one)], &[("if-match", "\"other\"")]).status, 412);
    assert_eq!(running.ask("GET /bkt/k", &[], b"").body, b"before");
    let tag = running.ask("HEAD /bkt/k", &[], b"").header("etag").unwrap().to_owned();
    assert_eq!(upload.complete(&[(1, &one)], &[("if-match", &tag)]).status, 200);
    assert_eq!(running.ask("GET /bkt/k", &[], b"").body, b"after");
}
