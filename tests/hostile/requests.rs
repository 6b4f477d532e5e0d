//! Whole requests over connections of their own: the backend answers each with a status that does not blame itself, or
//! waits for the rest, or hangs up; and goes on.

use crate::backend::ACCESS_KEY_ID;
use crate::backend::BUCKET;
use crate::backend::Backend;
use crate::backend::SECRET;
use crate::inputs::hostile;
use brigade::base::clock;
use brigade::wire::date::AmzDate;
use brigade::wire::sigv4;
use brigade::wire::sigv4::AWS4;
use brigade::wire::uri;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take that must come.
const LONG: Duration = Duration::from_secs(20);
/// How long to wait for one that may not.
const SHORT: Duration = Duration::from_millis(10);

/// A request as a client of ours would send it.
fn signed(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let time = AmzDate::new(clock::now());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (date, hash) = (time.to_string(), sigv4::sha256_hex(body.as_bytes()));
    let mut all = vec![("host", "127.0.0.1"), ("x-amz-date", date.as_str()), ("x-amz-content-sha256", hash.as_str())];
    all.extend(headers);
    let decoded = uri::parse_query(query).unwrap();
    let request = sigv4::Request { method, path, query: &decoded, headers: &all, payload_hash: &hash };
    let scope = sigv4::Scope::new(&time, "us-east-1");
    let key = sigv4::SigningKey::derive(&AWS4, SECRET, &scope);
    let signed_headers = request.header_names();
    let signature = request.signature(&AWS4, &key, &time, &scope, &signed_headers);
    let claim = sigv4::Authorization { access_key_id: ACCESS_KEY_ID.into(), scope, signed_headers, signature };
    let mut out = format!("{method} {target} HTTP/1.1\r\n");
    for (name, value) in all {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str(&format!("authorization: {}\r\ncontent-length: {}\r\n\r\n{body}", claim.header(&AWS4), body.len()));
    out.into_bytes()
}

fn samples() -> Vec<Vec<u8>> {
    let bucket = format!("/{BUCKET}");
    let key = format!("/{BUCKET}/a%20b");
    let delete = "<Delete><Object><Key>a</Key></Object></Delete>";
    let complete =
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>";
    let source = format!("{key}?versionId=1");
    vec![
        signed("GET", "/", &[], ""),
        signed(
            "GET",
            &format!("{bucket}?list-type=2&prefix=a&delimiter=%2F&max-keys=7&continuation-token=YQ"),
            &[],
            "",
        ),
        signed("GET", &format!("{bucket}?uploads&encoding-type=url"), &[], ""),
        signed("GET", &key, &[("range", "bytes=0-9"), ("if-match", "\"a\", *"), ("if-modified-since", "now")], ""),
        signed("PUT", &key, &[("x-amz-meta-mode", "33188"), ("x-amz-storage-class", "STANDARD")], "hello"),
        signed("PUT", &format!("{bucket}/sealed"), &[("x-amz-server-side-encryption", "AES256")], "hello"),
        signed("PUT", &key, &[("x-amz-copy-source", &source), ("x-amz-metadata-directive", "REPLACE")], ""),
        signed("PUT", &format!("{key}?partNumber=1&uploadId=u"), &[("x-amz-copy-source-range", "bytes=0-9")], ""),
        signed("POST", &format!("{key}?uploads"), &[("x-amz-checksum-algorithm", "CRC32C")], ""),
        signed("POST", &format!("{key}?uploadId=u"), &[], complete),
        signed("POST", &format!("{bucket}?delete"), &[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")], delete),
        signed("HEAD", &key, &[], ""),
        signed("DELETE", &key, &[], ""),
    ]
}

/// The status that comes back; none if the server hangs up, or takes the request for the beginning of one.
fn ask(address: &str, request: &[u8], patience: Duration) -> Option<u16> {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(patience)).unwrap();
    // The server may hang up in the middle.
    let _ = connection.write_all(request);
    let mut status = [0; 12];
    connection.read_exact(&mut status).ok()?;
    std::str::from_utf8(&status).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

#[test]
fn no_request_is_too_much_for_the_backend() {
    let backend = Backend::start();
    let address = backend.endpoint().trim_start_matches("http://").to_owned();
    let health = signed("GET", "/", &[], "");
    let is_well = || ask(&address, &health, LONG) == Some(200);
    assert!(is_well());
    assert_eq!(ask(&address, &samples()[5], LONG), Some(200), "it can encrypt");
    let mut runner = TestRunner::new(ProptestConfig { source_file: Some(file!()), ..ProptestConfig::with_cases(1000) });
    let outcome = runner.run(&hostile(samples()), |request| {
        let status = ask(&address, &request, SHORT);
        prop_assert!(status.is_none_or(|status| (100..=505).contains(&status) && status != 500), "{status:?}");
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(is_well(), "it goes on");
}
