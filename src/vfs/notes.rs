//! Keeps notes of what the kernel holds in a file that outlives this process, for the next one to go on from.
//!
//! The file lies in memory (`memfd_create`) and belongs to the process that started this one. It only grows at its end: a
//! process can be killed between any two bytes. When it has grown much, all of it is written once more as one frame, at
//! the beginning of a page, and what lies before goes back to the system.

use crate::journal::frame;
use crate::vfs::known::Known;
use crate::vfs::known::Note;
use rustix::fs::FallocateFlags;
use rustix::fs::MemfdFlags;
use rustix::fs::OFlags;
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::Mutex;

/// A frame with one note.
const NOTE: u32 = 1;
/// A frame with everything; what came before it does not count.
const WHOLE: u32 = 2;
/// Bytes. A hole in a file is a whole number of pages.
const PAGE_BYTES: usize = 4096;
/// Notes are rewritten when there are so many bytes of them, and twice as many as the last rewriting left.
const REWRITTEN_BYTES_MIN: u64 = 1 << 20;

/// Where notes go.
pub struct Notes {
    written: Option<Mutex<Written>>,
}

struct Written {
    /// Nothing, once it could not be written to.
    file: Option<File>,
    /// Bytes of everything, when it was written last.
    whole_bytes: u64,
    /// Bytes since.
    bytes: u64,
}

/// A new file for notes.
///
/// # Errors
/// When the system has no memory for it.
pub fn new_file() -> io::Result<File> {
    let file = rustix::fs::memfd_create("brigade-notes", MemfdFlags::CLOEXEC)?;
    // Whoever writes, writes at the end.
    rustix::fs::fcntl_setfl(&file, OFlags::RDWR | OFlags::APPEND)?;
    Ok(File::from(file))
}

impl Notes {
    /// Keeps nothing.
    #[must_use]
    pub fn none() -> Arc<Self> {
        Arc::new(Self { written: None })
    }

    /// Goes on with a file, and answers what the notes in it say.
    ///
    /// # Errors
    /// When it cannot be read or written, or another version of this program has written what this one does not understand.
    pub fn open(mut file: File) -> io::Result<(Arc<Self>, Known)> {
        let known = read(&file)?;
        // Also takes away what a kill has torn at its end.
        let whole_bytes = rewrite(&mut file, &known)?;
        let written = Written { file: Some(file), whole_bytes, bytes: 0 };
        Ok((Arc::new(Self { written: Some(Mutex::new(written)) }), known))
    }

    /// Keeps a note. It is there when this returns, also if the process is killed then.
    pub fn note(&self, note: &Note) {
        let Some(written) = &self.written else { return };
        let mut written = written.lock().expect("no panic happens while notes are locked");
        let Err(error) = written.add(note) else { return };
        tracing::error!(%error, "no memory for notes: should this process crash, open files cannot be used any more");
        // Half of the notes would be worse than none: what is not in them counts as unknown, and is refused.
        if let Some(Err(error)) = written.file.take().map(|file| file.set_len(0)) {
            tracing::error!(%error, "notes that are not whole cannot be taken away");
        }
    }
}

impl Written {
    fn add(&mut self, note: &Note) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let frame = encoded(NOTE, note)?;
        file.write_all(&frame)?;
        self.bytes += frame.len() as u64;
        // What was handed over may be large, and is not needed any more when it is taken.
        if *note == Note::Taken || self.bytes > REWRITTEN_BYTES_MIN.max(2 * self.whole_bytes) {
            let known = read(file)?;
            (self.whole_bytes, self.bytes) = (rewrite(file, &known)?, 0);
        }
        Ok(())
    }
}

fn encoded(kind: u32, value: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let payload = postcard::to_stdvec(value).map_err(io::Error::other)?;
    frame::encode(kind, &payload).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))
}

/// Writes everything down at the end, and gives back what lies before. Answers how many bytes it takes.
fn rewrite(file: &mut File, known: &Known) -> io::Result<u64> {
    let frame = encoded(WHOLE, known)?;
    let end = file.metadata()?.len();
    let begin = end.next_multiple_of(PAGE_BYTES as u64);
    let padding = usize::try_from(begin - end).expect("less than a page");
    file.write_all(&[&vec![0; padding][..], &frame].concat())?;
    if begin > 0 {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&*file, hole, 0, begin)?;
    }
    Ok(frame.len() as u64)
}

/// What the notes of a file say.
fn read(file: &File) -> io::Result<Known> {
    let begin = match rustix::fs::seek(file, SeekFrom::Data(0)) {
        Ok(begin) => begin,
        // It has no bytes at all.
        Err(Errno::NXIO) => return Ok(Known::default()),
        Err(error) => return Err(error.into()),
    };
    let length = usize::try_from(file.metadata()?.len() - begin).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, begin)?;
    fold(&bytes).map_err(io::Error::other)
}

/// What notes say that begin at a page. After some that were torn only a frame with everything counts.
fn fold(bytes: &[u8]) -> postcard::Result<Known> {
    let mut known = Known::default();
    let mut begin = 0;
    while begin < bytes.len() {
        let scan = frame::scan(&bytes[begin..]);
        let first = scan.frames.first().map(|(kind, _)| *kind);
        if begin == 0 || first == Some(WHOLE) {
            for (kind, range) in scan.frames {
                take(&mut known, kind, &bytes[begin + range.start..begin + range.end])?;
            }
        }
        begin = (begin + scan.good_bytes + 1).next_multiple_of(PAGE_BYTES);
    }
    Ok(known)
}

// What another version of this program has noted, and this one does not understand, must not be guessed.
fn take(known: &mut Known, kind: u32, payload: &[u8]) -> postcard::Result<()> {
    match kind {
        NOTE => known.apply(postcard::from_bytes(payload)?),
        WHOLE => *known = postcard::from_bytes(payload)?,
        _ => return Err(postcard::Error::DeserializeBadEnum),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::attr::Kind;
    use crate::vfs::inode::InodeId;
    use crate::vfs::known::Place;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn named(id: u64, name: &str) -> Note {
        let place = Place { parent: InodeId::ROOT, name: name.into(), kind: Kind::File };
        Note::Named { id: InodeId(id), place }
    }

    fn note() -> impl Strategy<Value = Note> {
        let id = (2..9u64).prop_map(InodeId);
        prop_oneof![
            (2..9u64, "[a-z]{1,9}").prop_map(|(id, name)| named(id, &name)),
            id.clone().prop_map(Note::LookedUp),
            id.clone().prop_map(Note::Unlinked),
            id.clone().prop_map(Note::Dirty),
            id.prop_map(Note::Forgotten),
        ]
    }

    fn folded(notes: &[Note]) -> Known {
        let mut known = Known::default();
        notes.iter().for_each(|note| known.apply(note.clone()));
        known
    }

    proptest! {
        #[test]
        fn notes_are_read_as_they_were_written(rounds in vec(vec(note(), 0..20), 1..5), torn in 0..40u64) {
            let file = new_file().unwrap();
            let mut all = Vec::new();
            for notes in rounds {
                let (kept, known) = Notes::open(file.try_clone().unwrap()).unwrap();
                prop_assert_eq!(known, folded(&all));
                notes.iter().for_each(|note| kept.note(note));
                all.extend(notes);
                // A note that a kill has torn.
                let frame = encoded(NOTE, &named(5, "torn")).unwrap();
                let part = frame.len().min(usize::try_from(torn).unwrap() % frame.len());
                (&file).write_all(&frame[..part]).unwrap();
            }
            prop_assert_eq!(read(&file).unwrap(), folded(&all));
        }

        #[test]
        fn nothing_that_is_read_breaks_it(bytes in vec(any::<u8>(), 0..9000)) {
            let _ = fold(&bytes);
        }
    }

    #[test]
    fn a_rewriting_that_was_torn_leaves_what_was_before() {
        let mut file = new_file().unwrap();
        let (notes, _) = Notes::open(file.try_clone().unwrap()).unwrap();
        notes.note(&named(2, "a"));
        let end = file.metadata().unwrap().len();
        rewrite(&mut file, &folded(&[named(2, "a"), named(3, "b")])).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        // As if the hole had not been made yet, and the frame not been finished.
        let mut bytes = encoded(WHOLE, &folded(&[named(2, "a")])).unwrap();
        bytes.resize(usize::try_from(end.next_multiple_of(PAGE_BYTES as u64)).unwrap(), 0);
        let torn = encoded(WHOLE, &folded(&[named(2, "a"), named(3, "b")])).unwrap();
        bytes.extend(&torn[..torn.len() - 1]);
        assert_eq!(fold(&bytes).unwrap(), folded(&[named(2, "a")]));
        bytes.push(*torn.last().unwrap());
        assert_eq!(fold(&bytes).unwrap(), folded(&[named(2, "a"), named(3, "b")]));
    }

    #[test]
    fn the_file_does_not_grow_with_time() {
        let file = new_file().unwrap();
        let (notes, _) = Notes::open(file.try_clone().unwrap()).unwrap();
        notes.note(&named(2, "a"));
        for _ in 0..100_000 {
            notes.note(&Note::LookedUp(InodeId(2)));
            notes.note(&Note::Forgot(InodeId(2), 1));
        }
        let held = rustix::fs::fstat(&file).unwrap().st_blocks * 512;
        assert!(held < 2 << 20, "{held} bytes");
        assert_eq!(read(&file).unwrap(), folded(&[named(2, "a")]));
    }
}
