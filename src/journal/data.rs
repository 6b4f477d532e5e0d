//! The bytes of one draft: a file that is only appended to, each append a frame with its checksum.

use crate::base::random;
use crate::journal::directory;
use crate::journal::frame;
use crate::journal::frame::HEADER_BYTES;
use crate::journal::frame::Header;
use crate::journal::record::DraftId;
use bytes::Bytes;
use rustix::fs::FallocateFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::fallocate;
use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// The kind of its frames.
const KIND: u32 = 1;
/// Bytes that are asked of the file system at a time, so that a full disk shows at a write and not at a sync.
const AHEAD_BYTES: u64 = 1 << 20;
const HEADER: u64 = HEADER_BYTES as u64;

/// A draft's data.
#[derive(Debug)]
pub struct DataFile {
    /// Open while somebody needs it: drafts that wait for the bucket may be many.
    file: Mutex<Option<Arc<File>>>,
    directory: PathBuf,
    id: DraftId,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    end: u64,
    /// Bytes that the file system has promised.
    promised: u64,
    /// Where the payloads are, ascending.
    payloads: Vec<Range<u64>>,
    /// After a failed sync nobody knows what is on the disk, and a second one would not say so.
    broken: bool,
    /// Its name is on the disk.
    named: bool,
    /// It must not be closed, as nobody could open it again.
    nameless_soon: bool,
}

/// The number of those that have none.
const NAMELESS: DraftId = DraftId(u64::MAX);

fn file_name(id: DraftId) -> String {
    format!("data-{:020}", id.0)
}

impl DataFile {
    fn build(file: File, directory: &Path, id: DraftId, inner: Inner) -> Self {
        let file = Mutex::new(Some(Arc::new(file)));
        Self { file, directory: directory.to_owned(), id, inner: Mutex::new(inner) }
    }

    /// Whose it is; `None` if it has no name.
    #[must_use]
    pub fn id(&self) -> Option<DraftId> {
        (self.id != NAMELESS).then_some(self.id)
    }

    /// Nobody needs it for a while: its descriptor is closed until somebody does.
    pub fn rest(&self) {
        if self.id().is_some() && !self.lock().nameless_soon {
            self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// It is about to lose its name, and goes on without it: from now on its descriptor stays open.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn stay_open(&self) -> io::Result<()> {
        self.lock().nameless_soon = true;
        self.file().map(drop)
    }

    fn file(&self) -> io::Result<Arc<File>> {
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*open {
            return Ok(Arc::clone(file));
        }
        let file = File::options().read(true).write(true).open(self.directory.join(file_name(self.id)))?;
        Ok(Arc::clone(open.insert(Arc::new(file))))
    }

    /// Makes it, empty. What a draft of that number has left behind goes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn create(directory: &Path, id: DraftId) -> io::Result<Self> {
        let mut options = File::options();
        options.create(true).truncate(true).read(true).write(true).mode(0o600);
        let file = options.open(directory.join(file_name(id)))?;
        Ok(Self::build(file, directory, id, Inner::default()))
    }

    /// Makes one that has no name and so no number: it is gone with the process, or when it is dropped. Makes the
    /// directory, too, if it is missing (0700, parents too). It is for [`append`](Self::append), [`read`](Self::read) and
    /// [`free`](Self::free) only.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn nameless(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = match rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => File::from(file),
            // Not every file system makes files without names (open(2)).
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::NOENT) => {
                let path = directory.join(format!("unnamed-{}", random::hex::<8>()));
                let file = File::options().create_new(true).read(true).write(true).mode(0o600).open(&path)?;
                std::fs::remove_file(&path)?;
                file
            }
            Err(errno) => return Err(errno.into()),
        };
        Ok(Self::build(file, directory, NAMELESS, Inner::default()))
    }

    /// Opens what a crash has left: frames up to the first that has no good header.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(directory: &Path, id: DraftId) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(directory.join(file_name(id)))?;
        let length = file.metadata()?.len();
        let mut inner = Inner { named: true, ..Inner::default() };
        let mut header = [0; HEADER_BYTES];
        while inner.end.checked_add(HEADER).is_some_and(|begin| begin <= length) {
            file.read_exact_at(&mut header, inner.end)?;
            let Some(found) = Header::decode(&header) else { break };
            let begin = inner.end + HEADER;
            let end = begin + u64::from(found.payload_bytes);
            if end > length {
                break;
            }
            inner.payloads.push(begin..end);
            inner.end = end;
        }
        Ok(Self::build(file, directory, id, inner))
    }

    /// The drafts that have data here.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn ids(directory: &Path) -> io::Result<Vec<DraftId>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("data-")).and_then(|text| text.parse().ok());
            found.extend(number.map(DraftId));
        }
        Ok(found)
    }

    /// Removes the data of a draft, if there is any.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove_id(directory: &Path, id: DraftId) -> io::Result<()> {
        match std::fs::remove_file(directory.join(file_name(id))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Appends bytes and says where they are. After an error, a full disk among them, the file is as before.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "more than 4 GiB at once");
        let header = Header::of(KIND, bytes).ok_or_else(too_long)?;
        let file = self.file()?;
        let mut inner = self.lock();
        let begin = inner.end + HEADER;
        let end = begin + u64::from(header.payload_bytes);
        if end > inner.promised {
            inner.promised = directory::promise(&file, inner.end, end, AHEAD_BYTES)?;
        }
        file.write_all_at(&header.encode(), inner.end)?;
        file.write_all_at(bytes, begin)?;
        inner.end = end;
        inner.payloads.push(begin..end);
        Ok(begin)
    }

    /// Bytes that were appended, within one append.
    ///
    /// # Errors
    /// When the disk fails, or nothing was appended there.
    pub fn read(&self, at: u64, len: usize) -> io::Result<Bytes> {
        let end = at.checked_add(len as u64);
        if end.is_none_or(|end| self.payload_of(at).is_none_or(|payload| end > payload.end)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no {len} bytes at {at}")));
        }
        let mut out = vec![0; len];
        self.file()?.read_exact_at(&mut out, at)?;
        Ok(out.into())
    }

    /// The whole append that a byte lies in.
    #[must_use]
    pub fn append_at(&self, at: u64) -> Option<Range<u64>> {
        self.payload_of(at).filter(|payload| at < payload.end)
    }

    fn payload_of(&self, at: u64) -> Option<Range<u64>> {
        let inner = self.lock();
        let next = inner.payloads.partition_point(|payload| payload.start <= at);
        inner.payloads.get(next.checked_sub(1)?).filter(|payload| at <= payload.end).cloned()
    }

    /// Returns when everything that was appended is on the disk, and the file's name too. Blocks.
    ///
    /// # Errors
    /// When the disk fails; from then on always.
    pub fn sync(&self) -> io::Result<()> {
        let named = {
            let inner = self.lock();
            if inner.broken {
                return Err(io::Error::other("an earlier sync failed"));
            }
            inner.named
        };
        let done = self
            .file()
            .and_then(|file| file.sync_data())
            .and_then(|()| if named { Ok(()) } else { directory::sync(&self.directory) });
        let mut inner = self.lock();
        match &done {
            Ok(()) => inner.named = true,
            Err(_) => inner.broken = true,
        }
        done
    }

    /// Bytes, headers included: what it takes of the disk if nothing was freed.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.lock().end
    }

    /// Whether nothing was appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the appends that these ranges lie in are as they were written. What nobody needs may have been freed, so
    /// only what is needed is looked at.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when something is missing or was changed; others when the disk fails.
    pub fn verify(&self, needed: &[Range<u64>]) -> io::Result<()> {
        let damaged = |at: u64| io::Error::new(io::ErrorKind::InvalidData, format!("the data at {at} is damaged"));
        let (file, mut last_good) = (self.file()?, None);
        for range in needed {
            let payload = self.payload_of(range.start).filter(|payload| range.end <= payload.end);
            let payload = payload.ok_or_else(|| damaged(range.start))?;
            if last_good == Some(payload.start) {
                continue;
            }
            let mut header = [0; HEADER_BYTES];
            file.read_exact_at(&mut header, payload.start - HEADER)?;
            let mut bytes = vec![0; usize::try_from(payload.end - payload.start).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, payload.start)?;
            if Header::decode(&header).is_none_or(|header| header.crc != frame::crc32c(&bytes)) {
                return Err(damaged(payload.start));
            }
            last_good = Some(payload.start);
        }
        Ok(())
    }

    /// Gives the bytes of a range back to the file system, as far as whole appends lie in it: a part of one would damage
    /// the rest. Where holes cannot be punched, nothing happens.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn free(&self, range: Range<u64>) -> io::Result<()> {
        let whole: Vec<_> = {
            let inner = self.lock();
            let first = inner.payloads.partition_point(|payload| payload.start < range.start);
            let inside = |payload: &&Range<u64>| payload.end <= range.end;
            let inside = inner.payloads[first..].iter().take_while(inside);
            inside.filter(|payload| !payload.is_empty()).cloned().collect()
        };
        let file = if whole.is_empty() { return Ok(()) } else { self.file()? };
        for payload in whole {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            match fallocate(&*file, flags, payload.start, payload.end - payload.start) {
                Ok(()) => {}
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
