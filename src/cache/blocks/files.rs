//! The files of the blocks: a directory, locked by one process at a time, with two files for each version.
//!
//! Nothing here decides what is kept. Only files with names of its own are ever removed.

use crate::base::held::Held;
use crate::cache::blocks::index::Found;
use crate::cache::blocks::layout;
use crate::cache::blocks::layout::VersionId;
use bytes::Bytes;
use rustix::fs::FallocateFlags;
use rustix::fs::OFlags;
use rustix::fs::fallocate;
use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::fs::FileTimes;
use std::fs::OpenOptions;
use std::io;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

/// The directory inside the one that was named. It alone has its mode changed, and files removed.
const OWN: &str = "blocks";
/// What the name of a file with checksums ends with.
const SUMS: &str = ".sums";

/// Why a directory cannot be used. Each is one line for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("the cache {} is in use by another mount; unmount that one, or name another directory", .0.display())]
    Busy(PathBuf),
    /// It cannot be made, read or written.
    #[error("cannot use the cache directory {}: {cause}; name a directory that can be written to", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Files {
    own: PathBuf,
}

impl Files {
    /// Makes the directory if it is missing (0700), and locks what is in it.
    ///
    /// # Errors
    /// When another process has it, or the disk refuses.
    pub fn open(dir: &Path) -> Result<(Self, Held), Error> {
        let io = |cause| Error::Io { path: dir.to_owned(), cause };
        let own = dir.join(OWN);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&own).map_err(io)?;
        fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).map_err(io)?;
        let lock = options().create(true).truncate(false).read(true).open(own.join("lock")).map_err(io)?;
        let lock = Held::try_new(lock).map_err(io)?;
        Ok((Self { own }, lock.ok_or_else(|| Error::Busy(dir.to_owned()))?))
    }

    /// The file with the blocks of a version.
    ///
    /// # Errors
    /// When there is none.
    pub fn data(&self, id: &VersionId) -> io::Result<File> {
        OpenOptions::new().read(true).custom_flags(no_links()).open(self.data_path(id))
    }

    /// What there is of a version.
    #[must_use]
    pub fn load(&self, id: &VersionId) -> Option<Found> {
        let bytes = fs::read(self.sums_path(id)).ok()?;
        let (size, blocks) = layout::read(id, &bytes)?;
        Some(Found { id: *id, size, blocks })
    }

    /// All that there is, that which was not used for longest first. What belongs to nothing, or has no block, is removed.
    #[must_use]
    pub fn load_all(&self) -> Vec<Found> {
        let mut found: Vec<(SystemTime, Found)> = Vec::new();
        for (id, used) in self.versions() {
            match (used, self.load(&id)) {
                (Some(used), Some(version)) if !version.blocks.is_empty() => found.push((used, version)),
                _ => self.remove(&id),
            }
        }
        found.sort_by_key(|(used, version)| (*used, version.id));
        found.into_iter().map(|(_, version)| version).collect()
    }

    /// Versions with files, and when they were used; `None` for those that lack one of the two.
    fn versions(&self) -> BTreeMap<VersionId, Option<SystemTime>> {
        let mut data = BTreeMap::new();
        let mut sums = BTreeMap::new();
        for shelf in entries(&self.own).filter(|shelf| shelf.path().is_dir()) {
            for file in entries(&shelf.path()) {
                let name = file.file_name();
                let Some(name) = name.to_str() else { continue };
                let used = || file.metadata().and_then(|metadata| metadata.modified()).ok();
                let (name, seen) = name.strip_suffix(SUMS).map_or((name, &mut data), |name| (name, &mut sums));
                if let Some(id) = VersionId::parse(name) {
                    seen.insert(id, used());
                }
            }
        }
        let halves: Vec<_> = data.keys().filter(|id| !sums.contains_key(id)).copied().collect();
        for (id, used) in &mut sums {
            *used = used.filter(|_| data.contains_key(id));
        }
        sums.extend(halves.into_iter().map(|id| (id, None)));
        sums
    }

    /// Writes a block, and then that it is there; answers its checksum.
    ///
    /// # Errors
    /// When the disk refuses, as a full one does. The block is not there then.
    pub fn write(&self, id: &VersionId, size: u64, block: u64, pieces: &[Bytes]) -> io::Result<u32> {
        let shelf = self.shelf(id);
        let data = match self.create(&self.data_path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&shelf)?;
                self.create(&self.data_path(id))?
            }
            opened => opened?,
        };
        let slices: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..]).collect();
        let sum = layout::crc32c(&slices);
        let written = self.put(id, size, block, (&data, &slices, sum));
        if written.is_err() {
            // What a full disk has taken of it is no use.
            let range = layout::block_range(size, block);
            let _ = punch(&data, &range);
        }
        written.map(|()| sum)
    }

    fn put(
        &self,
        id: &VersionId,
        size: u64,
        block: u64,
        (data, slices, sum): (&File, &[&[u8]], u32),
    ) -> io::Result<()> {
        let mut at = layout::block_range(size, block).start;
        for slice in slices {
            data.write_all_at(slice, at)?;
            at += slice.len() as u64;
        }
        let sums = self.create(&self.sums_path(id))?;
        if sums.metadata()?.len() == 0 {
            sums.write_all_at(&layout::header(id, size), 0)?;
        }
        sums.write_all_at(&layout::entry(id, block, sum), layout::entry_at(block))
    }

    /// Notes that a version was used just now.
    pub fn touch(&self, id: &VersionId, now: SystemTime) {
        let Ok(sums) = OpenOptions::new().write(true).custom_flags(no_links()).open(self.sums_path(id)) else { return };
        // At worst it goes sooner than it should.
        let _ = sums.set_times(FileTimes::new().set_modified(now));
    }

    /// Gives the room of some blocks back. Whether it could; else the version must go.
    #[must_use]
    pub fn discard(&self, id: &VersionId, blocks: Range<u64>) -> bool {
        let zeros = vec![0; usize::try_from(blocks.end - blocks.start).unwrap_or(0) * layout::ENTRY_BYTES];
        let open = |path| OpenOptions::new().write(true).custom_flags(no_links()).open(path);
        let discarded = || {
            // First that they are not there.
            open(self.sums_path(id))?.write_all_at(&zeros, layout::entry_at(blocks.start))?;
            let range = blocks.start * layout::BLOCK_BYTES..blocks.end * layout::BLOCK_BYTES;
            punch(&open(self.data_path(id))?, &range)
        };
        discarded().is_ok()
    }

    /// Removes a version.
    pub fn remove(&self, id: &VersionId) {
        for path in [self.sums_path(id), self.data_path(id)] {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::debug!(%error, path = %path.display(), "a file of the cache cannot be removed");
            }
        }
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        options().create(true).truncate(false).open(path)
    }

    // Directories with a hundred thousand files are slow on some disks.
    fn shelf(&self, id: &VersionId) -> PathBuf {
        self.own.join(&id.name()[..2])
    }

    fn data_path(&self, id: &VersionId) -> PathBuf {
        self.shelf(id).join(id.name())
    }

    fn sums_path(&self, id: &VersionId) -> PathBuf {
        self.shelf(id).join(id.name() + SUMS)
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(no_links());
    options
}

fn no_links() -> i32 {
    i32::try_from(OFlags::NOFOLLOW.bits()).expect("a flag of open")
}

fn entries(dir: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok)
}

fn punch(file: &File, range: &Range<u64>) -> io::Result<()> {
    let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(fallocate(file, how, range.start, range.end - range.start)?)
}
