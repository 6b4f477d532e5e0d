//! Seed 002: JD Cloud's older API (JSS), "InitiateMultipartUpload".

use super::asking::JSS;
use super::asking::Vendor;
use super::asking::hex_md5;
use super::asking::json;
use super::asking::refusal;
use super::asking::strict;
use super::asking::upload_id;
use crate::protocol::raw::Running;
use std::path::Path;

#[test]
fn seed_002_05_the_id_drives_part_list_complete_and_abort() {
    let running = Running::start();
    let id = JSS.begin(&running, &[]);
    let early = JSS.send(&running, "PUT /k?partNumber=1&uploadId=0123456789ABCDEF", &[], b"x");
    assert_eq!(refusal(&early), (404, "NoSuchUpload".into()), "initiate comes first");
    let first = JSS.part(&running, &id, 1, b"hello ");
    // The order that the vendor's page prints.
    let sent = JSS.send(&running, &format!("PUT /k?uploadId={id}&partNumber=2"), &[], b"world");
    let second = sent.header("etag").unwrap().to_owned();
    let listed = json(&JSS.send(&running, &format!("GET /k?uploadId={id}"), &[], b""));
    assert_eq!((&listed["Part"][0]["PartNumber"], &listed["Part"][1]["Size"]), (&1.into(), &5.into()));
    assert_eq!(listed["Part"][0]["ETag"], hex_md5(b"hello "), "without quotes");
    assert!(listed.get("HasNext").is_none(), "all of them: {listed}");
    let page = json(&JSS.send(&running, &format!("GET /k?uploadId={id}&max-parts=1"), &[], b""));
    assert_eq!((&page["HasNext"], &page["NextPartNumberMarker"]), (&true.into(), &1.into()));
    let done = JSS.complete(&running, &id, &[(1, &first), (2, &second)]);
    let tag = hex_md5(format!("{}{}", hex_md5(b"hello "), hex_md5(b"world")).as_bytes());
    assert_eq!(done.text(), format!("{{\"Bucket\":\"bkt\",\"Key\":\"k\",\"ETag\":\"{tag}\"}}"));
    assert_eq!(JSS.send(&running, "GET /k", &[], b"").body, b"hello world");
    let again = JSS.complete(&running, &id, &[(1, &first), (2, &second)]);
    assert_eq!(refusal(&again), (404, "NoSuchUpload".into()), "the id is void");
    let other = JSS.begin(&running, &[]);
    assert_eq!(JSS.send(&running, &format!("DELETE /k?uploadId={other}"), &[], b"").status, 204);
    assert_eq!(refusal(&JSS.send(&running, &format!("GET /k?uploadId={other}"), &[], b"")).0, 404);
}

#[test]
fn seed_002_06_both_hosts_name_the_bucket() {
    let running = Running::start();
    for host in ["bkt.s.jcloud.com", "bkt.s-bj.jcloud.com", "bkt.oss.cn-north-1.jcloudcs.com"] {
        let answer = Vendor { host, ..JSS }.send(&running, "POST /k?uploads", &[], b"");
        assert_eq!((&json(&answer)["Bucket"], &json(&answer)["Key"]), (&"bkt".into(), &"k".into()), "{host}");
    }
    let by_path = Vendor { host: "s.jcloud.com", bucket: "", ..JSS };
    assert_eq!(json(&by_path.send(&running, "POST /bkt/k?uploads", &[], b""))["Bucket"], "bkt");
}

#[test]
fn seed_002_07_storage_classes_are_these_two() {
    let running = Running::start();
    for (given, class) in
        [(None, "STANDARD"), (Some("STANDARD"), "STANDARD"), (Some("REDUCED_REDUNDANCY"), "REDUCED_REDUNDANCY")]
    {
        let headers: Vec<(&str, &str)> = given.iter().map(|class| ("x-jss-storage-class", *class)).collect();
        let id = JSS.begin(&running, &headers);
        let tag = JSS.part(&running, &id, 1, b"hello");
        assert_eq!(json(&JSS.send(&running, &format!("GET /k?uploadId={id}"), &[], b""))["StorageClass"], class);
        assert_eq!(json(&JSS.send(&running, "GET /?uploads", &[], b""))["Upload"][0]["StorageClass"], class);
        JSS.complete(&running, &id, &[(1, &tag)]);
        assert_eq!(JSS.send(&running, "GET /k", &[], b"").header("x-jss-storage-class"), Some(class));
    }
    for class in ["STANDARD_IA", "GLACIER", "standard", "x"] {
        let refused = JSS.send(&running, "POST /k?uploads", &[("x-jss-storage-class", class)], b"");
        assert_eq!(refusal(&refused), (400, "InvalidArgument".into()), "{class}");
    }
}

#[test]
fn seed_002_08_the_reduced_class_is_in_north_china_only() {
    let reduced = [("x-jss-storage-class", "REDUCED_REDUNDANCY")];
    let status = |running: &Running, vendor: Vendor| vendor.send(running, "POST /k?uploads", &reduced, b"").status;
    assert_eq!(status(&strict("cn-north-1"), JSS), 200);
    let south = strict("cn-south-1");
    assert_eq!(status(&south, JSS), 400);
    assert_eq!(status(&south, Vendor { host: "bkt.oss.cn-north-1.jcloudcs.com", ..JSS }), 200, "the host's region");
    assert_eq!(status(&Running::start(), JSS), 200, "unless the server is strict");
}

#[test]
fn seed_002_09_encryption_is_true_or_false() {
    let running = Running::start();
    for request in ["POST /k?uploads", "PUT /k"] {
        for value in ["yes", "TRUE", "1", "AES256"] {
            let refused = JSS.send(&running, request, &[("x-jss-server-side-encryption", value)], b"");
            assert_eq!(refusal(&refused), (400, "InvalidArgument".into()), "{request} {value}");
        }
        assert_eq!(JSS.send(&running, request, &[("x-jss-server-side-encryption", "false")], b"").status, 200);
    }
}

fn holds(directory: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return holds(&path, needle);
        }
        std::fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle)
    })
}

#[test]
fn seed_002_10_every_part_is_encrypted_at_rest_and_plain_when_read() {
    let running = Running::start();
    let plain = b"a sentence that must not be found on the disk. ".repeat(300);
    let blobs = running.data().join("blobs");
    let open = b"another one, which is not asked to be hidden. ".repeat(300);
    JSS.send(&running, "PUT /open", &[], &open);
    assert!(holds(&blobs, &open[..40]), "what is there is found");
    let id = JSS.begin(&running, &[("x-jss-server-side-encryption", "true")]);
    let upload = &json(&JSS.send(&running, "GET /?uploads", &[], b""))["Upload"][0];
    assert_eq!(upload["Enable-Encryption"], "true");
    let tags = [1, 2].map(|number| JSS.part(&running, &id, number, &plain));
    assert!(!holds(&blobs, &plain[..40]), "in no part");
    assert_eq!(JSS.complete(&running, &id, &[(1, &tags[0]), (2, &tags[1])]).status, 200);
    assert!(!holds(&blobs, &plain[..40]), "nor in the object");
    let got = JSS.send(&running, "GET /k", &[], b"");
    assert_eq!(got.body, plain.repeat(2));
    assert_eq!(got.header("x-jss-server-side-encryption"), Some("true"));
}

#[test]
fn seed_002_11_the_answer_is_compact_json() {
    let running = Running::open(Default::default(), |mut options| {
        options.buckets.push("youhe".into());
        options
    });
    let youhe = Vendor { host: "youhe.s.jcloud.com", bucket: "youhe", ..JSS };
    let answer = youhe.send(&running, "POST /multipart.data?uploads", &[], b"");
    let id = upload_id(&answer);
    assert_eq!(answer.text(), format!("{{\"Bucket\":\"youhe\",\"Key\":\"multipart.data\",\"UploadId\":\"{id}\"}}"));
    assert_eq!(answer.header("content-length"), Some("71"), "as the page's own example");
}

#[test]
fn seed_002_12_uploads_is_signed() {
    let running = Running::start();
    assert_eq!(JSS.send(&running, "POST /k?uploads", &[], b"").status, 200);
    assert_eq!(JSS.ask("POST /k?uploads=").signing("uploads").send(&running).status, 200, "with an empty value");
    let refused = JSS.ask("POST /k?uploads").signing("").send(&running);
    assert_eq!(refusal(&refused), (403, "SignatureDoesNotMatch".into()));
}

#[test]
fn seed_002_13_an_upload_does_not_touch_the_object_of_its_name() {
    let running = Running::start();
    let tag = JSS.send(&running, "PUT /k", &[], b"before").header("etag").map(str::to_owned);
    let unchanged = |when: &str| {
        let got = JSS.send(&running, "GET /k", &[], b"");
        assert_eq!((got.body.as_slice(), got.header("etag")), (&b"before"[..], tag.as_deref()), "{when}");
    };
    unchanged("before");
    let id = JSS.begin(&running, &[]);
    unchanged("after initiate");
    JSS.part(&running, &id, 1, b"after");
    unchanged("after a part");
    assert_eq!(JSS.send(&running, &format!("DELETE /k?uploadId={id}"), &[], b"").status, 204);
    unchanged("after abort");
}

#[test]
fn seed_002_15_the_header_is_jingdong_key_and_signature() {
    let running = Running::start();
    let head = String::from_utf8(JSS.ask("POST /k?uploads").head()).unwrap();
    assert!(
        head.contains(&format!("authorization: jingdong {}:", crate::protocol::raw::KEY)) && head.contains(" GMT\r\n")
    );
    let send = |head: &str| {
        let mut connection = running.connect();
        connection.write(head.as_bytes());
        connection.answer(false)
    };
    assert_eq!(send(&head).status, 200);
    assert_eq!(
        refusal(&send(&head.replace("jingdong AKIDEXAMPLE:", "jingdong NOBODY:"))),
        (403, "InvalidAccessKey".into())
    );
    assert_eq!(refusal(&send(&head.replace("jingdong AKIDEXAMPLE:", "jingdong "))), (400, "InvalidToken".into()));
    assert_eq!(refusal(&send(&head.replace("date: ", "x-date: "))), (400, "MissingSecurityHeader".into()));
    assert_eq!(refusal(&send(&head.replace("/k?", "/other?"))), (403, "SignatureDoesNotMatch".into()));
}

#[test]
fn seed_002_16_the_headers_of_the_answer() {
    let answer = JSS.send(&Running::start(), "POST /k?uploads", &[], b"");
    let header = |name: &str| answer.header(name).unwrap_or_default();
    assert_eq!((header("server"), header("connection")), ("nginx", "keep-alive"));
    assert_eq!(header("content-type"), "application/json;charset=UTF-8");
    assert_eq!(header("content-length"), answer.body.len().to_string());
    let date = brigade::wire::date::parse_http(header("date")).unwrap();
    let id = header("x-jss-request-id");
    assert!(id.len() == 16 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')), "{id}");
    let numbers: Vec<u64> = header("x-trace").split('-').map(|number| number.parse().unwrap()).collect();
    let seconds = date.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!((numbers.len(), numbers[0], numbers[1] / 1000), (7, 200, seconds));
    assert!(answer.header("x-amz-request-id").is_none());
}

#[test]
fn seed_002_17_the_id_has_16_upper_case_hex_digits() {
    let id = JSS.begin(&Running::start(), &[]);
    assert!(id.len() == 16 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')), "{id}");
}
