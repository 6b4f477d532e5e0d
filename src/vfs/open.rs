//! Opening, creating and closing files.

use crate::base::clock;
use crate::reader;
use crate::vfs::Durability;
use crate::vfs::Entry;
use crate::vfs::Vfs;
use crate::vfs::attr::Attr;
use crate::vfs::attr::Kind;
use crate::vfs::attr::PERMISSION_MASK;
use crate::vfs::destination::FileDestination;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::handle::Access;
use crate::vfs::handle::FileHandle;
use crate::vfs::handle::HandleId;
use crate::vfs::handle::Writer;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::key;
use crate::vfs::set_id;
use crate::writer;
use crate::writer::draft::Draft;
use crate::writer::overlay::Overlay;
use crate::writer::patch::Patch;
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What is older than this is confirmed before a file is opened for reading, so that a reader is pinned to what is there.
const OPEN_FRESHNESS: Duration = Duration::from_secs(1);

/// What the kernel may keep of a file between opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Nothing: reads and writes come straight here.
    None,
    /// What is read from now on; older pages are of another version.
    New,
    /// What it has: the version is the same.
    Kept,
}

/// An open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Names it.
    pub handle: HandleId,
    /// What the kernel may keep.
    pub pages: Pages,
}

/// How a file is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// For what.
    pub access: Access,
    /// Whether its contents are cut off (`O_TRUNC`).
    pub truncate: bool,
    /// Whether it must not exist (`O_EXCL`).
    pub exclusive: bool,
    /// The thread that asks.
    pub thread: u32,
}

/// Whose a new file is, and what may be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub permissions: u32,
}

impl Vfs {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Error::Stale`] when the object is another one by now than the kernel believes: it looks the name up again.
    /// [`Error::Running`] for one to be cut off that a process of this host runs.
    pub async fn open(&self, id: InodeId, how: How) -> Result<Opened> {
        let inode = self.inode(id).await?;
        // What has lost its name can be opened again through a descriptor only, while there is something to open.
        if inode.state().gone && self.tree.key(&inode).is_none() {
            return Err(Error::Stale);
        }
        match inode.kind {
            Kind::File => {}
            Kind::Directory => return Err(Error::IsDirectory),
            Kind::Symlink | Kind::Fifo | Kind::Socket | Kind::CharacterDevice(_) | Kind::BlockDevice(_) => {
                return Err(Error::Invalid("only files can be opened"));
            }
        }
        // The kernel sees to it for those who write, and asks too late for one who only cuts off.
        if how.truncate && self.handles.executes(id) {
            return Err(Error::Running);
        }
        if how.access.writes() {
            self.must_be_writable()?;
            self.keep_xattrs(&inode).await?;
            if how.truncate {
                self.begin_empty(&inode).await;
            }
        } else {
            self.confirm(&inode).await?;
            if how.truncate {
                self.must_be_writable()?;
                self.truncate(&inode, None, 0).await?;
            }
        }
        self.open_inode(&inode, how)
    }

    /// Creates a file and opens it. It is in the bucket once it is committed.
    ///
    /// # Errors
    /// [`Error::Exists`] with `exclusive`, and what a name can be refused for.
    pub async fn create(&self, parent: InodeId, name: &OsStr, owner: Owner, how: How) -> Result<(Entry, Opened)> {
        self.must_be_writable()?;
        let directory = self.directory_to_change(parent).await?;
        let name = self.new_name(&directory, name)?;
        if let Some(known) = self.tree.child(parent, name) {
            // One that another process had made, and nobody has stored, is not there.
            self.recall(&known).await?;
        }
        if let Some(known) = self.tree.child(parent, name) {
            // Another program of this host was faster.
            if how.exclusive {
                return Err(Error::Exists);
            }
            let opened = self.open(known.id, how).await?;
            return Ok((self.counted(known), opened));
        }
        let inode = self.tree.replace(parent, name, self.new_attr(Kind::File, owner, &directory));
        {
            let mut state = inode.state();
            state.begin(self.new_draft(&inode));
            state.exclusive = how.exclusive;
            state.checked = Some(clock::monotonic());
        }
        self.touch_directory(&directory);
        let opened = self.open_inode(&inode, how)?;
        self.handles.file(opened.handle)?.wrote.store(true, std::sync::atomic::Ordering::Relaxed);
        Ok((self.counted(inode), opened))
    }

    /// Creates an empty file that is in the bucket when this returns.
    ///
    /// # Errors
    /// As [`create`](Self::create), and what the store answers.
    pub async fn mknod(&self, parent: InodeId, name: &OsStr, owner: Owner) -> Result<Entry> {
        let how = How { access: Access::Write, truncate: false, exclusive: true, thread: 0 };
        let (entry, opened) = self.create(parent, name, owner, how).await?;
        match self.release(opened.handle).await {
            Ok(()) => Ok(entry),
            Err(error) => {
                self.forget(entry.inode.id, 1);
                Err(error)
            }
        }
    }

    /// Closes a file. What no close could commit is committed now.
    ///
    /// # Errors
    /// What the commit answers. No program hears of it, so it is logged, unless a close has told it before.
    pub async fn release(&self, handle: HandleId) -> Result<()> {
        let Some(file) = self.handles.remove_file(handle) else { return Err(Error::BadHandle) };
        let inode = Arc::clone(&file.inode);
        let last_writer = {
            let mut state = inode.state();
            let open = if file.access.writes() { &mut state.writers } else { &mut state.readers };
            *open -= 1;
            file.access.writes() && state.writers == 0
        };
        drop(file);
        let mut committed = Ok(());
        let broken = inode.state().broken.is_some();
        if last_writer && !broken {
            let key = self.tree.key(&inode).unwrap_or_default();
            committed = self.secure(&inode).await;
            if let Err(error) = &committed {
                tracing::error!(key, %error, "a file whose last descriptor was closed is not stored");
            }
        }
        if last_writer {
            inode.state().forgive();
        }
        self.rest(&inode).await;
        self.forget_unlinked(&inode).await;
        self.tree.let_go(inode);
        committed
    }

    fn open_inode(&self, inode: &Arc<Inode>, how: How) -> Result<Opened> {
        let key = self.tree.key(inode);
        let mut state = inode.state();
        let mut reader = None;
        let pages = if how.access.writes() {
            state.writers += 1;
            Pages::None
        } else {
            state.readers += 1;
            let version = key.and_then(|key| state.readable(key));
            reader = version.map(|version| reader::stream::Stream::new(Arc::clone(&self.reading), version));
            match &state.version {
                // While it is being rewritten its size in the kernel is that of the new version.
                _ if state.draft.is_some() => Pages::None,
                Some(version) if state.kept.as_ref() == Some(&version.etag) => Pages::Kept,
                Some(version) => {
                    let etag = version.etag.clone();
                    state.kept = Some(etag);
                    Pages::New
                }
                None => Pages::None,
            }
        };
        state.opened();
        drop(state);
        let handle = FileHandle {
            inode: Arc::clone(inode),
            access: how.access,
            wrote: AtomicBool::new(how.truncate && how.access.writes()),
            writer: Writer::new(how.thread),
            reader: Mutex::new(reader),
        };
        Ok(Opened { handle: self.handles.add_file(handle), pages })
    }

    /// Sees to it that what is known of a file is new enough to be read by.
    async fn confirm(&self, inode: &Arc<Inode>) -> Result<()> {
        let old = {
            let state = inode.state();
            let fresh = OPEN_FRESHNESS.min(self.options.metadata_ttl);
            let old = state.checked.is_none_or(|checked| checked.elapsed() >= fresh);
            old && !state.is_ahead() && !state.gone
        };
        let Some((directory, name)) = self.tree.place(inode.id).filter(|_| old) else { return Ok(()) };
        let before = inode.state().version.clone();
        let asked = clock::monotonic();
        let object = self.store.head_object(&self.key_of(inode)?).await.map_err(Error::of_known_file)?;
        let now = self.admit_seen(directory.id, &name, &crate::vfs::lookup::found(object, asked));
        let same = now.id == inode.id
            && match (&before, &inode.state().version) {
                (Some(before), Some(now)) => before.etag == now.etag && before.size == now.size,
                (None, _) | (_, None) => false,
            };
        // The kernel answers a stale open by looking the name up again, which brings it the new size.
        if same { Ok(()) } else { Err(Error::Stale) }
    }

    /// Makes a file empty: a new version begins, and what the old one had stays in the bucket until it is committed.
    pub(super) async fn begin_empty(&self, inode: &Arc<Inode>) {
        let _changing = inode.changing.lock().await;
        let before = {
            let mut state = inode.state();
            state.broken = None;
            state.written_now();
            state.attr.size = 0;
            state.follows = None;
            let draft = state.draft.clone();
            if let Some(Draft::Patch(patch)) = &draft
                && patch.has_seal()
            {
                if patch.is_doubtful() {
                    // Whether it is there or not, it is cut off.
                    state.exclusive = false;
                    patch.clear_doubt();
                }
                if patch.truncate(0).is_ok() {
                    // Until the empty one is sealed the journal keeps what was acknowledged.
                    return;
                }
            }
            draft
        };
        let fresh = self.new_draft(inode);
        inode.state().begin(fresh);
        if let Some(before) = before {
            before.abandon().await;
        }
    }

    pub(super) fn new_draft(&self, inode: &Arc<Inode>) -> Draft {
        let (context, destination) = (Arc::clone(&self.writing), self.destination(inode));
        match self.options.durability {
            Durability::Bucket => Draft::Stream(writer::stream::Stream::new(context, destination)),
            Durability::Journal => {
                let empty = Overlay::new(Arc::clone(&context.pool));
                Draft::Patch(Patch::new(context, destination, empty))
            }
        }
    }

    pub(super) fn destination(&self, inode: &Arc<Inode>) -> Arc<FileDestination> {
        let (tree, options) = (Arc::clone(&self.tree), Arc::clone(&self.options));
        Arc::new(FileDestination { tree, inode: Arc::clone(inode), options })
    }

    /// A name under which something new can be put.
    pub(super) fn new_name<'a>(&self, directory: &Inode, name: &'a OsStr) -> Result<&'a str> {
        let name = key::name(name)?;
        if key::is_reserved(name) {
            return Err(Error::Invalid("names that begin so are kept for scratch objects"));
        }
        let bytes = self.key_of(directory)?.len() + name.len();
        if bytes > self.store.facts().key_bytes_max { Err(Error::NameTooLong) } else { Ok(name) }
    }

    /// The attributes of something new in `directory`.
    pub(super) fn new_attr(&self, kind: Kind, owner: Owner, directory: &Inode) -> Attr {
        let attr = self.options.default_attr(kind, clock::now());
        let attr = Attr { permissions: owner.permissions & PERMISSION_MASK, uid: owner.uid, gid: owner.gid, ..attr };
        set_id::inherit(attr, &directory.state().attr)
    }
}
