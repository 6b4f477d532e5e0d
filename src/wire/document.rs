//! Documents in the form that a dialect gives them: S3's XML, Wangsu's XML, or JSS's JSON.

use crate::wire::dialect::Dialect;
use crate::wire::json;
use crate::wire::xml;
use crate::wire::xml::Style;

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not UTF-8, not well formed, or XML with a document type.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Deeper or larger than any document of a store.
    #[error("it is nested too deeply or has too many elements")]
    TooLarge,
    /// Another document than was expected.
    #[error("expected the document {expected}, found {found:?}")]
    Unexpected {
        /// The root element that should have been there.
        expected: &'static str,
        /// The root element that was.
        found: String,
    },
    /// An element or member that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value is not what it must be.
    #[error("{0} has no sensible value")]
    Invalid(&'static str),
}

/// The media type of a dialect's documents.
#[must_use]
pub fn media_type(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::S3 | Dialect::Wos => "application/xml",
        Dialect::Jss => "application/json;charset=UTF-8",
    }
}

/// Reads a document.
///
/// # Errors
/// When the bytes are another document or none, or something that must be there is not.
pub fn read<D: xml::Document + json::Document>(dialect: Dialect, document: &[u8]) -> Result<D, Error> {
    match dialect {
        Dialect::S3 | Dialect::Wos => xml::Document::parse(document),
        Dialect::Jss => json::Document::parse(document),
    }
}

/// Writes a document.
#[must_use]
pub fn write<D: xml::Document + json::Document>(dialect: Dialect, document: &D) -> String {
    match dialect {
        Dialect::S3 => document.write_in(Style::S3),
        Dialect::Wos => document.write_in(Style::WOS),
        Dialect::Jss => json::Document::write(document),
    }
}
