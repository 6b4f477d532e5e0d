//! Answers: a status, headers, and a document or bytes; and how an answer looks in the dialect of its request.

use crate::base::random;
use crate::http::HeaderMap;
use crate::http::HeaderName;
use crate::http::StatusCode;
use crate::http::server::Response;
use crate::http::server::ResponseBody;
use crate::server::attributes::insert;
use crate::server::backend::record::ENCRYPTION;
use crate::server::backend::record::ENCRYPTION_HEADER;
use crate::server::backend::record::Protection;
use crate::server::dialect::Dialect;
use crate::server::dialect::Site;
use crate::server::fault::Fault;
use crate::wire::checksum::Checksum;
use crate::wire::date;
use crate::wire::document;
use crate::wire::error_code::ErrorCode;
use crate::wire::etag::ETag;
use crate::wire::json;
use crate::wire::xml;
use crate::wire::xml::ErrorDocument;
use bytes::Bytes;
use std::time::SystemTime;

/// An answer without a body.
#[must_use]
pub fn empty(status: StatusCode) -> Response {
    Response { status, headers: HeaderMap::new(), body: ResponseBody::Empty }
}

/// An answer that is a document.
#[must_use]
pub fn document<D: xml::Document + json::Document>(dialect: Dialect, document: &D) -> Response {
    written(StatusCode::OK, dialect, document::write(dialect, document))
}

/// An answer that is a document which JSS does not have.
#[must_use]
pub fn xml(dialect: Dialect, document: &impl xml::Document) -> Response {
    let style = match dialect {
        Dialect::S3 | Dialect::Jss => xml::Style::S3,
        Dialect::Wos => xml::Style::WOS,
    };
    written(StatusCode::OK, Dialect::S3, document.write_in(style))
}

fn written(status: StatusCode, dialect: Dialect, document: String) -> Response {
    let mut response = Response { status, headers: HeaderMap::new(), body: ResponseBody::Full(Bytes::from(document)) };
    insert(&mut response.headers, "content-type", document::media_type(dialect).as_bytes());
    response
}

/// The answer to a request that was refused. The answer to `HEAD` has no body.
#[must_use]
pub fn refused(fault: &Fault, dialect: Dialect, resource: &str, request_id: &str, is_head: bool) -> Response {
    let (code, status) = fault.code.in_dialect(dialect);
    let status = StatusCode::from_u16(status).expect("the codes have statuses");
    if is_head {
        return empty(status);
    }
    let error = ErrorDocument {
        code: code.to_owned(),
        message: fault.message.clone().into_owned(),
        resource: Some(resource.to_owned()),
        request_id: Some(request_id.to_owned()),
        host_id: None,
        region: None,
        details: fault.details.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect(),
    };
    written(status, dialect, document::write(dialect, &error))
}

/// A new id for a request, in the shape of the dialect's examples.
#[must_use]
pub fn request_id(dialect: Dialect) -> String {
    match dialect {
        Dialect::S3 | Dialect::Jss => random::hex::<8>().to_uppercase(),
        Dialect::Wos => random::hex::<16>(),
    }
}

/// Who answers, and what all answers have.
pub struct Envelope<'a> {
    /// In which dialect.
    pub dialect: Dialect,
    /// Whose host was asked.
    pub site: Site,
    /// The id of the request.
    pub request_id: &'a str,
    /// When.
    pub now: SystemTime,
    /// Whether the client asked for the connection to be closed.
    pub closes: bool,
}

impl Envelope<'_> {
    /// Gives an answer the dialect's names of headers, and what all of its answers have.
    #[must_use]
    pub fn seal(&self, mut response: Response) -> Response {
        response.headers = own_headers(self.dialect, response.headers);
        let headers = &mut response.headers;
        insert(headers, &format!("{}request-id", self.dialect.header_prefix()), self.request_id.as_bytes());
        insert(headers, "date", date::http(self.now).as_bytes());
        insert(headers, "server", self.server().as_bytes());
        let vendors_own = self.dialect != Dialect::S3 || self.site.is_jd_s3();
        if vendors_own && !self.closes {
            // HTTP/1.1 means it without saying so; the vendors say it.
            insert(headers, "connection", b"keep-alive");
        }
        if self.dialect == Dialect::Jss {
            let millis = self.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
            // Status and time are known from an example; what the other numbers count is not.
            let trace = format!("{}-{millis}-0-0-0-0-0", response.status.as_u16());
            insert(headers, "x-trace", trace.as_bytes());
        }
        response
    }

    fn server(&self) -> &'static str {
        match self.dialect {
            Dialect::S3 if self.site.is_jd_s3() => "JDCloudOSS",
            Dialect::S3 => "brigade",
            Dialect::Jss => "nginx",
            Dialect::Wos => "WS-web-server",
        }
    }
}

/// Headers by the dialect's names. JSS says whether an object is encrypted, not how.
fn own_headers(dialect: Dialect, headers: HeaderMap) -> HeaderMap {
    if dialect == Dialect::S3 {
        return headers;
    }
    let mut out = HeaderMap::with_capacity(headers.len());
    for name in headers.keys() {
        let own = dialect.own_name(name.as_str());
        let own = HeaderName::from_bytes(own.as_bytes()).expect("a header's name with another prefix is one");
        for value in headers.get_all(name) {
            if dialect == Dialect::Jss && name.as_str() == ENCRYPTION_HEADER {
                insert(&mut out, own.as_str(), b"true");
            } else {
                out.append(own.clone(), value.clone());
            }
        }
    }
    out
}

/// What a document that could not be read is refused with.
#[must_use]
pub fn malformed(dialect: Dialect, error: &xml::Error) -> Fault {
    let form = if dialect == Dialect::Jss { "JSON" } else { "XML" };
    Fault::new(ErrorCode::MalformedXML, format!("The {form} is not what was expected: {error}."))
}

impl Response {
    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        insert(&mut self.headers, name, value.as_bytes());
        self
    }

    /// Adds the tag.
    #[must_use]
    pub fn with_etag(self, etag: &ETag) -> Self {
        self.with("etag", &etag.quoted())
    }

    /// Says that the object is encrypted, if it is.
    #[must_use]
    pub fn with_protection(self, protection: Protection) -> Self {
        match protection {
            Protection::Plain => self,
            Protection::Sealed => self.with(ENCRYPTION_HEADER, ENCRYPTION),
        }
    }

    /// Adds a checksum, if there is one.
    #[must_use]
    pub fn with_checksum(self, checksum: Option<&Checksum>) -> Self {
        match checksum {
            Some(checksum) => self.with(checksum.algorithm.header(), &checksum.base64()),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_carry_the_names_of_their_dialect() {
        let plain = || {
            empty(StatusCode::OK).with("x-amz-meta-a", "1").with(ENCRYPTION_HEADER, ENCRYPTION).with("etag", "\"a\"")
        };
        let rows = [
            (Dialect::S3, Site::Other, "x-amz-", "AES256", "brigade", None),
            (Dialect::S3, Site::JdNew, "x-amz-", "AES256", "JDCloudOSS", Some("keep-alive")),
            (Dialect::Jss, Site::Jss, "x-jss-", "true", "nginx", Some("keep-alive")),
            (Dialect::Wos, Site::Wangsu, "x-wos-", "AES256", "WS-web-server", Some("keep-alive")),
        ];
        for (dialect, site, prefix, encrypted, server, connection) in rows {
            let request_id = request_id(dialect);
            let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_499_845_527_038);
            let envelope = Envelope { dialect, site, request_id: &request_id, now, closes: false };
            let sealed = envelope.seal(plain());
            let got = |name: &str| sealed.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(got(&format!("{prefix}meta-a")).as_deref(), Some("1"));
            assert_eq!(got(&format!("{prefix}server-side-encryption")).as_deref(), Some(encrypted));
            assert_eq!(got(&format!("{prefix}request-id")), Some(request_id.clone()));
            assert_eq!((got("server").as_deref(), got("connection").as_deref()), (Some(server), connection));
            let trace = (dialect == Dialect::Jss).then(|| "200-1499845527038-0-0-0-0-0".to_owned());
            assert_eq!(got("x-trace"), trace);
            let foreign = Dialect::ALL.iter().map(|other| other.header_prefix()).filter(|other| *other != prefix);
            for other in foreign {
                assert!(!sealed.headers.keys().any(|name| name.as_str().starts_with(other)), "{dialect}: {other}");
            }
            let closing = Envelope { closes: true, ..envelope };
            assert!(closing.seal(plain()).headers.get("connection").is_none());
        }
    }
}
