//! A document as a small tree of elements, bounded in depth and number. Attributes and namespaces are dropped.
//!
//! Names and texts are pieces of the document, wherever nothing in them is escaped: a page of a listing has ten
//! thousand of each.

use crate::wire::xml::Error;
use crate::wire::xml::Result;
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::BytesRef;
use quick_xml::events::BytesStart;
use quick_xml::events::Event;
use std::borrow::Cow;

/// S3's documents are five deep at most.
const DEPTH_MAX: usize = 16;
/// Ten thousand parts of a complete request, with every element that a part can have, are fewer.
const ELEMENTS_MAX: usize = 200_000;

/// An element: its local name, its own text, its children in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element<'d> {
    pub name: Cow<'d, str>,
    pub text: Cow<'d, str>,
    pub children: Vec<Self>,
}

impl<'d> Element<'d> {
    /// Reads a document whose root has the local name `expected`.
    pub fn parse(document: &'d [u8], expected: &'static str) -> Result<Self> {
        let root = parse(document)?;
        if root.name == expected {
            Ok(root)
        } else {
            Err(Error::Unexpected { expected, found: root.name.into_owned() })
        }
    }

    fn new(name: Cow<'d, str>) -> Self {
        Self { name, ..Self::default() }
    }

    /// The first child of a name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child of a name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| &*child.text)
    }

    /// The text of a child, if it is there and not empty.
    pub fn filled(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The text of a child that must be there.
    pub fn required(&self, name: &'static str) -> Result<&str> {
        self.text(name).ok_or(Error::Missing(name))
    }

    /// A number that must be there.
    pub fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<T> {
        self.required(name)?.trim().parse().map_err(|_| Error::Invalid(name))
    }

    /// A number that may be absent.
    pub fn number_or<T: std::str::FromStr>(&self, name: &'static str, absent: T) -> Result<T> {
        match self.filled(name) {
            Some(text) => text.trim().parse().map_err(|_| Error::Invalid(name)),
            None => Ok(absent),
        }
    }

    /// A truth value; absent is false.
    pub fn flag(&self, name: &'static str) -> Result<bool> {
        match self.text(name).map(str::trim) {
            Some("true" | "True" | "TRUE" | "1") => Ok(true),
            Some("false" | "False" | "FALSE" | "0" | "") | None => Ok(false),
            Some(_) => Err(Error::Invalid(name)),
        }
    }
}

/// The root's name, without reading what it holds.
pub(super) fn root_name(document: &[u8]) -> Result<String> {
    let mut reader = Reader::from_str(as_text(document)?);
    loop {
        match reader.read_event().map_err(malformed)? {
            Event::Start(start) | Event::Empty(start) => return Ok(start.local_name().as_ref().to_owned()),
            Event::Eof => return Err(Error::Malformed("there is no element".into())),
            Event::Text(_)
            | Event::Decl(_)
            | Event::Comment(_)
            | Event::PI(_)
            | Event::CData(_)
            | Event::GeneralRef(_)
            | Event::End(_)
            | Event::DocType(_) => {}
        }
    }
}

/// Reads a whole document.
fn parse(document: &[u8]) -> Result<Element<'_>> {
    let document = as_text(document)?;
    let mut reader = Reader::from_str(document);
    let mut open: Vec<Element<'_>> = Vec::new();
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(malformed)?;
        let closed = match event {
            Event::Start(start) | Event::Empty(start) if elements == ELEMENTS_MAX || open.len() == DEPTH_MAX => {
                drop(start);
                return Err(Error::TooLarge);
            }
            Event::Start(start) => {
                elements += 1;
                open.push(Element::new(name(document, reader.buffer_position(), ">", &start)));
                None
            }
            Event::Empty(start) => {
                elements += 1;
                Some(Element::new(name(document, reader.buffer_position(), "/>", &start)))
            }
            Event::End(_) => open.pop(),
            Event::Text(text) => {
                push_text(&mut open, text.xml10_content())?;
                None
            }
            Event::CData(text) => {
                push_text(&mut open, text.xml10_content())?;
                None
            }
            Event::GeneralRef(reference) => {
                push_text(&mut open, resolve(&reference)?.to_string().into())?;
                None
            }
            // Entities of a document type could grow without bound, and no store sends one.
            Event::DocType(_) => return Err(Error::Malformed("a document type is not allowed".into())),
            Event::Eof => return Err(Error::Malformed("the document ends early".into())),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => None,
        };
        if let Some(element) = closed {
            match open.last_mut() {
                Some(parent) => parent.children.push(element),
                None => return Ok(element),
            }
        }
    }
}

/// The local name of an element whose tag ends at `end` with `close`, as a piece of the document. The reader has it too,
/// but lends it no longer than its event.
fn name<'d>(document: &'d str, end: u64, close: &str, start: &BytesStart<'_>) -> Cow<'d, str> {
    let local = start.local_name();
    let local = local.as_ref();
    let whole = start.name();
    let find = || {
        let end = usize::try_from(end).ok()?.checked_sub(close.len() + start.len())? + whole.as_ref().len();
        document.get(end.checked_sub(local.len())?..end).filter(|found| *found == local)
    };
    find().map_or_else(|| Cow::Owned(local.to_owned()), Cow::Borrowed)
}

fn push_text<'d>(open: &mut [Element<'d>], text: Cow<'d, str>) -> Result<()> {
    match open.last_mut() {
        Some(element) if element.text.is_empty() => element.text = text,
        Some(element) => element.text.to_mut().push_str(&text),
        // Long work is answered with spaces before the document, to keep the connection alive.
        None if text.trim_start_matches('\u{feff}').trim().is_empty() => {}
        None => return Err(Error::Malformed("text stands outside of the document".into())),
    }
    Ok(())
}

fn resolve(reference: &BytesRef<'_>) -> Result<char> {
    if let Some(character) = reference.resolve_char_ref().map_err(malformed)? {
        return Ok(character);
    }
    let name: &str = reference;
    resolve_xml_entity(name)
        .and_then(|text| text.chars().next())
        .ok_or_else(|| Error::Malformed(format!("the entity {name:?} is not known")))
}

fn as_text(document: &[u8]) -> Result<&str> {
    std::str::from_utf8(document).map_err(|_| Error::Malformed("the document is not UTF-8".into()))
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
fn malformed(error: quick_xml::Error) -> Error {
    Error::Malformed(error.to_string())
}
