//! Entity tags, which stores write with and without quotes.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// An entity tag without quotes, weak marker or case, so that two spellings of one tag are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ETag(String);

impl ETag {
    /// Takes a tag as any store spells it: `"abc"`, `abc`, `W/"abc"`, `&quot;abc&quot;`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let bare = text.trim();
        let bare = bare.strip_prefix("W/").unwrap_or(bare);
        let bare = bare.strip_prefix("&quot;").and_then(|t| t.strip_suffix("&quot;")).unwrap_or(bare);
        Self(bare.trim_matches('"').to_ascii_lowercase())
    }

    /// The tag without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag as it stands in a header: in double quotes (RFC 9110, 8.8.3).
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_tag_are_equal() {
        for text in ["abc-2", "\"abc-2\"", "W/\"ABC-2\"", "&quot;abc-2&quot;", " \"abc-2\" "] {
            assert_eq!(ETag::new(text).quoted(), "\"abc-2\"", "{text}");
        }
    }
}
