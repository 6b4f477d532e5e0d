//! Encryption at rest over HTTP: what is said of an object, what lies on disk, and what happens without the key.

use crate::protocol::raw::Answer;
use crate::protocol::raw::Running;
use data_encoding::HEXLOWER;
use md5::Digest;
use md5::Md5;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

const HEADER: &str = "x-amz-server-side-encryption";
const ENCRYPTED: &[(&str, &str)] = &[(HEADER, "AES256")];
const SECRET: &[u8] = b"nobody who has only the disk reads this line ";

fn secret(bytes: usize) -> Vec<u8> {
    SECRET.iter().copied().cycle().take(bytes).collect()
}

fn is_encrypted(answer: &Answer) -> bool {
    assert_eq!(answer.status / 100, 2, "{answer:?}");
    match answer.header(HEADER) {
        None => false,
        Some(value) => {
            assert_eq!(value, "AES256");
            true
        }
    }
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The files of the data directory that hold a piece of the secret.
fn leaks(running: &Running) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| match std::fs::read(path) {
        Ok(bytes) => bytes.windows(16).any(|window| window == &SECRET[..16]),
        // The server removes what no object needs any more while it runs.
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    files(running.data()).into_iter().filter(holds).collect()
}

fn get(running: &Running, key: &str, range: &str) -> (u16, Vec<u8>) {
    let headers: &[(&str, &str)] = if range.is_empty() { &[] } else { &[("range", range)] };
    let answer = running.ask(&format!("GET /bkt/{key}"), headers, b"");
    assert_eq!(answer.header(HEADER), Some("AES256"));
    (answer.status, answer.body)
}

#[test]
fn an_encrypted_object_reads_as_it_was_written_and_is_not_on_the_disk() {
    let mut running = Running::start();
    // Around the size under which objects live in the index, and around the ends of chunks.
    let sizes = [0, 1, 4096, 4097, 65_535, 65_536, 65_537, 300_000];
    for bytes in sizes {
        let body = secret(bytes);
        let put = running.ask(&format!("PUT /bkt/{bytes}"), ENCRYPTED, &body);
        assert!(is_encrypted(&put), "{bytes}");
        assert_eq!(put.header("etag").unwrap(), format!("\"{}\"", HEXLOWER.encode(&Md5::digest(&body))));
    }
    for again in [false, true] {
        for bytes in sizes {
            let body = secret(bytes);
            assert_eq!(get(&running, &bytes.to_string(), ""), (200, body.clone()), "{bytes}");
            let head = running.ask(&format!("HEAD /bkt/{bytes}"), &[], b"");
            assert!(is_encrypted(&head));
            assert_eq!(head.header("content-length"), Some(bytes.to_string().as_str()));
        }
        let body = secret(300_000);
        for (first, last) in [(0, 0), (65_535, 65_536), (65_536, 131_071), (100, 299_999), (299_999, 299_999)] {
            let got = get(&running, "300000", &format!("bytes={first}-{last}"));
            assert_eq!(got, (206, body[first..=last].to_vec()), "{first}-{last}");
        }
        if !again {
            running.restart();
        }
    }
    assert_eq!(leaks(&running), Vec::<PathBuf>::new());
    let key = running.data().join("encryption-key");
    assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    running.goes_on();
}

#[test]
fn an_upload_encrypts_its_parts() {
    let running = Running::start();
    let begun = running.ask("POST /bkt/k?uploads", ENCRYPTED, b"");
    assert!(is_encrypted(&begun));
    let id = begun.element("UploadId").unwrap();
    let parts = [secret(5 << 20), secret(100)];
    let mut named = String::new();
    for (number, body) in (1..).zip(&parts) {
        let put = running.ask(&format!("PUT /bkt/k?partNumber={number}&uploadId={id}"), &[], body);
        assert!(is_encrypted(&put), "the upload says so, not the part");
        let etag = put.header("etag").unwrap();
        named.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
    }
    let document = format!("<CompleteMultipartUpload>{named}</CompleteMultipartUpload>");
    assert!(is_encrypted(&running.ask(&format!("POST /bkt/k?uploadId={id}"), &[], document.as_bytes())));
    let whole = parts.concat();
    assert_eq!(get(&running, "k", ""), (200, whole.clone()));
    let (first, last) = ((5 << 20) - 70_000, (5 << 20) + 50);
    assert_eq!(get(&running, "k", &format!("bytes={first}-{last}")), (206, whole[first..=last].to_vec()));
    assert_eq!(leaks(&running), Vec::<PathBuf>::new());
}

#[test]
fn a_copy_says_what_it_is() {
    let running = Running::start();
    let body = secret(100_000);
    assert!(!is_encrypted(&running.ask("PUT /bkt/plain", &[], &body)));
    assert_eq!(leaks(&running).len(), 1, "the search finds what is there");
    assert!(is_encrypted(&running.ask("PUT /bkt/sealed", ENCRYPTED, &body)));
    let copy = |target: &str, source: &str, headers: &[(&str, &str)]| {
        let headers = [&[("x-amz-copy-source", source)], headers].concat();
        is_encrypted(&running.ask(&format!("PUT /bkt/{target}"), &headers, b""))
    };
    assert!(!copy("a", "/bkt/plain", &[]));
    assert!(copy("b", "/bkt/plain", ENCRYPTED));
    assert!(copy("c", "/bkt/sealed", &[]), "what was encrypted stays so");
    assert!(copy("d", "/bkt/sealed", &[("x-amz-metadata-directive", "REPLACE")]));
    assert!(copy("plain", "/bkt/plain", ENCRYPTED), "onto itself");
    for (key, encrypted) in [("a", false), ("b", true), ("c", true), ("d", true), ("plain", true)] {
        let answer = running.ask(&format!("GET /bkt/{key}"), &[], b"");
        assert_eq!((is_encrypted(&answer), answer.body == body), (encrypted, true), "{key}");
    }
    let begun = running.ask("POST /bkt/parts?uploads", ENCRYPTED, b"");
    let id = begun.element("UploadId").unwrap();
    let source = [("x-amz-copy-source", "/bkt/a"), ("x-amz-copy-source-range", "bytes=10-69999")];
    let etag = running.ask(&format!("PUT /bkt/parts?partNumber=1&uploadId={id}"), &source, b"").element("ETag");
    let part = format!("<Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>", etag.unwrap());
    let document = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
    assert!(is_encrypted(&running.ask(&format!("POST /bkt/parts?uploadId={id}"), &[], document.as_bytes())));
    assert_eq!(get(&running, "parts", ""), (200, body[10..70_000].to_vec()));
    running.ask("DELETE /bkt/a", &[], b"");
    for _ in 0..1000 {
        if leaks(&running).is_empty() {
            return;
        }
        running.goes_on();
    }
    panic!("left in the clear: {:?}", leaks(&running));
}

#[test]
fn other_kinds_of_encryption_are_refused() {
    let running = Running::start();
    let rows = [
        ("aws:kms", (501, "NotImplemented")),
        ("aws:kms:dsse", (501, "NotImplemented")),
        ("AES128", (400, "InvalidArgument")),
        ("aes256", (400, "InvalidArgument")),
        ("", (400, "InvalidArgument")),
    ];
    for (value, (status, code)) in rows {
        for request in ["PUT /bkt/k", "POST /bkt/k?uploads"] {
            assert_eq!(running.refusal(request, &[(HEADER, value)], b""), (status, code.into()), "{request} {value}");
        }
    }
    assert_eq!(running.refusal("GET /bkt/k", &[], b""), (404, "NoSuchKey".into()));
    assert!(!running.data().join("encryption-key").exists());
}

#[test]
fn without_the_key_nothing_encrypted_is_read_and_all_else_goes_on() {
    let other = Running::start();
    other.ask("PUT /bkt/k", ENCRYPTED, b"secret");
    let mut running = Running::start();
    running.ask("PUT /bkt/sealed", ENCRYPTED, b"secret");
    running.ask("PUT /bkt/plain", &[], b"plain");
    let away = running.data().join("encryption-key.away");
    let key = running.data().join("encryption-key");
    let others = other.data().join("encryption-key");
    let without = |running: &Running| {
        assert_eq!(running.refusal("GET /bkt/sealed", &[], b""), (500, "InternalError".into()));
        assert_eq!(running.refusal("PUT /bkt/new", ENCRYPTED, b"secret"), (500, "InternalError".into()));
        assert!(is_encrypted(&running.ask("HEAD /bkt/sealed", &[], b"")));
        assert_eq!(running.ask("GET /bkt/plain", &[], b"").body, b"plain");
        assert_eq!(running.ask("PUT /bkt/plain", &[], b"plain").status, 200);
    };
    running.restart_after(|_| std::fs::rename(&key, &away).unwrap());
    without(&running);
    assert!(!key.exists(), "no new one is made");
    running.restart_after(|_| assert!(std::fs::copy(&others, &key).is_ok()));
    without(&running);
    running.restart_after(|_| std::fs::rename(&away, &key).unwrap());
    assert_eq!(get(&running, "sealed", ""), (200, b"secret".to_vec()));
}
