//! The three dialects of object storage, and what each of them calls things.
//!
//! Inside of this program everything has S3's names (`x-amz-meta-mode`). Where a request or an answer leaves or enters,
//! they become the dialect's own, and back: [`Dialect::own_name`], [`Dialect::s3_name`]. How documents are written is
//! [`crate::wire::document`]'s business, how requests are signed that of `sigv2` and `sigv4`.

use crate::wire::etag::ETag;
use data_encoding::BASE64;
use data_encoding::HEXLOWER;
use md5::Digest;
use md5::Md5;
use std::borrow::Cow;
use std::fmt;

/// A way of speaking to an object store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// Amazon S3, and who follows it: JD Cloud's current API is one of them.
    #[default]
    S3,
    /// JD Cloud's older API ("Jingdong Storage Service"): JSON, `x-jss-`.
    Jss,
    /// Wangsu's and CDNetworks' API version 2: S3's XML in another namespace, `x-wos-`.
    Wos,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::S3, Self::Jss, Self::Wos];

    /// As the scheme of a source: `s3`, `jss`, `wos`.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Jss => "jss",
            Self::Wos => "wos",
        }
    }

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::Jss => "JSS",
            Self::Wos => "WOS",
        }
    }

    /// What its own headers begin with.
    #[must_use]
    pub fn header_prefix(self) -> &'static str {
        match self {
            Self::S3 => "x-amz-",
            Self::Jss => "x-jss-",
            Self::Wos => "x-wos-",
        }
    }

    /// The dialect's name of a header that S3 calls `name` (lower case).
    #[must_use]
    pub fn own_name(self, name: &str) -> Cow<'_, str> {
        exchange(name, Self::S3, self)
    }

    /// S3's name of a header that the dialect calls `name` (lower case).
    #[must_use]
    pub fn s3_name(self, name: &str) -> Cow<'_, str> {
        exchange(name, self, Self::S3)
    }

    /// A digest as the dialect's `Content-MD5` has it: base64 (RFC 1864), but hex in JSS, whose prose says base64 and
    /// whose examples and clients all send hex.
    #[must_use]
    pub fn content_md5(self, md5: [u8; 16]) -> String {
        match self {
            Self::S3 | Self::Wos => BASE64.encode(&md5),
            Self::Jss => HEXLOWER.encode(&md5),
        }
    }

    /// Reads a `Content-MD5`. JSS takes both spellings.
    #[must_use]
    pub fn parse_content_md5(self, text: &str) -> Option<[u8; 16]> {
        let hex = || HEXLOWER.decode(text.to_ascii_lowercase().as_bytes()).ok();
        let bytes = match self {
            Self::S3 | Self::Wos => BASE64.decode(text.as_bytes()).ok(),
            Self::Jss => hex().filter(|bytes| bytes.len() == 16).or_else(|| BASE64.decode(text.as_bytes()).ok()),
        };
        bytes?.try_into().ok()
    }

    /// The tag of an object made of parts: S3 and WOS hash the raw digests and add the number of parts; JSS hashes
    /// the digests' hex and adds nothing (vendor's example of complete, recomputed).
    #[must_use]
    pub fn etag_of_parts(self, part_md5s: impl IntoIterator<Item = [u8; 16]>) -> ETag {
        match self {
            Self::S3 | Self::Wos => ETag::of_parts(part_md5s),
            Self::Jss => {
                let mut md5 = Md5::new();
                part_md5s.into_iter().for_each(|part| md5.update(HEXLOWER.encode(&part)));
                ETag::of_md5(md5.finalize().into())
            }
        }
    }
}

fn exchange<'a>(name: &'a str, from: Dialect, to: Dialect) -> Cow<'a, str> {
    match name.strip_prefix(from.header_prefix()) {
        Some(rest) if from != to => Cow::Owned(format!("{}{rest}", to.header_prefix())),
        Some(_) | None => Cow::Borrowed(name),
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_change_their_prefix_and_nothing_else() {
        for dialect in Dialect::ALL {
            let own = dialect.own_name("x-amz-meta-x-amz-a").into_owned();
            assert_eq!(own, format!("{}meta-x-amz-a", dialect.header_prefix()));
            assert_eq!(dialect.s3_name(&own), "x-amz-meta-x-amz-a");
            assert_eq!(dialect.own_name("content-type"), "content-type");
        }
        assert_eq!(Dialect::Wos.s3_name("x-amz-date"), "x-amz-date");
    }

    #[test]
    fn digests_are_spelled_as_each_dialect_spells_them() {
        let md5: [u8; 16] = Md5::digest(b"hello world").into();
        let (hex, base64) = ("5eb63bbbe01eeed093cb22bb8f5acdc3", "XrY7u+Ae7tCTyyK7j1rNww==");
        for (dialect, sends, takes) in [
            (Dialect::S3, base64, [false, true]),
            (Dialect::Wos, base64, [false, true]),
            (Dialect::Jss, hex, [true; 2]),
        ] {
            assert_eq!(dialect.content_md5(md5), sends);
            for (text, taken) in [hex, base64].into_iter().zip(takes) {
                assert_eq!(dialect.parse_content_md5(text), taken.then_some(md5), "{dialect} {text}");
            }
            for bad in ["", "x", "XrY7u+Ae7tCTyyK7j1rNw", "5eb63bbb", "XrY7u+Ae7tCTyyK7j1rNww== "] {
                assert_eq!(dialect.parse_content_md5(bad), None, "{dialect} {bad:?}");
            }
        }
    }

    #[test]
    fn parts_make_the_tags_that_were_computed_outside() {
        let md5s = |texts: &[&str]| texts.iter().map(|text| ETag::new(text).md5().unwrap()).collect::<Vec<_>>();
        let published = md5s(&[
            "9223eed2740a549634ac58688d33b614",
            "aa286070fe65d16d39fb8997143ea564",
            "3b586f704fcd6b714fde125aeffc3e74",
        ]);
        assert_eq!(Dialect::Jss.etag_of_parts(published.clone()).as_str(), "4e456c2fc34928a3e2fa202acf71870a");
        assert_eq!(Dialect::S3.etag_of_parts(published).as_str(), "7cfe362d805fde60fc68c7d1409a4326-3");
        let two = md5s(&["79b281060d337b9b2b84ccf390adcf74", "bbe6402cdc9b7e2036fc97e9a91726cd"]);
        assert_eq!(Dialect::Wos.etag_of_parts(two.clone()).as_str(), "16329fb6004d64a4fbc5bbb983fa0528-2");
        assert_eq!(Dialect::Jss.etag_of_parts(two).as_str(), "cfd2c35e44ba27d3c437a2866b025b6a");
        let one = md5s(&["5eb63bbbe01eeed093cb22bb8f5acdc3"]);
        assert_eq!(Dialect::S3.etag_of_parts(one.clone()).as_str(), "241d8a27c836427bd7f04461b60e7359-1");
        assert_eq!(Dialect::Jss.etag_of_parts(one).as_str(), "c0b0ef2d0f76f0133b83a9b82c1c7326");
    }
}
