//! Two hosts have changed one file. The other's version stays under the name; what was written here is kept beside it, in
//! a file of its own.

use crate::base::clock;
use crate::store::AmzDate;
use crate::store::ETag;
use crate::store::Kind as StoreKind;
use crate::vfs::Vfs;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::vfs::key::NAME_BYTES_MAX;
use crate::writer::draft::Draft;
use crate::writer::overlay::Piece;
use crate::writer::patch::Patch;
use bytes::Bytes;
use futures_util::TryStreamExt;
use std::sync::Arc;
use std::time::SystemTime;

/// What stands between the name of a file and whose version it is.
const MARK: &str = ".conflict-";

/// Bytes that are compared at a time.
const COMPARED_BYTES: u64 = 4 << 20;

/// The name of a version that somebody else was faster than: of which host, and when.
#[must_use]
pub fn conflict_name(name: &str, host: &str, at: SystemTime) -> String {
    let legal = |letter: char| if letter.is_ascii_alphanumeric() || "-.".contains(letter) { letter } else { '-' };
    let host: String = host.chars().map(legal).take(64).collect();
    let end = format!("{MARK}{host}-{}", AmzDate::new(at));
    let mut cut = name.len().min(NAME_BYTES_MAX.saturating_sub(end.len()));
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{end}", &name[..cut])
}

impl Vfs {
    /// A version was not taken because something else is there than it goes on from. The tag of what is there if it is this
    /// very version, whose answer was lost, perhaps with the process that waited for it.
    pub(super) async fn found_stored(&self, inode: &Arc<Inode>, patch: &Patch) -> Result<Option<ETag>> {
        let key = self.key_of(inode)?;
        let there = match self.store.head_object(&key).await {
            Ok(there) => there,
            Err(error) if error.kind == StoreKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if there.size != patch.size() {
            return Ok(None);
        }
        let mut at = 0;
        while at < there.size {
            let end = there.size.min(at + COMPARED_BYTES);
            let Some(pieces) = patch.read(at, end - at) else { return Ok(None) };
            // What objects have, others have: only what came from here could be lost.
            if pieces.iter().any(|piece| !matches!(piece, Piece::Object(..))) {
                let got = match self.store.get_object(&key, Some(at..end), Some(&there.etag)).await {
                    Ok(got) => got,
                    Err(error) if matches!(error.kind, StoreKind::NotFound | StoreKind::PreconditionFailed) => {
                        return Ok(None);
                    }
                    Err(error) => return Err(error.into()),
                };
                let bytes: Vec<Bytes> = got.body.try_collect().await?;
                if !holds(&bytes.concat(), pieces).await? {
                    return Ok(None);
                }
            }
            at = end;
        }
        Ok(Some(there.etag))
    }

    /// Keeps a version beside the file that somebody else has changed: under a name of its own, where it is stored soon. For
    /// a caller that holds `changing`. Says whether it is kept so.
    pub(super) async fn keep_beside(&self, inode: &Arc<Inode>, patch: &Arc<Patch>) -> Result<bool> {
        let Some((directory, name)) = self.tree.place(inode.id) else { return Ok(false) };
        if name.contains(MARK) {
            return Ok(false);
        }
        let host = rustix::system::uname();
        let beside = conflict_name(&name, &host.nodename().to_string_lossy(), clock::now());
        let key = format!("{}{beside}", self.key_of(&directory)?);
        let heir = self.tree.replace(directory.id, &beside, inode.attr());
        {
            let from = inode.state();
            let mut state = heir.state();
            (state.headers, state.xattrs) = (from.headers.clone(), from.xattrs.clone());
            (state.mtime_set, state.exclusive) = (from.mtime_set, true);
            state.checked = Some(clock::monotonic());
        }
        patch.moves(key.clone(), crate::store::Condition::Absent).await?;
        let Some(version) = patch.hand_over(self.destination(&heir)).await else {
            self.tree.unlink(directory.id, &beside);
            return Ok(false);
        };
        heir.state().begin(Draft::Patch(version));
        let ours = self.tree.key(inode).unwrap_or_default();
        tracing::error!(
            key = ours,
            kept = key,
            "somebody else has changed a file; what was written here is kept beside it"
        );
        self.store_soon(&heir);
        Ok(true)
    }

    /// The file is again what the bucket has, and somebody else has put there.
    pub(super) fn yield_to_other(&self, inode: &Arc<Inode>) {
        let never_there = {
            let mut state = inode.state();
            state.broken = (state.writers > 0).then_some(Error::Stale);
            state.draft = None;
            (state.exclusive, state.follows) = (false, None);
            state.described = None;
            state.kept = None;
            state.checked = None;
            state.version.is_none()
        };
        if let Some((directory, name)) = self.tree.place(inode.id) {
            if never_there {
                inode.state().gone = true;
                self.tree.unlink(directory.id, &name);
            }
            self.doubt(&directory);
        }
    }
}

/// Whether these bytes are those of the pieces, as far as they are here.
async fn holds(bytes: &[u8], pieces: Vec<Piece>) -> Result<bool> {
    let mut at = 0;
    for piece in pieces {
        let len = match &piece {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Zeros(len) => *len,
            Piece::Object(_, range) | Piece::Disk(_, range) => range.end - range.start,
        };
        let end = at + usize::try_from(len).expect("it is part of what is in memory");
        let Some(there) = bytes.get(at..end) else { return Ok(false) };
        let same = match piece {
            Piece::Bytes(bytes) => there == bytes,
            Piece::Zeros(_) => there.iter().all(|byte| *byte == 0),
            Piece::Disk(extent, range) => there == extent.read(range).await?,
            Piece::Object(..) => true,
        };
        if !same {
            return Ok(false);
        }
        at = end;
    }
    Ok(at == bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_conflict_is_named_after_the_file_the_host_and_the_time() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        assert_eq!(conflict_name("a.txt", "box/1", at), "a.txt.conflict-box-1-20130524T000000Z");
        let long = conflict_name(&"ä".repeat(127), "box", at);
        assert!(long.len() <= NAME_BYTES_MAX && long.ends_with(".conflict-box-20130524T000000Z"), "{long}");
    }
}
