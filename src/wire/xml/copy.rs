//! Answers of copies.

use crate::wire::date;
use crate::wire::etag::ETag;
use crate::wire::xml::Checksums;
use crate::wire::xml::Document;
use crate::wire::xml::Error;
use crate::wire::xml::Result;
use crate::wire::xml::Style;
use crate::wire::xml::out::Out;
use crate::wire::xml::read_checksums;
use crate::wire::xml::tree::Element;
use crate::wire::xml::write_checksums;
use std::time::SystemTime;

/// Declares a copy result: both documents have the same content under another root.
macro_rules! copy_result {
    ($name:ident, $what:literal) => {
        #[doc = concat!("`", stringify!($name), "`: what copying ", $what, " answers.")]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            /// Its tag.
            pub etag: ETag,
            /// When it was written; some stores leave it out.
            pub last_modified: Option<SystemTime>,
            /// Its checksums, if it has some.
            pub checksums: Checksums,
        }

        impl Document for $name {
            const ROOT: &'static str = stringify!($name);

            fn parse(document: &[u8]) -> Result<Self> {
                let root = Element::parse(document, Self::ROOT)?;
                let last_modified = match root.filled("LastModified") {
                    Some(text) => Some(date::parse(&text).ok_or(Error::Invalid("LastModified"))?),
                    None => None,
                };
                let etag = ETag::new(&root.filled("ETag").ok_or(Error::Missing("ETag"))?);
                Ok(Self { etag, last_modified, checksums: read_checksums(&root) })
            }

            fn write_in(&self, style: Style) -> String {
                let mut out = Out::new(style, Self::ROOT);
                out.leaf_if("LastModified", self.last_modified.map(date::iso8601).as_deref());
                out.leaf("ETag", &self.etag.quoted());
                write_checksums(&self.checksums, &mut out);
                out.finish()
            }
        }
    };
}

copy_result!(CopyObjectResult, "an object");
copy_result!(CopyPartResult, "a part");
