//! The parameters of a query: all of them known, each within its range.

use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::fields::is_hoisted;
use crate::server::fields::is_signature;
use crate::server::route::Asked;
use crate::server::route::PARTS_MAX;
use crate::server::route::not_implemented;
use crate::wire::uri::query_value;
use crate::wire::xml::Encoding;
use data_encoding::BASE64URL_NOPAD;

/// A query of which all names are known.
pub(super) struct Query<'a>(&'a [(String, String)]);

impl<'a> Query<'a> {
    pub(super) fn allow(asked: &Asked<'a>, names: &[&str]) -> Result<Self> {
        for (name, _) in asked.query {
            let lower = name.to_ascii_lowercase();
            let known = names.contains(&name.as_str()) || name == "x-id" || is_signature(&lower) || is_hoisted(&lower);
            if !known {
                return Err(not_implemented(&format!("{} with the parameter {name}", asked.method)));
            }
        }
        Ok(Self(asked.query))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        query_value(self.0, name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    pub(super) fn filled(&self, name: &str) -> Option<String> {
        self.get(name).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A number that is cut at `max`, which it also is when it is not given.
    pub(super) fn number(&self, name: &'static str, max: usize) -> Result<usize> {
        let Some(text) = self.filled(name) else { return Ok(max) };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fault::argument(name, &text, format!("{name} must be a number of 0 or more.")));
        }
        Ok(text.parse().unwrap_or(usize::MAX).min(max))
    }

    pub(super) fn encoding(&self) -> Result<Encoding> {
        match self.get("encoding-type") {
            None | Some("") => Ok(Encoding::Plain),
            Some(text) if text.eq_ignore_ascii_case("url") => Ok(Encoding::Url),
            Some(other) => Err(Fault::argument("encoding-type", other, "The only encoding type is url.")),
        }
    }

    pub(super) fn token(&self) -> Result<Option<(String, String)>> {
        let Some(token) = self.get("continuation-token") else { return Ok(None) };
        let name = BASE64URL_NOPAD.decode(token.as_bytes()).ok().and_then(|name| String::from_utf8(name).ok());
        match name.filter(|name| !name.is_empty()) {
            Some(name) => Ok(Some((token.to_owned(), name))),
            None => Err(Fault::argument("continuation-token", token, "This is no token that was given out.")),
        }
    }

    pub(super) fn part_number(&self) -> Result<u32> {
        let text = self.get("partNumber").unwrap_or_default();
        let number = text.parse::<u32>().ok().filter(|n| (1..=PARTS_MAX).contains(n) && !text.starts_with('+'));
        number.ok_or_else(|| {
            Fault::argument("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive.")
        })
    }

    pub(super) fn upload_id(&self) -> Result<String> {
        self.filled("uploadId").ok_or_else(|| Fault::argument("uploadId", "", "An upload id is needed."))
    }
}

/// The token that leads to the names after `name`.
#[must_use]
pub fn continuation_token(name: &str) -> String {
    BASE64URL_NOPAD.encode(name.as_bytes())
}
