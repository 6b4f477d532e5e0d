//! The JSON bodies of JSS, as other forms of the documents in [`crate::wire::xml`].
//!
//! Member names are read in every spelling that the vendor's pages print; unknown members are passed over unread, so
//! that a document takes no more memory than what is wanted of it. Tags have no quotes, dates are those of HTTP.

mod objects;
#[cfg(test)]
mod tests;
mod uploads;

use crate::wire::date;
use crate::wire::document::Error;
use crate::wire::etag::ETag;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::SystemTime;

/// What reading a document answers.
pub type Result<T> = std::result::Result<T, Error>;

/// A body that can be written and read as JSON.
pub trait Document: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// When the bytes are no JSON, or a member that must be there is not.
    fn parse(document: &[u8]) -> Result<Self>;

    /// Writes it, compactly.
    fn write(&self) -> String;
}

/// Whether a text is the beginning of a JSON object and breaks off before its end.
#[must_use]
pub fn is_cut(document: &[u8]) -> bool {
    let begins = document.trim_ascii_start().starts_with(b"{");
    begins && serde_json::from_slice::<serde::de::IgnoredAny>(document).is_err_and(|error| error.is_eof())
}

fn from_slice<T: DeserializeOwned>(document: &[u8]) -> Result<T> {
    serde_json::from_slice(document).map_err(|error| Error::Malformed(error.to_string()))
}

fn to_string<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("structs of texts and numbers are always JSON")
}

/// JSS's dates: RFC 1123, which its pages sometimes print with doubled spaces; others are taken too.
fn time(member: &'static str, text: &str) -> Result<SystemTime> {
    date::parse(text).ok_or(Error::Invalid(member))
}

/// A tag in an answer about a write: a sentence in its place tells a failure.
fn tag(text: &str) -> Result<ETag> {
    let etag = ETag::new(text);
    let is_tag = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    if etag.as_str().bytes().all(is_tag) { Ok(etag) } else { Err(Error::Invalid("ETag")) }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
