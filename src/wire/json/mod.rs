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

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
