//! The kernel's requests: each one is converted, becomes one call of the vfs, and is answered.

use crate::base::clock;
use crate::fuse::answer::GENERATION;
use crate::fuse::answer::answer_attr;
use crate::fuse::answer::answer_empty;
use crate::fuse::answer::answer_entry;
use crate::fuse::answer::handle;
use crate::fuse::answer::inode;
use crate::fuse::answer::owner;
use crate::fuse::attr::BLOCK_BYTES;
use crate::fuse::attr::allocation;
use crate::fuse::attr::appends;
use crate::fuse::attr::dot_attr;
use crate::fuse::attr::file_attr;
use crate::fuse::attr::file_type;
use crate::fuse::attr::how;
use crate::fuse::attr::node_kind;
use crate::fuse::attr::open_flags;
use crate::fuse::attr::time;
use crate::fuse::gate::Gate;
use crate::fuse::observe::Asked;
use crate::fuse::observe::Counters;
use crate::fuse::observe::Observer;
use crate::fuse::observe::Operation as Op;
use crate::fuse::pool::Deadline;
use crate::fuse::pool::Pool;
use crate::fuse::xattr::answer_names;
use crate::fuse::xattr::answer_value;
use crate::fuse::xattr::expected;
use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::handle::HandleId;
use crate::vfs::io::Answer;
use crate::vfs::key::NAME_BYTES_MAX;
use crate::vfs::open::Opened;
use crate::vfs::readdir::Detail;
use crate::vfs::readdir::Room;
use crate::vfs::rename::Target;
use crate::vfs::setattr::Changes;
use crate::vfs::transfer::Place;
use fuser::AccessFlags;
use fuser::BsdFileFlags;
use fuser::CopyFileRangeFlags;
use fuser::Errno;
use fuser::FileHandle;
use fuser::Filesystem;
use fuser::FopenFlags;
use fuser::INodeNo;
use fuser::LockOwner;
use fuser::OpenFlags;
use fuser::RenameFlags;
use fuser::ReplyAttr;
use fuser::ReplyCreate;
use fuser::ReplyData;
use fuser::ReplyDirectory;
use fuser::ReplyDirectoryPlus;
use fuser::ReplyEmpty;
use fuser::ReplyEntry;
use fuser::ReplyOpen;
use fuser::ReplyStatfs;
use fuser::ReplyWrite;
use fuser::ReplyXattr;
use fuser::Request;
use fuser::TimeOrNow;
use fuser::WriteFlags;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use tokio::runtime::Handle;

/// Blocks that a bucket is said to have: 1 PiB. Larger numbers overflow in some installers.
const BLOCKS: u64 = 1 << 30;

/// Bytes of one `copy_file_range` at most: the answer has 32 bits.
const COPY_BYTES_MAX: u64 = 2 << 30;

/// Files that a bucket is said to have room for.
const FILES: u64 = 1_000_000_000;

/// What fuser calls.
pub struct Ops {
    vfs: Arc<Vfs>,
    pool: Pool,
}

impl Ops {
    pub fn new(vfs: Arc<Vfs>, runtime: Handle, gate: Arc<Gate>, deadline: Deadline, counters: Arc<Counters>) -> Self {
        let tree = Arc::clone(&vfs);
        let observer = Observer::new(counters, Box::new(move |subject| tree.path_of(subject)));
        Self { vfs, pool: Pool::new(runtime, gate, deadline, observer) }
    }

    fn vfs(&self) -> Arc<Vfs> {
        Arc::clone(&self.vfs)
    }
}

fn room(full: bool) -> Room {
    if full { Room::Full } else { Room::Taken }
}

impl Filesystem for Ops {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let (vfs, asked, name) = (self.vfs(), Asked::name(Op::Lookup, parent, name), name.to_owned());
        self.pool.ask(asked, reply, async move { vfs.lookup(inode(parent), &name).await }, answer_entry);
    }

    fn forget(&self, _req: &Request, ino: INodeNo, count: u64) {
        self.vfs.forget(inode(ino), count);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let vfs = self.vfs();
        self.pool.ask(Asked::inode(Op::Getattr, ino), reply, async move { vfs.getattr(inode(ino)).await }, answer_attr);
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let vfs = self.vfs();
        let now = clock::now();
        let (atime, mtime) = (atime.map(|given| time(given, now)), mtime.map(|given| time(given, now)));
        let changes = Changes { size, permissions: mode, uid, gid, atime, mtime };
        let work = async move { vfs.setattr(inode(ino), fh.map(handle), changes).await };
        self.pool.run(Asked::inode(Op::Setattr, ino), reply, work, answer_attr);
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        let vfs = self.vfs();
        let work = async move { vfs.readlink(inode(ino)).await };
        self.pool.ask(Asked::inode(Op::Readlink, ino), reply, work, |reply, target| reply.data(&target));
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let asked = Asked::name(Op::Mknod, parent, name);
        let (vfs, name, owner) = (self.vfs(), name.to_owned(), owner(req, mode));
        let Some(kind) = node_kind(mode, rdev) else { return self.pool.refuse(asked, reply, Errno::EINVAL) };
        let work = async move {
            match kind {
                Kind::File => vfs.mknod(inode(parent), &name, owner).await,
                special => vfs.make_node(inode(parent), &name, special, owner).await,
            }
        };
        self.pool.run(asked, reply, work, answer_entry);
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        let asked = Asked::name(Op::Mkdir, parent, name);
        let (vfs, name, owner) = (self.vfs(), name.to_owned(), owner(req, mode));
        let work = async move { vfs.mkdir(inode(parent), &name, owner).await };
        self.pool.run(asked, reply, work, answer_entry);
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (vfs, asked, name) = (self.vfs(), Asked::name(Op::Unlink, parent, name), name.to_owned());
        self.pool.run(asked, reply, async move { vfs.unlink(inode(parent), &name).await }, answer_empty);
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (vfs, asked, name) = (self.vfs(), Asked::name(Op::Rmdir, parent, name), name.to_owned());
        self.pool.run(asked, reply, async move { vfs.rmdir(inode(parent), &name).await }, answer_empty);
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let asked = Asked::name(Op::Symlink, parent, name);
        let (vfs, name, target) = (self.vfs(), name.to_owned(), target.as_os_str().to_owned());
        let owner = owner(req, 0o777);
        let work = async move { vfs.symlink(inode(parent), &name, &target, owner).await };
        self.pool.run(asked, reply, work, answer_entry);
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let asked = Asked::name(Op::Rename, parent, name);
        if !(flags - RenameFlags::RENAME_NOREPLACE).is_empty() {
            return self.pool.refuse(asked, reply, Errno::EINVAL);
        }
        let target = if flags.is_empty() { Target::Replace } else { Target::MustBeFree };
        let (vfs, name, newname) = (self.vfs(), name.to_owned(), newname.to_owned());
        let work = async move { vfs.rename((inode(parent), &name), (inode(newparent), &newname), target).await };
        self.pool.run(asked, reply, work, answer_empty);
    }

    fn link(&self, _req: &Request, ino: INodeNo, _newparent: INodeNo, _newname: &OsStr, reply: ReplyEntry) {
        // A bucket has no second name for an object. git does without; tar and rsync -H tell of the name, whatever the answer.
        self.pool.refuse(Asked::inode(Op::Link, ino), reply, Errno::EPERM);
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let (vfs, how) = (self.vfs(), how(flags.0, req.pid()));
        let uid = req.uid();
        let work = async move {
            let opened = vfs.open(inode(ino), how).await?;
            if how.truncate {
                vfs.emptied_by(uid, inode(ino));
            }
            Ok(opened)
        };
        let done = |reply: ReplyOpen, Opened { handle, pages }| {
            reply.opened(FileHandle(handle.0), open_flags(pages));
        };
        if how.access.writes() || how.truncate {
            self.pool.run(Asked::inode(Op::Open, ino), reply, work, done);
        } else {
            self.pool.ask(Asked::inode(Op::Open, ino), reply, work, done);
        }
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let asked = Asked::name(Op::Create, parent, name);
        let (vfs, name, owner, how) = (self.vfs(), name.to_owned(), owner(req, mode), how(flags, req.pid()));
        let work = async move { vfs.create(inode(parent), &name, owner, how).await };
        self.pool.run(asked, reply, work, |reply, (entry, Opened { handle, pages })| {
            let flags = open_flags(pages);
            reply.created(&entry.valid_for, &file_attr(&entry), GENERATION, FileHandle(handle.0), flags);
        });
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.pool.ask_now(
            Asked::inode(Op::Read, ino),
            reply,
            || self.vfs.read(handle(fh), offset, size),
            |reply, bytes| reply.data(&bytes),
            |bytes| bytes.len() as u64,
        );
    }

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = u32::try_from(data.len()).expect("a request is smaller than 4 GiB");
        let write = || {
            self.vfs.written_by(req.uid(), handle(fh));
            if appends(flags, write_flags) {
                self.vfs.append(handle(fh), req.pid(), data)
            } else {
                self.vfs.write(handle(fh), req.pid(), offset, data)
            }
        };
        let done = move |reply: ReplyWrite, ()| reply.written(written);
        self.pool.run_now(Asked::inode(Op::Write, ino), reply, write, done, move |()| u64::from(written));
    }

    fn flush(&self, req: &Request, ino: INodeNo, fh: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        let (vfs, thread) = (self.vfs(), req.pid());
        let work = async move { vfs.flush(handle(fh), thread).await };
        self.pool.run(Asked::inode(Op::Flush, ino), reply, work, answer_empty);
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let vfs = self.vfs();
        let work = async move {
            // Nobody waits for this answer; the vfs has logged what went wrong.
            drop(vfs.release(handle(fh)).await);
            Ok(())
        };
        self.pool.run(Asked::inode(Op::Release, ino), reply, work, answer_empty);
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let vfs = self.vfs();
        self.pool.run(Asked::inode(Op::Fsync, ino), reply, async move { vfs.fsync(handle(fh)).await }, answer_empty);
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let open = || self.vfs.opendir(inode(ino)).map(Answer::Now);
        let done = |reply: ReplyOpen, opened: HandleId| reply.opened(FileHandle(opened.0), FopenFlags::empty());
        self.pool.ask_now(Asked::inode(Op::Opendir, ino), reply, open, done, |_| 0);
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let vfs = self.vfs();
        let work = async move {
            let filled = vfs.readdir(handle(fh), offset, Detail::Names, |item| {
                room(reply.add(INodeNo(item.id), item.next, file_type(item.kind), &*item.name))
            });
            let filled = filled.await;
            (reply, filled)
        };
        self.pool.fill(Asked::inode(Op::Readdir, ino), work, ReplyDirectory::ok);
    }

    fn readdirplus(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        let vfs = self.vfs();
        let work = async move {
            let filled = vfs.readdir(handle(fh), offset, Detail::Attributes, |item| {
                let (valid_for, attr) = match &item.entry {
                    Some(entry) => (entry.valid_for, file_attr(entry)),
                    None => (Duration::ZERO, dot_attr(item.id)),
                };
                room(reply.add(INodeNo(item.id), item.next, &*item.name, &valid_for, &attr, GENERATION))
            });
            let filled = filled.await;
            (reply, filled)
        };
        self.pool.fill(Asked::inode(Op::Readdirplus, ino), work, ReplyDirectoryPlus::ok);
    }

    fn releasedir(&self, _req: &Request, ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        let close = || {
            self.vfs.releasedir(handle(fh));
            Ok(Answer::Now(()))
        };
        self.pool.run_now(Asked::inode(Op::Releasedir, ino), reply, close, answer_empty, |()| 0);
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let vfs = self.vfs();
        self.pool.run(
            Asked::inode(Op::Fsyncdir, ino),
            reply,
            async move { vfs.fsyncdir(inode(ino)).await },
            answer_empty,
        );
    }

    fn fallocate(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let asked = Asked::inode(Op::Fallocate, ino);
        let Some(what) = allocation(mode) else { return self.pool.refuse(asked, reply, Errno::EOPNOTSUPP) };
        let vfs = self.vfs();
        vfs.written_by(req.uid(), handle(fh));
        let work = async move { vfs.fallocate(handle(fh), what, offset, length).await };
        self.pool.run(asked, reply, work, answer_empty);
    }

    fn copy_file_range(
        &self,
        req: &Request,
        _ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let vfs = self.vfs();
        vfs.written_by(req.uid(), handle(fh_out));
        let from = Place { handle: handle(fh_in), offset: offset_in };
        let to = Place { handle: handle(fh_out), offset: offset_out };
        let work = async move { vfs.copy_range(from, to, len.min(COPY_BYTES_MAX)).await };
        self.pool.run(Asked::inode(Op::CopyFileRange, ino_out), reply, work, |reply, copied| {
            reply.written(u32::try_from(copied).expect("no more than was asked for"));
        });
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let name_max = u32::try_from(NAME_BYTES_MAX).expect("a small constant");
        let answer = move |reply: ReplyStatfs, ()| {
            reply.statfs(BLOCKS, BLOCKS, BLOCKS, FILES, FILES, BLOCK_BYTES, name_max, BLOCK_BYTES);
        };
        // Through the pool, though it needs nothing: its answer tells that the mount is served.
        self.pool.run_now(Asked::mount(Op::Statfs), reply, || Ok(Answer::Now(())), answer, |()| 0);
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let (vfs, name) = (self.vfs(), name.to_owned());
        let work = async move { vfs.getxattr(inode(ino), &name).await };
        self.pool
            .ask(Asked::inode(Op::Getxattr, ino), reply, work, move |reply, value| answer_value(reply, size, &value));
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let vfs = self.vfs();
        let work = async move { vfs.listxattr(inode(ino)).await };
        self.pool
            .ask(Asked::inode(Op::Listxattr, ino), reply, work, move |reply, names| answer_names(reply, size, &names));
    }

    fn setxattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let (vfs, name, value) = (self.vfs(), name.to_owned(), value.to_vec());
        let work = async move { vfs.setxattr(inode(ino), &name, &value, expected(flags)).await };
        self.pool.run(Asked::inode(Op::Setxattr, ino), reply, work, answer_empty);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (vfs, name) = (self.vfs(), name.to_owned());
        self.pool.run(
            Asked::inode(Op::Removexattr, ino),
            reply,
            async move { vfs.removexattr(inode(ino), &name).await },
            answer_empty,
        );
    }

    // The kernel remembers ENOSYS and does this by itself from then on.

    fn access(&self, _req: &Request, _ino: INodeNo, _mask: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }
}
