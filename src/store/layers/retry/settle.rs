//! Whether the object that is there is the one whose answer was lost. Pure.
//!
//! Size and tag decide where the tag can be foretold. Stores that encrypt give tags that cannot: then the kind of
//! tag and the time of writing must do.

use crate::store::Dialect;
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
pub(super) fn is_what_was_completed(found: &Object, parts: &[Part], begun: SystemTime, dialect: Dialect) -> bool {
    if found.size != parts.iter().map(|part| part.size).sum::<u64>() {
        return false;
    }
    let md5s: Option<Vec<[u8; 16]>> = parts.iter().map(|part| part.etag.md5()).collect();
    let is_foretold = md5s.is_some();
    if md5s.is_some_and(|md5s| found.etag == dialect.etag_of_parts(md5s)) {
        return true;
    }
    match dialect {
        Dialect::S3 => {
            let count = found.etag.as_str().rsplit_once('-').and_then(|(_, count)| count.parse().ok());
            count == Some(parts.len()) && is_recent(found, begun)
        }
        // Nothing in a tag of JSS tells that it is of parts.
        Dialect::Jss => !is_foretold && is_recent(found, begun),
        // CDNetworks' page on compatibility says that the tag of parts is made in another way, and not in which.
        Dialect::Wos => is_recent(found, begun),
    }
}

/// For a move whose source is gone. A move may give another tag, or another time: one that writes a new object gives a
/// recent one, one that renames keeps tag and time.
pub(super) fn is_what_was_moved(found: &Object, before: &Object, begun: SystemTime) -> bool {
    let is_renamed = found.etag == before.etag && found.last_modified == before.last_modified;
    found.size == before.size && (is_renamed || is_recent(found, begun))
}

fn is_recent(found: &Object, begun: SystemTime) -> bool {
    found.last_modified + CLOCKS_APART_MAX >= begun
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PartNumber;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn object(size: u64, etag: &str, seconds: u64) -> Object {
        Object { size, etag: ETag::new(etag), last_modified: at(seconds), headers: Headers::default() }
    }

    #[test]
    fn a_completed_object_is_known_as_its_dialect_tags_it() {
        const ONE: &str = "79b281060d337b9b2b84ccf390adcf74";
        const TWO: &str = "bbe6402cdc9b7e2036fc97e9a91726cd";
        const S3: &str = "16329fb6004d64a4fbc5bbb983fa0528-2";
        const JSS: &str = "cfd2c35e44ba27d3c437a2866b025b6a";
        let part = |number, etag: &str| Part {
            number: PartNumber(number),
            etag: ETag::new(etag),
            size: 5,
            crc64nvme: None,
            crc32c: None,
        };
        let plain = [part(1, ONE), part(2, TWO)];
        let opaque = [part(1, "opaque-a"), part(2, "opaque-b")];
        let (old, new) = (1, 1_000_000);
        let rows: &[(Dialect, &[Part], Object, bool, &str)] = &[
            (Dialect::S3, &plain, object(10, S3, old), true, "its tag"),
            (Dialect::S3, &plain, object(11, S3, new), false, "another size"),
            (Dialect::S3, &plain, object(10, JSS, new), false, "another dialect's tag is another object's"),
            (Dialect::S3, &opaque, object(10, "00-2", new), true, "encrypted, as many parts, new"),
            (Dialect::S3, &opaque, object(10, "00-2", old), false, "encrypted, but old"),
            (Dialect::S3, &opaque, object(10, "00-3", new), false, "encrypted, more parts"),
            (Dialect::Jss, &plain, object(10, JSS, old), true, "its tag"),
            (Dialect::Jss, &plain, object(10, ONE, new), false, "another tag, which could be foretold"),
            (Dialect::Jss, &opaque, object(10, ONE, new), true, "a tag that could not"),
            (Dialect::Jss, &opaque, object(10, ONE, old), false, "but old"),
            (Dialect::Wos, &plain, object(10, S3, old), true, "the documented tag"),
            (Dialect::Wos, &plain, object(10, "whatever", new), true, "size and time"),
            (Dialect::Wos, &plain, object(10, "whatever", old), false, "too old"),
            (Dialect::Wos, &plain, object(9, "whatever", new), false, "another size"),
        ];
        for (dialect, parts, found, want, why) in rows {
            assert_eq!(is_what_was_completed(found, parts, at(new), *dialect), *want, "{dialect}: {why}");
        }
    }

    #[test]
    fn a_moved_object_is_renamed_or_written_anew() {
        let before = object(10, "a", 1);
        for (found, want, why) in [
            (object(10, "a", 1), true, "the same under another name"),
            (object(10, "b", 1_000_000), true, "written anew"),
            (object(9, "a", 1), false, "another size"),
            (object(10, "b", 1), false, "something old that was there before"),
            (object(10, "a", 2), false, "the same bytes, but from another time, long ago"),
        ] {
            assert_eq!(is_what_was_moved(&found, &before, at(1_000_000)), want, "{why}");
        }
    }
}
