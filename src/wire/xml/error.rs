//! The body of a failed answer.

use crate::wire::xml::Document;
use crate::wire::xml::Result;
use crate::wire::xml::Style;
use crate::wire::xml::out::Out;
use crate::wire::xml::out::is_name;
use crate::wire::xml::tree::Element;

/// `Error`: which code, and what for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorDocument {
    /// The code; see [`crate::wire::error_code::ErrorCode`].
    pub code: String,
    /// A sentence.
    pub message: String,
    /// The path it is about.
    pub resource: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// An opaque text for the store's operators.
    pub host_id: Option<String>,
    /// The bucket's region, when the request was sent to another.
    pub region: Option<String>,
    /// Whatever else there is: `(element, text)`.
    pub details: Vec<(String, String)>,
}

impl Document for ErrorDocument {
    /// The root element, by which an error inside of a 200 is known.
    const ROOT: &'static str = "Error";

    fn parse(document: &[u8]) -> Result<Self> {
        let root = Element::parse(document, Self::ROOT)?;
        let mut error = Self { code: root.required("Code")?.trim().to_owned(), ..Self::default() };
        for child in root.children {
            match &*child.name {
                "Code" => {}
                "Message" => error.message = child.text.into_owned(),
                "Resource" => error.resource = Some(child.text.into_owned()),
                "RequestId" => error.request_id = Some(child.text.into_owned()),
                "HostId" => error.host_id = Some(child.text.into_owned()),
                "Region" => error.region = Some(child.text.into_owned()),
                // What is no name could not be written again.
                name if is_name(name) => error.details.push((child.name.into_owned(), child.text.into_owned())),
                _ => {}
            }
        }
        Ok(error)
    }

    fn write_in(&self, style: Style) -> String {
        let mut out = Out::plain(style, Self::ROOT);
        out.leaf("Code", &self.code);
        out.leaf("Message", &self.message);
        out.leaf_if("Resource", self.resource.as_deref());
        out.leaf_if("Region", self.region.as_deref());
        for (name, text) in &self.details {
            assert!(is_name(name), "{name:?} cannot name an element");
            out.leaf(name, text);
        }
        out.leaf_if("RequestId", self.request_id.as_deref());
        out.leaf_if("HostId", self.host_id.as_deref());
        out.finish()
    }
}
