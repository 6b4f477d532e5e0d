//! Entity tags, which stores write with and without quotes; how a multipart object's is made; lists of them in conditions.

use data_encoding::HEXLOWER;
use md5::Digest;
use md5::Md5;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// An entity tag without quotes, weak marker or case, so that two spellings of one tag are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ETag(String);

impl ETag {
    /// Takes a tag as any store spells it: `"abc"`, `abc`, `W/"abc"`, `&quot;abc&quot;`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let bare = text.trim();
        let bare = bare.strip_prefix("W/").unwrap_or(bare);
        let bare = bare.strip_prefix("&quot;").and_then(|t| t.strip_suffix("&quot;")).unwrap_or(bare);
        Self(bare.trim_matches('"').to_ascii_lowercase())
    }

    /// The tag without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag as it stands in a header: in double quotes (RFC 9110, 8.8.3).
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl ETag {
    /// The tag of an object made of parts: the MD5 of the parts' raw MD5s, and their number.
    pub fn of_parts(part_md5s: impl IntoIterator<Item = [u8; 16]>) -> Self {
        let mut md5 = Md5::new();
        let mut parts = 0u32;
        for part in part_md5s {
            md5.update(part);
            parts += 1;
        }
        Self(format!("{}-{parts}", HEXLOWER.encode(&md5.finalize())))
    }

    /// The tag of an object that one plain put wrote.
    #[must_use]
    pub fn of_md5(md5: [u8; 16]) -> Self {
        Self(HEXLOWER.encode(&md5))
    }

    /// The MD5 in the tag, if it can be one: 32 hex digits.
    #[must_use]
    pub fn md5(&self) -> Option<[u8; 16]> {
        HEXLOWER.decode(self.0.as_bytes()).ok()?.try_into().ok()
    }
}

/// What `If-Match` and `If-None-Match` name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ETagList {
    /// `*`: any tag, if there is an object.
    Any,
    /// One of these.
    OneOf(Vec<ETag>),
}

impl ETagList {
    /// Reads a list, leniently about quotes. Commas within quotes do not separate.
    #[must_use]
    pub fn parse(header: &str) -> Self {
        if header.trim() == "*" {
            return Self::Any;
        }
        let mut quoted = false;
        let separator = |c: char| {
            quoted ^= c == '"';
            c == ',' && !quoted
        };
        Self::OneOf(header.split(separator).filter(|tag| !tag.trim().is_empty()).map(ETag::new).collect())
    }

    /// Whether the list holds the tag of the object; without an object nothing matches.
    #[must_use]
    pub fn matches(&self, current: Option<&ETag>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::OneOf(tags), Some(current)) => tags.contains(current),
        }
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_tag_are_equal() {
        for text in ["abc-2", "\"abc-2\"", "W/\"ABC-2\"", "&quot;abc-2&quot;", " \"abc-2\" "] {
            assert_eq!(ETag::new(text).quoted(), "\"abc-2\"", "{text}");
        }
    }

    #[test]
    fn a_tag_of_parts_hashes_raw_digests_and_counts() {
        let first = ETag::new("79b281060d337b9b2b84ccf390adcf74").md5().unwrap();
        let second = ETag::new("bbe6402cdc9b7e2036fc97e9a91726cd").md5().unwrap();
        assert_eq!(ETag::of_parts([first, second]).as_str(), "16329fb6004d64a4fbc5bbb983fa0528-2");
        let hello = ETag::of_md5(Md5::digest(b"hello world").into());
        assert_eq!(hello.as_str(), "5eb63bbbe01eeed093cb22bb8f5acdc3");
        assert_eq!(ETag::of_parts(hello.md5()).as_str(), "241d8a27c836427bd7f04461b60e7359-1");
        assert_eq!(ETag::new("16329fb6004d64a4fbc5bbb983fa0528-2").md5(), None);
    }

    #[test]
    fn conditions_name_any_or_some_tags() {
        let rows: &[(&str, Option<&str>, bool, &str)] = &[
            ("*", Some("a"), true, "any"),
            (" * ", None, false, "there is no object"),
            ("\"a\"", Some("a"), true, "quoted"),
            ("a", Some("a"), true, "bare"),
            ("\"b\", W/\"A\"", Some("a"), true, "a list, weak, any case"),
            ("\"b\",\"c\"", Some("a"), false, "not in the list"),
            ("\"a,b\"", Some("b"), false, "a comma within quotes"),
            ("", Some("a"), false, "an empty list"),
            ("\"*\"", Some("a"), false, "a tag that is a star"),
        ];
        for (header, current, want, why) in rows {
            let current = current.map(ETag::new);
            assert_eq!(ETagList::parse(header).matches(current.as_ref()), *want, "{header:?}: {why}");
        }
    }
}
