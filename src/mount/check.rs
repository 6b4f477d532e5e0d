//! Whether the store can be used, asked once before anything is mounted, and what to tell the user if it cannot.

use crate::http;
use crate::store;
use crate::store::Kind;
use crate::store::ListObjects;
use crate::store::Store;
use std::error::Error as _;
use std::time::Duration;

/// How long the store has to answer. A person waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a store is, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bucket's name.
    pub bucket: String,
    /// The endpoint's URL.
    pub endpoint: String,
}

/// Asks for one key. A listing, not HEAD: its answer carries the reason in words, and every mount needs it anyway.
///
/// # Errors
/// One line: what failed, on what, why, what to do.
pub async fn usable(store: &dyn Store, prefix: &str, place: &Place) -> Result<(), String> {
    let request = ListObjects { prefix: prefix.to_owned(), limit: Some(1), ..ListObjects::default() };
    match tokio::time::timeout(PATIENCE, store.list_objects(&request)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(explain(&error, place)),
        Err(_) => Err(format!(
            "{} gave no answer within {} s; check --endpoint-url and the network",
            place.endpoint,
            PATIENCE.as_secs()
        )),
    }
}

/// One line for a store that cannot be used.
#[must_use]
pub fn explain(error: &store::Error, place: &Place) -> String {
    let Place { bucket, endpoint } = place;
    let why = &error.message;
    match error.kind {
        Kind::NoSuchBucket | Kind::NotFound => {
            format!("bucket {bucket:?} does not exist at {endpoint}; create it, or check its name and --endpoint-url")
        }
        Kind::BadCredentials => {
            format!(
                "{endpoint} refused the credentials: {why}; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --profile"
            )
        }
        Kind::ClockSkew => {
            format!("the clocks of this machine and of {endpoint} differ too much: {why}; set this machine's clock")
        }
        Kind::AccessDenied => {
            format!("{endpoint} denies listing bucket {bucket:?}: {why}; grant these credentials s3:ListBucket on it")
        }
        Kind::Network => format!("cannot reach {endpoint}: {why}; check --endpoint-url and the network"),
        Kind::Protocol if is_about_tls(error) => format!(
            "no trusted connection to {endpoint}: {why}; check --endpoint-url, --ca-bundle and --client-certificate"
        ),
        Kind::Protocol | Kind::NotImplemented => {
            format!("{endpoint} does not answer as an S3 endpoint does: {why}; check --endpoint-url")
        }
        Kind::Throttled(_) | Kind::Unavailable => format!("{endpoint} cannot answer at the moment: {why}; try again"),
        Kind::NoSuchUpload
        | Kind::PreconditionFailed
        | Kind::Conflict
        | Kind::InvalidRange
        | Kind::TooLarge
        | Kind::InvalidKey
        | Kind::MetadataTooLarge
        | Kind::InvalidPart
        | Kind::Corrupt
        | Kind::Archived
        | Kind::Invalid => format!("cannot list bucket {bucket:?} at {endpoint}: {error}; check --region and --prefix"),
    }
}

fn is_about_tls(error: &store::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<http::Error>());
    cause.is_some_and(|cause| cause.kind == http::ErrorKind::Tls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Error;
    use crate::store::Op;

    #[test]
    fn each_reason_says_what_to_do_in_one_line() {
        let place = Place { bucket: "b".into(), endpoint: "http://s3.example".into() };
        let rows: &[(Kind, &str)] = &[
            (Kind::NoSuchBucket, "bucket \"b\" does not exist at http://s3.example; create it"),
            (Kind::BadCredentials, "http://s3.example refused the credentials: WHY; check AWS_ACCESS_KEY_ID"),
            (Kind::ClockSkew, "the clocks of this machine and of http://s3.example differ too much: WHY; set"),
            (Kind::AccessDenied, "http://s3.example denies listing bucket \"b\": WHY; grant"),
            (Kind::Network, "cannot reach http://s3.example: WHY; check --endpoint-url"),
            (Kind::Protocol, "http://s3.example does not answer as an S3 endpoint does: WHY; check --endpoint-url"),
            (Kind::Unavailable, "http://s3.example cannot answer at the moment: WHY; try again"),
            (Kind::Invalid, "cannot list bucket \"b\" at http://s3.example: ListObjectsV2: WHY; check --region"),
        ];
        for (kind, want) in rows {
            let line = explain(&Error::new(Op::ListObjects, "", kind.clone(), "WHY"), &place);
            assert!(line.starts_with(want), "{kind:?}: {line}");
            assert!(!line.contains('\n'));
        }
        let cause = http::Error::new(http::ErrorKind::Tls, "WHY");
        let line = explain(&Error::new(Op::ListObjects, "", Kind::Protocol, "WHY").caused_by(cause), &place);
        assert!(line.starts_with("no trusted connection to http://s3.example: WHY; check --endpoint-url, --ca-bundle"));
    }
}
