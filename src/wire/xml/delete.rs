//! Deleting many objects with one request.

use crate::wire::xml::Document;
use crate::wire::xml::Error;
use crate::wire::xml::Result;
use crate::wire::xml::Style;
use crate::wire::xml::out::Out;
use crate::wire::xml::tree::Element;

/// `Delete`: which keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delete {
    /// Only failures are reported.
    pub quiet: bool,
    /// The keys. Versions are not part of this: whoever reads a request must look at [`Self::names_versions`].
    pub keys: Vec<String>,
    /// An object was named with a version, an ETag or another condition; deleting it regardless would be wrong.
    pub names_versions: bool,
}

impl Document for Delete {
    const ROOT: &'static str = "Delete";

    fn parse(document: &[u8]) -> Result<Self> {
        let root = Element::parse(document, Self::ROOT)?;
        let mut request = Self { quiet: root.flag("Quiet")?, ..Self::default() };
        for object in root.all("Object") {
            request.keys.push(object.required("Key")?.to_owned());
            request.names_versions |= object.children.iter().any(|child| child.name != "Key" && !child.text.is_empty());
        }
        Ok(request)
    }

    fn write_in(&self, style: Style) -> String {
        let mut out = Out::new(style, Self::ROOT);
        out.value("Quiet", self.quiet);
        for key in &self.keys {
            out.open("Object");
            out.leaf("Key", key);
            out.close("Object");
        }
        out.finish()
    }
}

/// `DeleteResult`: what became of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteResult {
    /// Keys that are gone.
    pub deleted: Vec<String>,
    /// Keys that are not.
    pub errors: Vec<DeleteError>,
}

/// Why one key could not be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteError {
    /// The key.
    pub key: String,
    /// The code.
    pub code: String,
    /// A sentence.
    pub message: String,
}

impl Document for DeleteResult {
    const ROOT: &'static str = "DeleteResult";

    fn parse(document: &[u8]) -> Result<Self> {
        let root = Element::parse(document, Self::ROOT)?;
        let deleted = root.all("Deleted").map(|element| Ok(element.required("Key")?.to_owned()));
        let error = |element: &Element<'_>| {
            let text = |name| element.text(name).unwrap_or_default().to_owned();
            let code = element.filled("Code").ok_or(Error::Missing("Code"))?;
            Ok(DeleteError { key: element.required("Key")?.to_owned(), code, message: text("Message") })
        };
        Ok(Self {
            deleted: deleted.collect::<Result<_>>()?,
            errors: root.all("Error").map(error).collect::<Result<_>>()?,
        })
    }

    fn write_in(&self, style: Style) -> String {
        let mut out = Out::new(style, Self::ROOT);
        for key in &self.deleted {
            out.open("Deleted");
            out.leaf("Key", key);
            out.close("Deleted");
        }
        for error in &self.errors {
            out.open("Error");
            out.leaf("Key", &error.key);
            out.leaf("Code", &error.code);
            out.leaf("Message", &error.message);
            out.close("Error");
        }
        out.finish()
    }
}
