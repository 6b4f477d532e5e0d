//! Requests as the vendors' own clients would send them: their hosts, their signatures, their headers.

use crate::protocol::raw::Answer;
use crate::protocol::raw::Connection;
use crate::protocol::raw::KEY;
use crate::protocol::raw::Running;
use crate::protocol::raw::SECRET;
use brigade::base::clock;
use brigade::http::server::Limits;
use brigade::server::keys::Keys;
use brigade::server::permissions::Permissions;
use brigade::wire::date;
use brigade::wire::date::AmzDate;
use brigade::wire::sigv2;
use brigade::wire::sigv2::Order;
use brigade::wire::sigv4;
use brigade::wire::uri;
use md5::Digest;
use md5::Md5;

/// A host, and how requests to it are signed.
#[derive(Clone, Copy)]
pub struct Vendor {
    pub host: &'static str,
    /// Begins the host and is the bucket, unless it is empty.
    pub bucket: &'static str,
    pub region: &'static str,
    pub scheme: Scheme,
}

#[derive(Clone, Copy)]
pub enum Scheme {
    V4(&'static sigv4::Scheme),
    V2(&'static sigv2::Scheme),
}

pub const JD: Vendor = Vendor {
    host: "bkt.s3.cn-north-1.jdcloud-oss.com",
    bucket: "bkt",
    region: "cn-north-1",
    scheme: Scheme::V4(&sigv4::AWS4),
};
pub const JD_OLD: Vendor = Vendor { host: "bkt.s3.cn-north-1.jcloudcs.com", ..JD };
pub const JSS: Vendor =
    Vendor { host: "bkt.s.jcloud.com", bucket: "bkt", region: "", scheme: Scheme::V2(&sigv2::JINGDONG) };
pub const WOS: Vendor = Vendor {
    host: "bkt.s3-cn-east-1.wcsapi.com",
    bucket: "bkt",
    region: "cn-east-1",
    scheme: Scheme::V2(&sigv2::WOS2),
};
pub const WOS_NEW: Vendor = Vendor { scheme: Scheme::V4(&sigv4::WOS4), ..WOS };

pub const READER: (&str, &str) = ("AKIDREADER", "another secret");

/// A server that holds clients to the narrowest rules, in this region.
pub fn strict(region: &str) -> Running {
    Running::open(Limits::default(), |mut options| {
        options.strict = true;
        options.region = region.into();
        options
    })
}

/// A server with a pair that may only read.
pub fn with_reader() -> Running {
    let keys = Keys { access_key_id: READER.0.into(), secret: READER.1.into() };
    Running::open(Limits::default(), |mut options| {
        options.users = vec![(keys, Permissions::READ_ONLY)];
        options
    })
}

impl Vendor {
    /// Begins `METHOD /path?query`.
    pub fn ask(self, request: &str) -> Call {
        let (method, target) = request.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Call {
            vendor: self,
            method: method.into(),
            path: path.into(),
            query: query.into(),
            signed_query: query.into(),
            headers: vec![],
            body: vec![],
            keys: (KEY, SECRET),
            length: true,
        }
    }

    /// Sends a request that needs nothing more.
    pub fn send(self, running: &Running, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.ask(request).headers(headers).body(body).send(running)
    }

    /// Begins an upload of the key `k`.
    pub fn begin(self, running: &Running, headers: &[(&str, &str)]) -> String {
        let answer = self.send(running, "POST /k?uploads", headers, b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        upload_id(&answer)
    }

    /// Sends a part of it; gives its tag.
    pub fn part(self, running: &Running, id: &str, number: u32, body: &[u8]) -> String {
        let answer = self.send(running, &format!("PUT /k?partNumber={number}&uploadId={id}"), &[], body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("etag").unwrap().to_owned()
    }

    /// Completes it from these numbers and tags.
    pub fn complete(self, running: &Running, id: &str, parts: &[(u32, &str)]) -> Answer {
        let document = if matches!(self.scheme, Scheme::V2(scheme) if *scheme == sigv2::JINGDONG) {
            let part =
                |(n, tag): &(u32, &str)| format!("{{\"PartNumber\":{n},\"ETag\":\"{}\"}}", tag.trim_matches('"'));
            format!("{{\"Part\":[{}]}}", parts.iter().map(part).collect::<Vec<_>>().join(","))
        } else {
            let part = |(n, tag): &(u32, &str)| format!("<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>");
            format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.iter().map(part).collect::<String>())
        };
        self.send(running, &format!("POST /k?uploadId={id}"), &[], document.as_bytes())
    }

    /// Uploads one part and completes.
    pub fn upload(self, running: &Running, headers: &[(&str, &str)], body: &[u8]) {
        let id = self.begin(running, headers);
        let tag = self.part(running, &id, 1, body);
        let done = self.complete(running, &id, &[(1, &tag)]);
        assert_eq!(done.status, 200, "{}", done.text());
    }
}

/// The id in the answer to initiate, in either form.
pub fn upload_id(answer: &Answer) -> String {
    let id = answer.element("UploadId").or_else(|| Some(json(answer)["UploadId"].as_str()?.to_owned()));
    id.filter(|id| !id.is_empty()).expect("an id")
}

pub fn json(answer: &Answer) -> serde_json::Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// Status and code of a refusal, in either form.
pub fn refusal(answer: &Answer) -> (u16, String) {
    let code = answer.element("Code").or_else(|| Some(json(answer)["code"].as_str()?.to_owned()));
    (answer.status, code.unwrap_or_default())
}

/// A digest as `Content-MD5` has it.
pub fn base64_md5(body: &[u8]) -> String {
    brigade::wire::dialect::Dialect::S3.content_md5(Md5::digest(body).into())
}

pub fn hex_md5(body: &[u8]) -> String {
    brigade::wire::dialect::Dialect::Jss.content_md5(Md5::digest(body).into())
}

/// A request in the making.
pub struct Call {
    vendor: Vendor,
    method: String,
    path: String,
    query: String,
    signed_query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    keys: (&'static str, &'static str),
    length: bool,
}

impl Call {
    pub fn headers(mut self, headers: &[(&str, &str)]) -> Self {
        self.headers.extend(headers.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        self
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.into();
        self
    }

    /// Signs another query than is sent.
    pub fn signing(mut self, query: &str) -> Self {
        self.signed_query = query.into();
        self
    }

    pub fn by(mut self, keys: (&'static str, &'static str)) -> Self {
        self.keys = keys;
        self
    }

    /// Sends no `Content-Length`.
    pub fn without_length(mut self) -> Self {
        self.length = false;
        self
    }

    /// The head as it is sent.
    pub fn head(&self) -> Vec<u8> {
        let mut headers = self.headers.clone();
        headers.push(("host".into(), self.vendor.host.into()));
        let now = clock::now();
        let query = uri::parse_query(&self.signed_query).unwrap();
        let authorization = match self.vendor.scheme {
            Scheme::V4(scheme) => {
                let (time, hash) = (AmzDate::new(now), sigv4::sha256_hex(&self.body));
                headers.push((format!("{}date", scheme.header_prefix), time.to_string()));
                headers.push((format!("{}content-sha256", scheme.header_prefix), hash.clone()));
                let view = view(&headers);
                let (method, path, payload_hash) = (self.method.as_str(), self.path.as_str(), hash.as_str());
                let request = sigv4::Request { method, path, query: &query, headers: &view, payload_hash };
                let scope = sigv4::Scope::new(&time, self.vendor.region);
                let key = sigv4::SigningKey::derive(scheme, self.keys.1, &scope);
                let signed_headers = request.header_names();
                let signature = request.signature(scheme, &key, &time, &scope, &signed_headers);
                let access_key_id = self.keys.0.into();
                sigv4::Authorization { access_key_id, scope, signed_headers, signature }.header(scheme)
            }
            Scheme::V2(scheme) => {
                let date = date::http(now);
                headers.push(("date".into(), date.clone()));
                let path = uri::decode(&self.path[1..]).unwrap();
                let (bucket, key) = match (self.vendor.bucket, path.split_once('/')) {
                    ("", Some((bucket, key))) => (bucket, key),
                    ("", None) => (path.as_str(), ""),
                    (bucket, _) => (bucket, path.as_str()),
                };
                let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
                let view = view(&headers);
                let (method, bucket, key) = (self.method.as_str(), some(bucket), some(key));
                let request = sigv2::Request { method, bucket, key, query: &query, headers: &view };
                let signature = request.signature(scheme, self.keys.1, &date, Order::AsSent);
                sigv2::Authorization { access_key_id: self.keys.0.into(), signature }.header(scheme)
            }
        };
        headers.push(("authorization".into(), authorization));
        if self.length && !headers.iter().any(|(name, _)| name == "content-length") {
            headers.push(("content-length".into(), self.body.len().to_string()));
        }
        let question = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        let mut head = format!("{} {}{question} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    pub fn send(&self, running: &Running) -> Answer {
        let mut connection = self.send_head(running);
        connection.write(&self.body);
        connection.answer(self.method == "HEAD")
    }

    /// Sends the head alone.
    pub fn send_head(&self, running: &Running) -> Connection {
        let mut connection = running.connect();
        connection.write(&self.head());
        connection
    }
}

fn view(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
