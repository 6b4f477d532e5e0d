//! Conditions of requests: `If-Match` and its relatives, for reading, for writing, and for the source of a copy.

use crate::wire::etag::ETag;
use crate::wire::etag::ETagList;
use std::time::Duration;
use std::time::SystemTime;

/// What a read, or a copy of its source, asks of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadCondition {
    /// `If-Match`.
    pub if_match: Option<ETagList>,
    /// `If-None-Match`.
    pub if_none_match: Option<ETagList>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<SystemTime>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<SystemTime>,
}

/// Whether a read goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Go,
    /// The reader has this version already: 304; a copy fails.
    NotModified,
    /// The object is not what the reader wants: 412. The header that says so.
    Failed(&'static str),
}

impl ReadCondition {
    /// Decides. A tag that matches settles it: the dates beside it are then not looked at (RFC 9110, 13.2.2, as S3 does).
    #[must_use]
    pub fn check(&self, etag: &ETag, modified: SystemTime) -> Verdict {
        let modified = whole_seconds(modified);
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) if !tags.matches(Some(etag)) => return Verdict::Failed("If-Match"),
            (None, Some(since)) if modified > since => return Verdict::Failed("If-Unmodified-Since"),
            (Some(_), _) | (None, _) => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) if tags.matches(Some(etag)) => Verdict::NotModified,
            (None, Some(since)) if modified <= since => Verdict::NotModified,
            (Some(_), _) | (None, _) => Verdict::Go,
        }
    }
}

/// Dates on the wire have no fractions; comparing with them would make every object newer than its own date.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// What a write asks of the object that it would replace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteCondition {
    /// `If-Match`.
    pub if_match: Option<ETagList>,
    /// `If-None-Match`.
    pub if_none_match: Option<ETagList>,
}

/// Whether a write goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// It does.
    Go,
    /// `If-Match` was given and there is no object: 404.
    NoObject,
    /// Another object is there, or one at all: 412. The header that says so.
    Failed(&'static str),
}

impl WriteCondition {
    /// Decides.
    #[must_use]
    pub fn check(&self, current: Option<&ETag>) -> Permission {
        match (&self.if_match, current) {
            (Some(_), None) => return Permission::NoObject,
            (Some(tags), Some(_)) if !tags.matches(current) => return Permission::Failed("If-Match"),
            (Some(_) | None, _) => {}
        }
        match &self.if_none_match {
            Some(tags) if tags.matches(current) => Permission::Failed("If-None-Match"),
            Some(_) | None => Permission::Go,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn reads_follow_the_precedence_of_s3() {
        let tag = ETag::new("a");
        // The object was written at 100.5 seconds.
        let modified = at(100) + Duration::from_millis(500);
        type Row = (Option<&'static str>, Option<&'static str>, Option<u64>, Option<u64>, Verdict, &'static str);
        let rows: &[Row] = &[
            // match    none-match  mod   unmod
            (None, None, None, None, Verdict::Go, "no condition"),
            (Some("a"), None, None, None, Verdict::Go, "the tag fits"),
            (Some("b"), None, None, None, Verdict::Failed("If-Match"), "another tag"),
            (Some("*"), None, None, None, Verdict::Go, "any tag"),
            (None, Some("a"), None, None, Verdict::NotModified, "known already"),
            (None, Some("b"), None, None, Verdict::Go, "changed"),
            (None, Some("*"), None, None, Verdict::NotModified, "any version is known"),
            (None, None, Some(99), None, Verdict::Go, "modified since"),
            (None, None, Some(100), None, Verdict::NotModified, "its own date"),
            (None, None, None, Some(99), Verdict::Failed("If-Unmodified-Since"), "modified since"),
            (None, None, None, Some(100), Verdict::Go, "its own date"),
            (Some("a"), None, None, Some(50), Verdict::Go, "a matching tag outweighs the date"),
            (None, Some("a"), Some(50), None, Verdict::NotModified, "a known tag outweighs the date"),
            (None, Some("b"), Some(200), None, Verdict::Go, "a changed tag outweighs the date"),
            (Some("b"), Some("a"), None, None, Verdict::Failed("If-Match"), "refusal comes first"),
        ];
        for (if_match, none, since, unmodified, want, why) in rows {
            let condition = ReadCondition {
                if_match: if_match.map(ETagList::parse),
                if_none_match: none.map(ETagList::parse),
                if_modified_since: since.map(at),
                if_unmodified_since: unmodified.map(at),
            };
            assert_eq!(condition.check(&tag, modified), *want, "{why}");
        }
    }

    #[test]
    fn writes_are_held_to_what_is_there() {
        type Row = (Option<&'static str>, Option<&'static str>, Option<&'static str>, Permission, &'static str);
        let rows: &[Row] = &[
            (None, None, None, Permission::Go, "no condition"),
            (None, None, Some("a"), Permission::Go, "no condition"),
            (None, Some("*"), None, Permission::Go, "absent as wanted"),
            (None, Some("*"), Some("a"), Permission::Failed("If-None-Match"), "there is one"),
            (Some("a"), None, Some("a"), Permission::Go, "the version known"),
            (Some("a"), None, Some("b"), Permission::Failed("If-Match"), "a lost update"),
            (Some("a"), None, None, Permission::NoObject, "deleted meanwhile"),
            (Some("*"), None, None, Permission::NoObject, "none to replace"),
        ];
        for (if_match, none, current, want, why) in rows {
            let condition =
                WriteCondition { if_match: if_match.map(ETagList::parse), if_none_match: none.map(ETagList::parse) };
            assert_eq!(condition.check(current.map(ETag::new).as_ref()), *want, "{why}");
        }
    }
}
