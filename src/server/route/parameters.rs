//! The parameters of a query: all of them known, each within its range.

use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::fields::Hoisting;
use crate::server::fields::is_hoisted;
use crate::server::fields::is_old_signature;
use crate::server::fields::is_signature;
use crate::server::route::Asked;
use crate::server::route::PARTS_MAX;
use crate::server::route::not_implemented;
use crate::wire::dialect::Dialect;
use crate::wire::error_code::ErrorCode;
use crate::wire::uri::query_value;
use crate::wire::xml::Encoding;
use data_encoding::BASE64URL_NOPAD;

/// A query of which all names are known.
pub(super) struct Query<'a> {
    pairs: &'a [(String, String)],
    dialect: Dialect,
}

impl<'a> Query<'a> {
    pub(super) fn allow(asked: &Asked<'a>, names: &[&str]) -> Result<Self> {
        let dialect = asked.fields.dialect();
        let of_signature = |name: &str| match asked.hoisting {
            Hoisting::Own => is_signature(name, dialect) || is_hoisted(&name.to_ascii_lowercase(), dialect),
            Hoisting::None => is_old_signature(name),
        };
        for (name, _) in asked.query {
            if !names.contains(&name.as_str()) && name != "x-id" && !of_signature(name) {
                return Err(not_implemented(&format!("{} with the parameter {name}", asked.method)));
            }
        }
        Ok(Self { pairs: asked.query, dialect })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        query_value(self.pairs, name)
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

    /// A size of pages where what lies outside of the range means the maximum (JSS, WOS). JSS has pages of none.
    pub(super) fn page(&self, name: &'static str, max: usize) -> Result<usize> {
        if self.dialect == Dialect::S3 {
            return self.number(name, max);
        }
        let least = if self.dialect == Dialect::Jss { 0 } else { 1 };
        let Some(text) = self.filled(name) else { return Ok(max) };
        let digits = text.strip_prefix('-').unwrap_or(&text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fault::argument(name, &text, format!("{name} must be a number.")));
        }
        Ok(text.parse().ok().filter(|number| (least..=max).contains(number)).unwrap_or(max))
    }

    /// A number of milliseconds since 1970.
    pub(super) fn millis(&self, name: &'static str) -> Result<Option<u64>> {
        let Some(text) = self.filled(name) else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { text.parse().ok() } else { None };
        let refused = || Fault::argument(name, &text, format!("{name} must be a time in milliseconds."));
        number.ok_or_else(refused).map(Some)
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
        let number = text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
        let legal = number.and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=PARTS_MAX).contains(n));
        legal.ok_or_else(|| match self.dialect {
            Dialect::Jss if number.is_some_and(|n| n > u64::from(PARTS_MAX)) => ErrorCode::TooManyParts.into(),
            Dialect::Wos => Fault::argument("partNumber", text, "Part number must be an integer between 1 and 10000"),
            Dialect::S3 | Dialect::Jss => {
                Fault::argument("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive.")
            }
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
