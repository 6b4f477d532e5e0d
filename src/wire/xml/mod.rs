//! The XML bodies of S3, one file per family: each document can be read and written.
//!
//! Reading goes by local names and ignores namespaces, order and unknown elements, since stores differ in all of
//! these; it is bounded in depth and size and never panics. Writing gives what Amazon's reference shows.

mod bucket;
mod copy;
mod delete;
mod error;
mod list;
mod multipart;
mod out;
mod tree;
mod uploads;

pub use crate::wire::document::Error;
pub use bucket::Bucket;
pub use bucket::CreateBucketConfiguration;
pub use bucket::ListBuckets;
pub use bucket::LocationConstraint;
pub use copy::CopyObjectResult;
pub use copy::CopyPartResult;
pub use delete::Delete;
pub use delete::DeleteError;
pub use delete::DeleteResult;
pub use error::ErrorDocument;
pub use list::Content;
pub use list::Encoding;
pub use list::ListObjects;
pub use list::Paging;
pub use multipart::CompletePart;
pub use multipart::CompleteRequest;
pub use multipart::CompleteResult;
pub use multipart::InitiateResult;
pub use multipart::ListParts;
pub use multipart::StoredPart;
pub use out::can_carry;
pub use uploads::ListUploads;
pub use uploads::Upload;

use std::collections::BTreeMap;

/// Checksums as documents carry them: algorithm (`CRC64NVME`) to base64, from elements named `ChecksumCRC64NVME`.
pub type Checksums = BTreeMap<String, String>;

/// Who owns a bucket, an object or an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// An opaque id.
    pub id: String,
    /// A name for people.
    pub display_name: String,
}

/// What reading a document answers.
pub type Result<T> = std::result::Result<T, Error>;

/// How a dialect of XML writes the head of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// What stands before the root element.
    declaration: &'static str,
    /// The namespace of the root element.
    namespace: &'static str,
    /// Whether the tag that complete answers stands in quotes.
    quotes_completed: bool,
}

impl Style {
    /// Amazon's.
    pub const S3: Self = Self {
        declaration: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
        namespace: "http://s3.amazonaws.com/doc/2006-03-01/",
        quotes_completed: true,
    };
    /// Wangsu's (page "InitiateMultipartUpload", 2022; the namespace of 2019 was another one).
    pub const WOS: Self = Self {
        declaration: "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n",
        namespace: "https://www.wangsu.com/document",
        quotes_completed: false,
    };
}

/// A body that can be written and read.
pub trait Document: Sized {
    /// The name of its root element.
    const ROOT: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// When the bytes are another document or none, or an element that must be there is not.
    fn parse(document: &[u8]) -> Result<Self>;

    /// Writes it in a dialect's style.
    fn write_in(&self, style: Style) -> String;

    /// Writes it as Amazon does.
    fn write(&self) -> String {
        self.write_in(Style::S3)
    }
}

/// The local name of a document's root element, to tell documents apart that come under one status.
///
/// # Errors
/// When there is no well-formed start of a document.
pub fn root_name(document: &[u8]) -> Result<String> {
    tree::root_name(document)
}

impl Owner {
    fn read(element: &tree::Element<'_>) -> Self {
        let text = |name| element.text(name).unwrap_or_default().to_owned();
        Self { id: text("ID"), display_name: text("DisplayName") }
    }

    fn write(&self, name: &str, out: &mut out::Out) {
        out.open(name);
        out.leaf("ID", &self.id);
        out.leaf("DisplayName", &self.display_name);
        out.close(name);
    }
}

fn read_checksums(element: &tree::Element<'_>) -> Checksums {
    let named = |child: &tree::Element<'_>| {
        let algorithm =
            child.name.strip_prefix("Checksum").filter(|rest| !matches!(*rest, "" | "Type" | "Algorithm"))?;
        // What is no name could not be written again.
        if !out::is_name(&child.name) {
            return None;
        }
        Some((algorithm.to_owned(), child.text.to_string()))
    };
    element.children.iter().filter_map(named).collect()
}

fn write_checksums(checksums: &Checksums, out: &mut out::Out) {
    for (algorithm, value) in checksums {
        out.leaf(&format!("Checksum{algorithm}"), value);
    }
}

#[cfg(test)]
mod tests;
