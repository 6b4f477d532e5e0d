//! How much a bucket holds: counted through the index, not kept, so that it cannot drift from what is there.

use crate::server::backend::error::Result;
use crate::server::backend::index;
use crate::server::backend::index::Snapshot;
use crate::server::backend::record::ObjectRecord;

/// What a bucket holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub object_bytes: u64,
    /// Unfinished uploads.
    pub uploads: u64,
    /// Bytes of the parts of these.
    pub part_bytes: u64,
}

/// Counts.
pub fn usage(snapshot: &Snapshot, bucket: &str) -> Result<Usage> {
    snapshot.require_bucket(bucket)?;
    let mut usage = Usage::default();
    let first = index::object_key(bucket, "");
    for entry in snapshot.objects.range(first.as_slice()..)? {
        let (key, record) = entry?;
        if index::key_of(bucket, key.value()).is_none() {
            break;
        }
        let record: ObjectRecord = index::parse(record.value())?;
        usage.objects += 1;
        usage.object_bytes += record.size;
    }
    for entry in snapshot.uploads.range((first.as_slice(), "")..)? {
        let (name, _) = entry?;
        let (key, id) = name.value();
        if index::key_of(bucket, key).is_none() {
            break;
        }
        usage.uploads += 1;
        usage.part_bytes += snapshot.parts(id, 0, usize::MAX)?.iter().map(|(_, part)| part.size).sum::<u64>();
    }
    Ok(usage)
}

/// The greatest id of the unfinished uploads that is a number of 64 bits; ids to come must be greater.
pub fn newest_upload(snapshot: &Snapshot) -> Result<u64> {
    let mut newest = 0;
    for entry in snapshot.uploads.range::<(&[u8], &str)>(..)? {
        let (name, _) = entry?;
        let id = name.value().1;
        if id.len() == 16 {
            newest = newest.max(u64::from_str_radix(id, 16).unwrap_or(0));
        }
    }
    Ok(newest)
}
