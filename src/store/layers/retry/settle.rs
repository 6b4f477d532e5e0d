//! Whether the object that is there is the one whose answer was lost. Pure.
//!
//! Size and tag decide where the tag can be foretold. Stores that encrypt give tags that cannot: then the kind of
//! tag and the time of writing must do.

use crate::store::Headers;
use crate::store::Object;
use crate::store::Part;
use crate::store::Payload;
use crate::wire::etag::ETag;
use md5::Digest;
use md5::Md5;
use std::time::Duration;
use std::time::SystemTime;

/// Two clocks may be so far apart before stores refuse requests altogether.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(15 * 60);

/// For a put: the metadata too must be what was sent. With the times of a file in it, no other writer has the same;
/// without any, two lock files of two hosts look alike, and to believe the refusal is the safe mistake.
pub(super) fn is_what_was_put(found: &Object, payload: &Payload, headers: &Headers, begun: SystemTime) -> bool {
    let metadata = &headers.metadata;
    if found.size != payload.len() || metadata.is_empty() || found.headers.metadata != *metadata {
        return false;
    }
    if found.etag.md5().is_none() {
        return is_recent(found, begun);
    }
    let mut md5 = Md5::new();
    for piece in &payload.pieces {
        md5.update(piece);
    }
    found.etag == ETag::of_md5(md5.finalize().into())
}

/// For a copy onto itself, which is made to change the headers.
pub(super) fn is_what_was_copied(found: &Object, headers: &Headers, begun: SystemTime) -> bool {
    found.headers.metadata == headers.metadata && is_recent(found, begun)
}

/// For a complete whose upload is gone.
pub(super) fn is_what_was_completed(found: &Object, parts: &[Part], begun: SystemTime) -> bool {
    if found.size != parts.iter().map(|part| part.size).sum::<u64>() {
        return false;
    }
    let md5s: Option<Vec<[u8; 16]>> = parts.iter().map(|part| part.etag.md5()).collect();
    if md5s.is_some_and(|md5s| found.etag == ETag::of_parts(md5s)) {
        return true;
    }
    let count = found.etag.as_str().rsplit_once('-').and_then(|(_, count)| count.parse().ok());
    count == Some(parts.len()) && is_recent(found, begun)
}

fn is_recent(found: &Object, begun: SystemTime) -> bool {
    found.last_modified + CLOCKS_APART_MAX >= begun
}
