//! Percent-encoding as signatures want it, strict decoding, and query strings as ordered pairs.
//!
//! Paths are never normalised here: `//`, `.` and `..` are bytes of a key like any others.

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_encode;

/// Everything but RFC 3986's unreserved characters is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same, with the separator of path segments left alone.
const ESCAPED_BUT_SLASH: &AsciiSet = &ESCAPED.remove(b'/');

/// Whether a text was percent-encoded UTF-8, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A `%` that two hex digits do not follow.
    #[error("a percent sign is not followed by two hex digits")]
    Escape,
    /// The decoded bytes are not UTF-8.
    #[error("the text is not valid UTF-8")]
    Utf8,
}

/// Names and values of a query string in their order, decoded. A name without `=` has an empty value.
pub type Query = Vec<(String, String)>;

/// A key as a path: upper-case escapes, slashes kept.
#[must_use]
pub fn encode_path(text: &str) -> String {
    percent_encode(text.as_bytes(), ESCAPED_BUT_SLASH).to_string()
}

/// One name or value of a query string: slashes escaped too.
#[must_use]
pub fn encode(text: &str) -> String {
    percent_encode(text.as_bytes(), ESCAPED).to_string()
}

/// The text that `text` encodes. A `+` stands for itself.
///
/// # Errors
/// When an escape is malformed or the result is not UTF-8. Keys are never repaired: that would name another object.
pub fn decode(text: &str) -> Result<String, DecodeError> {
    decode_bytes(text, b'+')
}

/// As [`decode`], with `+` for a space, as query strings and url-encoded listings have it.
///
/// # Errors
/// As [`decode`].
pub fn decode_form(text: &str) -> Result<String, DecodeError> {
    decode_bytes(text, b' ')
}

fn decode_bytes(text: &str, plus: u8) -> Result<String, DecodeError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = bytes.next().and_then(hex_digit).ok_or(DecodeError::Escape)?;
                let low = bytes.next().and_then(hex_digit).ok_or(DecodeError::Escape)?;
                high << 4 | low
            }
            b'+' => plus,
            other => other,
        });
    }
    String::from_utf8(out).map_err(|_| DecodeError::Utf8)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Splits a raw query string (without `?`) into decoded pairs.
///
/// # Errors
/// As [`decode`].
pub fn parse_query(raw: &str) -> Result<Query, DecodeError> {
    raw.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode_form(name)?, decode_form(value)?))
        })
        .collect()
}

/// Writes pairs as a query string, in their order, always with `=`.
pub fn write_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(&encode(name));
        out.push('=');
        out.push_str(&encode(value));
    }
    out
}

/// The first value of a name.
#[must_use]
pub fn query_value<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_encoded_as_signatures_want_them() {
        let rows: &[(&str, &str, &str)] = &[
            // text     as a path     as a query value
            ("a/b", "a/b", "a%2Fb"),
            ("AZaz09-_.~", "AZaz09-_.~", "AZaz09-_.~"),
            (" +&=", "%20%2B%26%3D", "%20%2B%26%3D"),
            ("*'()!", "%2A%27%28%29%21", "%2A%27%28%29%21"),
            ("//..", "//..", "%2F%2F.."),
            ("\u{0}\u{1f}\u{7f}", "%00%1F%7F", "%00%1F%7F"),
            ("目", "%E7%9B%AE", "%E7%9B%AE"),
            ("%41", "%2541", "%2541"),
        ];
        for (text, path, value) in rows {
            assert_eq!(encode_path(text), *path, "{text:?}");
            assert_eq!(encode(text), *value, "{text:?}");
        }
    }

    #[test]
    fn decoding_is_strict() {
        let rows: &[(&str, Result<&str, DecodeError>)] = &[
            ("a%20b+c", Ok("a b+c")),
            ("%e7%9b%ae", Ok("目")),
            ("目", Ok("目")),
            ("%", Err(DecodeError::Escape)),
            ("%4", Err(DecodeError::Escape)),
            ("%g0", Err(DecodeError::Escape)),
            ("%+1", Err(DecodeError::Escape)),
            ("%ff", Err(DecodeError::Utf8)),
            ("%c0%80", Err(DecodeError::Utf8)),
        ];
        for (text, want) in rows {
            assert_eq!(decode(text).as_deref(), want.as_ref().map(|t| *t), "{text:?}");
        }
    }

    #[test]
    fn queries_keep_order_and_empty_values() {
        let query = parse_query("uploads&b=%2F&a=1+2&&a=3%2B").unwrap();
        let pairs: Vec<(&str, &str)> = query.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("uploads", ""), ("b", "/"), ("a", "1 2"), ("a", "3+")]);
        assert_eq!(query_value(&query, "a"), Some("1 2"));
        assert_eq!(query_value(&query, "c"), None);
        assert_eq!(write_query(pairs), "uploads=&b=%2F&a=1%202&a=3%2B");
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in any::<String>()) {
            prop_assert_eq!(decode(&encode(&text)), Ok(text.clone()));
            prop_assert_eq!(decode_form(&encode(&text)), Ok(text.clone()));
            prop_assert_eq!(decode(&encode_path(&text)), Ok(text));
        }

        #[test]
        fn any_query_is_split_or_refused(raw in "[a-z%&=+0-9]{0,40}") {
            let _ = parse_query(&raw);
        }
    }
}
