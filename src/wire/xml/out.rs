//! Writes documents. Text that XML cannot carry is replaced, so that what comes out is always well formed.

use crate::wire::xml::Style;
use std::fmt::Display;
use std::fmt::Write;

/// A document being written.
pub(super) struct Out {
    text: String,
    root: &'static str,
}

impl Out {
    /// Begins a document in the namespace of its dialect.
    pub fn new(style: Style, root: &'static str) -> Self {
        let text = format!("{}<{root} xmlns=\"{}\">", style.declaration, style.namespace);
        Self { text, root }
    }

    /// Begins a document without a namespace, as errors are.
    pub fn plain(style: Style, root: &'static str) -> Self {
        Self { text: format!("{}<{root}>", style.declaration), root }
    }

    /// The document.
    pub fn finish(mut self) -> String {
        self.close(self.root);
        self.text
    }

    /// Begins an element.
    pub fn open(&mut self, name: &str) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
    }

    /// Ends an element.
    pub fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    /// Text of the element that is open.
    pub fn text(&mut self, text: &str) {
        for character in text.chars() {
            self.push(character);
        }
    }

    /// An element that holds text.
    pub fn leaf(&mut self, name: &str, text: &str) {
        self.open(name);
        self.text(text);
        self.close(name);
    }

    /// An element that holds text, if there is one.
    pub fn leaf_if(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.leaf(name, text);
        }
    }

    /// An element that holds a number, a truth value or another plain word.
    pub fn value(&mut self, name: &str, value: impl Display) {
        self.open(name);
        write!(self.text, "{value}").expect("a string takes all text");
        self.close(name);
    }

    fn push(&mut self, character: char) {
        match character {
            '<' => self.text.push_str("&lt;"),
            '>' => self.text.push_str("&gt;"),
            '&' => self.text.push_str("&amp;"),
            '"' => self.text.push_str("&quot;"),
            // A bare one would be read as a line feed.
            '\r' => self.text.push_str("&#13;"),
            other if is_xml(other) => self.text.push(other),
            _ => self.text.push(char::REPLACEMENT_CHARACTER),
        }
    }
}

/// Whether XML 1.0 has the character at all (section 2.2).
fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// Whether a text arrives unchanged in a document. A key that does not must go another way than in a body.
#[must_use]
pub fn can_carry(text: &str) -> bool {
    text.chars().all(is_xml)
}

/// Whether a text may be the name of an element: a safe subset of what XML allows.
pub(super) fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
