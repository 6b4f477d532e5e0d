//! What the owner of a key pair may do: change things or not, in all buckets or in some. Pure.

use crate::server::route::Operation;

/// Whether anything may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    Full,
    /// Nothing that changes anything.
    ReadOnly,
}

/// What a pair may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Whether anything may be changed.
    pub access: Access,
    /// Where; everywhere if `None`. A pattern is a name, or the beginning of names with `*` behind it.
    pub buckets: Option<Vec<String>>,
}

impl Permissions {
    /// Everything, everywhere.
    pub const ALL: Self = Self { access: Access::Full, buckets: None };
    /// Nothing but reading, everywhere.
    pub const READ_ONLY: Self = Self { access: Access::ReadOnly, buckets: None };

    /// Whether the bucket is one of those. Others are not even shown.
    #[must_use]
    pub fn reaches(&self, bucket: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => bucket.starts_with(beginning),
            None => pattern == bucket,
        };
        self.buckets.as_ref().is_none_or(|patterns| patterns.iter().any(fits))
    }

    /// Why an operation is not allowed, if it is not. Sources of copies are another matter: headers name them.
    #[must_use]
    pub fn refuse(&self, operation: &Operation) -> Option<&'static str> {
        if self.access == Access::ReadOnly && operation.writes() {
            return Some("This access key may only read.");
        }
        let elsewhere = operation.bucket().is_some_and(|bucket| !self.reaches(bucket));
        elsewhere.then_some("This access key may not use this bucket.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_names_or_beginnings() {
        let only = |patterns: &[&str]| Permissions {
            buckets: Some(patterns.iter().map(|&pattern| pattern.to_owned()).collect()),
            ..Permissions::ALL
        };
        let rows: &[(&[&str], &str, bool)] = &[
            (&["photos"], "photos", true),
            (&["photos"], "photos2", false),
            (&["photos"], "photo", false),
            (&["photos*"], "photos2", true),
            (&["logs-*", "photos"], "logs-2026", true),
            (&["logs-*"], "logs", false),
            (&["*"], "anything", true),
            (&[], "anything", false),
        ];
        for (patterns, bucket, want) in rows {
            assert_eq!(only(patterns).reaches(bucket), *want, "{patterns:?} {bucket}");
        }
        assert!(Permissions::ALL.reaches("anything") && Permissions::READ_ONLY.reaches("anything"));
    }
}
