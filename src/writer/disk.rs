//! Local disk for bytes of changed files that memory cannot hold, if the mount was given a directory for them.
//!
//! Each version has one file there. Without a journal it has no name: whatever happens to the process, nothing is left
//! behind. In a journal it is a draft's data, which outlives the process once it is sealed. Bytes that are replaced are
//! given back to the file system as soon as nobody reads them and nothing sealed needs them.

use crate::base::pool::Pool;
use crate::base::pool::Segment;
use crate::journal::Journal;
use crate::journal::data::DataFile;
use crate::journal::limit::Hold;
use crate::journal::limit::Limit;
use crate::store;
use crate::store::Error;
use crate::store::Op;
use bytes::Bytes;
use bytes::BytesMut;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// Bytes that are written to the disk, and given back, at a time. Copied together before, so they are in memory twice.
const EXTENT_BYTES_MAX: usize = 1 << 20;

/// Bytes that are read from the disk at a time where many are wanted: what a segment of the pool holds by default.
const READ_BYTES_MAX: u64 = 256 << 10;

/// Where files of this kind are made.
#[derive(Clone)]
pub struct Disk {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Directory(PathBuf),
    Journal(Arc<Journal>, Arc<Limit>),
}

impl Disk {
    /// A directory, which need not be there yet.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { kind: Kind::Directory(directory.to_owned()) }
    }

    /// A journal that may take so much of the disk.
    #[must_use]
    pub fn journal(journal: Arc<Journal>, limit: Arc<Limit>) -> Self {
        Self { kind: Kind::Journal(journal, limit) }
    }

    /// The journal, if it is one.
    #[must_use]
    pub fn as_journal(&self) -> Option<&Arc<Journal>> {
        match &self.kind {
            Kind::Directory(_) => None,
            Kind::Journal(journal, _) => Some(journal),
        }
    }

    /// What may be taken of a journal.
    #[must_use]
    pub fn limit(&self) -> Option<&Arc<Limit>> {
        match &self.kind {
            Kind::Directory(_) => None,
            Kind::Journal(_, limit) => Some(limit),
        }
    }

    /// Waits for room, as [`Limit::room`] does.
    pub async fn room(&self) -> bool {
        match self.limit() {
            Some(limit) => limit.room().await,
            None => true,
        }
    }

    /// Whether files can be made there and take bytes; makes the directory if it is missing.
    ///
    /// # Errors
    /// What the disk says.
    pub fn check(&self) -> io::Result<()> {
        match &self.kind {
            Kind::Directory(_) => self.begin()?.append(b"brigade").map(drop),
            // Opening it has written to it.
            Kind::Journal(..) => Ok(()),
        }
    }

    /// A new file, empty.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(&self) -> io::Result<DataFile> {
        match &self.kind {
            Kind::Directory(directory) => DataFile::nameless(directory),
            Kind::Journal(journal, _) => Ok(journal.begin()?.1),
        }
    }
}

/// Bytes of one file on the disk, which are given back when nobody refers to them any more.
#[derive(Debug)]
pub struct Extent {
    file: Arc<DataFile>,
    at: u64,
    bytes: u64,
    /// A record of the journal says that they are there.
    sealed: AtomicBool,
    _hold: Option<Hold>,
}

impl PartialEq for Extent {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file) && self.at == other.at
    }
}

impl Eq for Extent {}

impl Extent {
    /// Writes pieces to the end of a file, as many together as make an extent. Says of each extent at which of all bytes
    /// it begins; every piece lies in one of them. Blocks.
    ///
    /// # Errors
    /// When the disk is full or fails; nothing is kept then.
    pub fn append(
        file: &Arc<DataFile>,
        pieces: &[Bytes],
        limit: Option<&Arc<Limit>>,
    ) -> io::Result<Vec<(u64, Arc<Self>)>> {
        let (mut extents, mut begin, mut waiting) = (Vec::new(), 0, BytesMut::new());
        for (i, piece) in pieces.iter().enumerate() {
            waiting.extend_from_slice(piece);
            let next = pieces.get(i + 1).map_or(usize::MAX, Bytes::len);
            if waiting.len().saturating_add(next) > EXTENT_BYTES_MAX {
                let (at, bytes) = (file.append(&waiting)?, waiting.len() as u64);
                extents.push((begin, Arc::new(Self::at(file, at, bytes, limit))));
                begin += bytes;
                waiting.clear();
            }
        }
        Ok(extents)
    }

    /// Bytes that a crash has left in a file, and that a record says are there.
    #[must_use]
    pub fn recovered(file: &Arc<DataFile>, at: u64, bytes: u64, limit: Option<&Arc<Limit>>) -> Arc<Self> {
        let extent = Self::at(file, at, bytes, limit);
        extent.seal(true);
        Arc::new(extent)
    }

    fn at(file: &Arc<DataFile>, at: u64, bytes: u64, limit: Option<&Arc<Limit>>) -> Self {
        let hold = limit.map(|limit| limit.take(bytes));
        Self { file: Arc::clone(file), at, bytes, sealed: AtomicBool::new(false), _hold: hold }
    }

    /// Where in the file they begin.
    #[must_use]
    pub fn begin(&self) -> u64 {
        self.at
    }

    /// Whether a record of the journal needs them from now on: such bytes stay on the disk whatever becomes of this.
    pub fn seal(&self, needed: bool) {
        self.sealed.store(needed, Ordering::Relaxed);
    }

    /// Reads a range of it into memory at once.
    ///
    /// # Errors
    /// [`store::Kind::Corrupt`] when the disk fails.
    pub async fn read(self: &Arc<Self>, range: Range<u64>) -> Result<Bytes, Error> {
        let extent = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            assert!(range.end <= extent.bytes, "a run refers to bytes of its extent");
            let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
            extent.file.read(extent.at + range.start, len)
        });
        read.await.map_err(io::Error::other).flatten().map_err(|cause| {
            let message = format!("what was written to the journal directory cannot be read back: {cause}");
            Error::new(Op::GetObject, "", store::Kind::Corrupt, message)
        })
    }

    /// As [`read`](Self::read), into memory of the pool, beyond its limit if need be: for whoever bounds by other means how
    /// much that is.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_pooled(self: &Arc<Self>, range: Range<u64>, pool: &Arc<Pool>) -> Result<Vec<Bytes>, Error> {
        let (mut at, mut segments) = (range.start, Vec::<Segment>::new());
        while at < range.end {
            let end = range.end.min(at + READ_BYTES_MAX);
            let bytes = self.read(at..end).await?;
            fill(&mut segments, &bytes, pool);
            at = end;
        }
        Ok(segments.into_iter().map(Segment::into_bytes).collect())
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        // The last one goes with its file.
        if !self.sealed.load(Ordering::Relaxed)
            && Arc::strong_count(&self.file) > 1
            && let Err(error) = self.file.free(self.at..self.at + self.bytes)
        {
            tracing::debug!(%error, "cannot give bytes back to the disk");
        }
    }
}

/// Copies bytes to the end of segments, taking more of them beyond the pool's limit if need be.
pub fn fill(segments: &mut Vec<Segment>, mut bytes: &[u8], pool: &Arc<Pool>) {
    while !bytes.is_empty() {
        if segments.last().is_none_or(|last| last.room() == 0) {
            segments.push(pool.overdraw());
        }
        let last = segments.last_mut().expect("one was pushed if there was none");
        bytes = &bytes[last.fill(bytes)..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_file_without_a_name_is_made_in_a_directory_that_was_missing() {
        let home = tempfile::TempDir::new().unwrap();
        let disk = Disk::new(&home.path().join("a/b"));
        disk.check().unwrap();
        let _file = disk.begin().unwrap();
        assert_eq!(std::fs::read_dir(home.path().join("a/b")).unwrap().count(), 0);
        std::fs::write(home.path().join("file"), "").unwrap();
        assert!(Disk::new(&home.path().join("file")).check().is_err());
    }

    #[tokio::test]
    async fn pieces_are_read_back_from_the_extents_that_hold_them() {
        let home = tempfile::TempDir::new().unwrap();
        let file = Arc::new(Disk::new(home.path()).begin().unwrap());
        let lens = [1, EXTENT_BYTES_MAX - 1, 1, 300, EXTENT_BYTES_MAX + 5, 7, EXTENT_BYTES_MAX];
        let pieces: Vec<Bytes> = (1_u8..).zip(lens).map(|(i, len)| vec![i; len].into()).collect();
        let extents = Extent::append(&file, &pieces, None).unwrap();
        let begins: Vec<_> = extents.iter().map(|(begin, _)| *begin).collect();
        let mib = EXTENT_BYTES_MAX as u64;
        assert_eq!(begins, [0, mib, mib + 301, 2 * mib + 306, 2 * mib + 313]);
        let mut begin = 0;
        for piece in &pieces {
            let (of, extent) = extents.iter().rfind(|(of, _)| *of <= begin).unwrap();
            let within = begin - of..begin - of + piece.len() as u64;
            assert!(extent.read(within.clone()).await.unwrap() == piece);
            let pool = Pool::new(1 << 20);
            assert!(extent.read_pooled(within, &pool).await.unwrap().concat() == piece[..]);
            begin += piece.len() as u64;
        }
    }

    #[test]
    fn what_nobody_refers_to_is_given_back_to_the_disk() {
        // Of this directory, where the file system of temporary files may not punch holes, too.
        let home = tempfile::TempDir::new().unwrap();
        let file = Arc::new(DataFile::create(home.path(), crate::journal::record::DraftId(0)).unwrap());
        let mut extents = Extent::append(&file, &vec![Bytes::from(vec![1; EXTENT_BYTES_MAX]); 4], None).unwrap();
        file.sync().unwrap();
        let path = std::fs::read_dir(home.path()).unwrap().next().unwrap().unwrap().path();
        let blocks = || std::fs::metadata(&path).unwrap().blocks();
        let before = blocks();
        extents.drain(..3);
        assert!(blocks() * 2 < before, "{} of {before}", blocks());
        assert!(extents[0].1.file.read(extents[0].1.at, EXTENT_BYTES_MAX).unwrap().iter().all(|byte| *byte == 1));
    }
}
