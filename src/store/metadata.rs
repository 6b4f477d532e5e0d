//! Which user metadata can be sent and comes back unchanged. The network client and the fake refuse the same.

use crate::store::Kind;
use crate::store::Metadata;

/// Why metadata cannot be sent: what kind of failure it is, and what to tell.
pub(crate) type Refusal = (Kind, String);

/// Checks names, values and the size of all together.
pub(crate) fn check(metadata: &Metadata, bytes_max: usize) -> Result<(), Refusal> {
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > bytes_max {
        let message = format!("user metadata has at most {bytes_max} bytes, not {bytes}");
        return Err((Kind::MetadataTooLarge, message));
    }
    for (name, value) in metadata {
        if !is_name(name) {
            return Err((Kind::Invalid, format!("{name:?} cannot be the name of user metadata")));
        }
        if value.chars().any(char::is_control) || value.trim() != value {
            return Err((
                Kind::Invalid,
                format!("the metadata {name} has a value that headers cannot carry: {value:?}"),
            ));
        }
    }
    Ok(())
}

/// A token of HTTP in lower case, since stores do not keep the case.
fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_headers_carry_is_taken() {
        let rows: &[(&str, &str, Option<Kind>, &str)] = &[
            ("mtime", "1700000000.000000001", None, "a number"),
            ("xattr", "%7B%22a%22%3A1%7D", None, "escaped text"),
            ("note", "h\u{e9}llo  w\u{f6}rld, \"quoted\"", None, "any visible text"),
            ("empty", "", None, "nothing"),
            ("", "1", Some(Kind::Invalid), "no name"),
            ("a b", "1", Some(Kind::Invalid), "a space in the name"),
            ("Mode", "1", Some(Kind::Invalid), "upper case would come back lower"),
            ("a", "1\n", Some(Kind::Invalid), "a line feed would end the header"),
            ("a", " 1", Some(Kind::Invalid), "a space in front is dropped"),
            ("a", "1\u{a0}", Some(Kind::Invalid), "and so may others be"),
            ("a", "\u{0}", Some(Kind::Invalid), "a control character"),
        ];
        for (name, value, want, why) in rows {
            let metadata = [((*name).to_owned(), (*value).to_owned())].into();
            assert_eq!(check(&metadata, 2048).err().map(|(kind, _)| kind), *want, "{why}");
        }
    }

    #[test]
    fn names_and_values_count_together() {
        let metadata = [("ab".to_owned(), "cd".to_owned()), ("e".to_owned(), "f".to_owned())].into();
        assert_eq!(check(&metadata, 6), Ok(()));
        assert_eq!(check(&metadata, 5).unwrap_err().0, Kind::MetadataTooLarge);
    }
}
