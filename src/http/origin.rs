//! Where requests go: scheme, host and port.

use crate::http::Error;
use crate::http::ErrorKind;
use crate::http::Result;
use std::fmt;
use std::net::IpAddr;

/// Scheme, host and port of a server, in the spelling that goes into `Host`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    tls: bool,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Reads `http://host:port` or `https://host`.
    ///
    /// # Errors
    /// When it is not a URL of that kind, or has a path, a query or a user.
    pub fn parse(url: &str) -> Result<Self> {
        let refuse = |why: &str| Err(Error::new(ErrorKind::Url, format!("{url:?} is not an endpoint: {why}")));
        let Ok(parsed) = reqwest::Url::parse(url) else {
            return refuse("write it as https://host or http://host:port");
        };
        let Some(host) = parsed.host_str() else { return refuse("it names no host") };
        let tls = match parsed.scheme() {
            "https" => true,
            "http" => false,
            _ => return refuse("it must begin with http:// or https://"),
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return refuse("keys do not belong into a URL");
        }
        if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() || parsed.fragment().is_some() {
            return refuse("it must end after the host and port");
        }
        Ok(Self { tls, host: host.to_owned(), port: parsed.port() })
    }

    /// The value of `Host`: the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// The same server under a name below its own: `bucket.host`.
    ///
    /// # Errors
    /// When that is not a valid name, or the host is an address.
    pub fn below(&self, label: &str) -> Result<Self> {
        let under = Self { host: format!("{label}.{}", self.host), ..self.clone() };
        if label.is_empty() || self.address().is_some() || Self::parse(&under.to_string()).as_ref().ok() != Some(&under)
        {
            return Err(Error::new(ErrorKind::Url, format!("{label:?} cannot be a host name below {}", self.host)));
        }
        Ok(under)
    }

    /// Whether requests are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host's name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host's address, if it is given as one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// Whether requests stay on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.address() {
            Some(address) => address.is_loopback(),
            None => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_hosts() {
        let rows: &[(&str, Option<&str>, &str)] = &[
            ("http://127.0.0.1:9000", Some("127.0.0.1:9000"), "an address and a port"),
            ("http://127.0.0.1:9000/", Some("127.0.0.1:9000"), "a slash"),
            ("https://S3.Example.com:443", Some("s3.example.com"), "the scheme's own port"),
            ("https://example.com:80", Some("example.com:80"), "another scheme's port"),
            ("http://[::1]:9000", Some("[::1]:9000"), "version 6"),
            ("http://localhost", Some("localhost"), "a name"),
            ("localhost:9000", None, "no scheme"),
            ("ftp://host", None, "another scheme"),
            ("http://host/path", None, "a path"),
            ("http://host/?q", None, "a query"),
            ("http://user:secret@host", None, "a user"),
            ("http://", None, "no host"),
            ("", None, "nothing"),
        ];
        for (url, want, why) in rows {
            let origin = Origin::parse(url);
            assert_eq!(origin.as_ref().ok().map(Origin::authority).as_deref(), *want, "{url:?}: {why}");
            if let Ok(origin) = origin {
                assert_eq!(Origin::parse(&origin.to_string()).unwrap(), origin, "{url:?}");
            }
        }
    }

    #[test]
    fn buckets_become_hosts_only_below_names() {
        let below = |url: &str, label: &str| Origin::parse(url).unwrap().below(label).ok().map(|o| o.authority());
        assert_eq!(below("https://s3.example.com:8443", "my-bucket").as_deref(), Some("my-bucket.s3.example.com:8443"));
        assert_eq!(below("http://127.0.0.1:9000", "b"), None);
        assert_eq!(below("http://[::1]:9000", "b"), None);
        for label in ["a/b", "A", "a b", "a@b", "a:1", ""] {
            assert_eq!(below("https://s3.example.com", label), None, "{label:?}");
        }
    }

    #[test]
    fn loopback_is_known() {
        for (url, want) in [
            ("http://127.0.0.1", true),
            ("http://127.9.9.9:1", true),
            ("http://[::1]:9", true),
            ("http://localhost:9", true),
            ("http://b.localhost", true),
            ("http://10.0.0.1", false),
            ("http://example.com", false),
        ] {
            assert_eq!(Origin::parse(url).unwrap().is_loopback(), want, "{url}");
        }
    }
}
