//! Signature Version 2 and its two relatives, JSS's `jingdong` and Wangsu's `WOS`: HMAC-SHA1 over a few lines. Both for
//! a client that signs and a server that verifies.
//!
//! What is signed is always bucket and key, however the request names them. Times are arguments; whether a signature
//! is fresh is decided by the server, not here.

use crate::wire::uri;
use crate::wire::uri::query_value;
use data_encoding::BASE64;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha1::Sha1;

/// The names and the small rules by which the relatives differ.
#[derive(Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Begins the `Authorization` header; its case matters.
    pub token: &'static str,
    /// Headers that begin so are signed.
    pub header_prefix: &'static str,
    /// Parameters of a presigned URL that may name the access key; a signer uses the first.
    pub key_parameters: &'static [&'static str],
    /// Parameters of the query that are signed.
    subresources: &'static [&'static str],
    /// A parameter that begins so is signed as well.
    override_prefix: Option<&'static str>,
    /// Whether `Uploads` is `uploads`.
    ignores_case: bool,
    /// A bucket is signed as `/bucket/`, not `/bucket`.
    bucket_slash: bool,
    /// Keys are signed as they stand in the URL, not as they are in the bucket.
    encodes_key: bool,
}

/// Amazon's, in old presigned URLs.
pub const AWS2: Scheme = Scheme {
    token: "AWS",
    header_prefix: "x-amz-",
    key_parameters: &["AWSAccessKeyId"],
    subresources: &[
        "acl",
        "cors",
        "delete",
        "lifecycle",
        "location",
        "logging",
        "notification",
        "partNumber",
        "policy",
        "requestPayment",
        "restore",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
    ],
    override_prefix: Some("response-"),
    ignores_case: false,
    bucket_slash: true,
    encodes_key: true,
};

/// JD Cloud's JSS (pages "Signature in header" and "Signature in URL").
pub const JINGDONG: Scheme = Scheme {
    token: "jingdong",
    header_prefix: "x-jss-",
    key_parameters: &["AccessKey"],
    subresources: &[
        "acl",
        "cacheControl",
        "contentDisposition",
        "contentEncoding",
        "contentLanguage",
        "contentType",
        "lifecycle",
        "location",
        "logging",
        "partNumber",
        "policy",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
    ],
    override_prefix: None,
    ignores_case: false,
    bucket_slash: false,
    encodes_key: false,
};

/// Wangsu's first (API version 2 of 2019). Its page leaves the list open; this is that of the vendor's own SDK.
pub const WOS2: Scheme = Scheme {
    token: "WOS",
    header_prefix: "x-wos-",
    key_parameters: &["WOSAccessKeyId", "AWSAccessKeyId"],
    subresources: &[
        "acl",
        "append",
        "backtosource",
        "cors",
        "delete",
        "deletebucket",
        "directcoldaccess",
        "encryption",
        "fileinterface",
        "ignore-sign-in-query",
        "length",
        "lifecycle",
        "listcontentsummary",
        "location",
        "logging",
        "metadata",
        "mirrorbacktosource",
        "mirrorrefresh",
        "modify",
        "name",
        "notification",
        "partNumber",
        "policy",
        "position",
        "quota",
        "readahead",
        "rename",
        "replication",
        "requestpayment",
        "restore",
        "storageclass",
        "storageinfo",
        "storagepolicy",
        "symlink",
        "tagging",
        "torrent",
        "truncate",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
        "x-image-process",
        "x-image-save-bucket",
        "x-image-save-object",
        "x-oss-process",
        "x-wos-process",
        "x-wos-sse-kms-key-project-id",
    ],
    override_prefix: Some("response-"),
    ignores_case: true,
    bucket_slash: true,
    encodes_key: false,
};

impl Scheme {
    /// Whether a parameter of a query is signed.
    #[must_use]
    pub fn signs(&self, name: &str) -> bool {
        let known = |own: &&str| if self.ignores_case { own.eq_ignore_ascii_case(name) } else { *own == name };
        self.subresources.iter().any(known) || self.override_prefix.is_some_and(|prefix| name.starts_with(prefix))
    }
}

/// In which order parameters are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By name, as all pages but one say.
    Sorted,
    /// As they stand in the URL: JSS's page prints `uploadId` before `partNumber`.
    AsSent,
}

/// What of a request is signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, upper case.
    pub method: &'a str,
    /// The bucket, if the request is about one.
    pub bucket: Option<&'a str>,
    /// The key, decoded, if the request is about one.
    pub key: Option<&'a str>,
    /// The query, decoded, as sent.
    pub query: &'a [(String, String)],
    /// The headers, in any order and case; repeated ones are joined.
    pub headers: &'a [(&'a str, &'a str)],
}

impl Request<'_> {
    /// The lines to sign; `date` is the `Date` header, or the time of expiry in seconds, or empty where a header of
    /// the scheme's own has the date.
    #[must_use]
    pub fn string_to_sign(&self, scheme: &Scheme, date: &str, order: Order) -> String {
        let mut out =
            format!("{}\n{}\n{}\n{date}\n", self.method, self.header("content-md5"), self.header("content-type"));
        for name in self.own_headers(scheme) {
            out.push_str(&format!("{name}:{}\n", self.header(&name)));
        }
        out.push_str(&self.resource(scheme, order));
        out
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self, scheme: &Scheme, secret: &str, date: &str, order: Order) -> String {
        sign(secret, &self.string_to_sign(scheme, date, order))
    }

    fn own_headers(&self, scheme: &Scheme) -> Vec<String> {
        let names = self.headers.iter().map(|(name, _)| name.to_ascii_lowercase());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(scheme.header_prefix)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn header(&self, name: &str) -> String {
        let values = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        values.map(|(_, value)| value.trim()).collect::<Vec<_>>().join(",")
    }

    fn resource(&self, scheme: &Scheme, order: Order) -> String {
        let mut out = String::from("/");
        if let Some(bucket) = self.bucket {
            out.push_str(bucket);
            match self.key {
                Some(key) if scheme.encodes_key => out.push_str(&format!("/{}", uri::encode_path(key))),
                Some(key) => out.push_str(&format!("/{key}")),
                None if scheme.bucket_slash => out.push('/'),
                None => {}
            }
        }
        let mut signed: Vec<&(String, String)> = self.query.iter().filter(|(name, _)| scheme.signs(name)).collect();
        if order == Order::Sorted {
            signed.sort_unstable();
        }
        for (at, (name, value)) in signed.into_iter().enumerate() {
            out.push(if at == 0 { '?' } else { '&' });
            out.push_str(name);
            // `?uploads=` is signed as `?uploads`.
            if !value.is_empty() {
                out.push_str(&format!("={value}"));
            }
        }
        out
    }
}

/// The base64 of HMAC-SHA1.
fn sign(secret: &str, string_to_sign: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(string_to_sign.as_bytes());
    BASE64.encode(&mac.finalize().into_bytes())
}

/// The parts of an `Authorization` header: `TOKEN KEY:SIGNATURE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Who signed.
    pub access_key_id: String,
    /// The signature, base64.
    pub signature: String,
}

impl Authorization {
    /// Reads the header; `None` when it is another scheme's, or malformed. Space around the colon is ignored, as JSS's
    /// page prints some.
    #[must_use]
    pub fn parse(scheme: &Scheme, header: &str) -> Option<Self> {
        let rest = header.trim().strip_prefix(scheme.token)?.strip_prefix(' ')?;
        let (access_key_id, signature) = rest.trim().rsplit_once(':')?;
        let (access_key_id, signature) = (access_key_id.trim().to_owned(), signature.trim().to_owned());
        (!access_key_id.is_empty() && !signature.is_empty()).then_some(Self { access_key_id, signature })
    }

    /// Writes the header.
    #[must_use]
    pub fn header(&self, scheme: &Scheme) -> String {
        format!("{} {}:{}", scheme.token, self.access_key_id, self.signature)
    }
}

/// The signature parameters of a URL. Each may be missing, which each server calls by another name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presigned {
    /// Who signed.
    pub access_key_id: Option<String>,
    /// Until when it is valid: seconds since 1970, as written, since that is what is signed.
    pub expires: Option<String>,
    /// The signature, base64.
    pub signature: Option<String>,
}

impl Presigned {
    /// Whether a query names an access key of the scheme at all.
    #[must_use]
    pub fn is_in(scheme: &Scheme, query: &[(String, String)]) -> bool {
        scheme.key_parameters.iter().any(|name| query_value(query, name).is_some())
    }

    /// Reads the parameters; of repeated ones the first counts.
    #[must_use]
    pub fn parse(scheme: &Scheme, query: &[(String, String)]) -> Self {
        let value = |name: &str| query_value(query, name).filter(|value| !value.is_empty()).map(str::to_owned);
        Self {
            access_key_id: scheme.key_parameters.iter().find_map(|name| value(name)),
            expires: value("Expires"),
            signature: value("Signature"),
        }
    }

    /// The parameters to add to a URL.
    #[must_use]
    pub fn query(scheme: &Scheme, access_key_id: &str, expires: &str, signature: &str) -> Vec<(String, String)> {
        let pairs = [(scheme.key_parameters[0], access_key_id), ("Expires", expires), ("Signature", signature)];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests;
