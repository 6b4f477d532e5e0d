//! What is told of each request of the kernel: counted by operation and outcome, remembered if it failed in a way that
//! matters, and logged. The log of all requests goes to the target `brigade::access` at the level `trace`.

use crate::base::clock;
use crate::base::failures::Failure;
use crate::base::failures::Failures;
use crate::base::metrics::Counted;
use crate::base::metrics::HitRate;
use crate::base::metrics::Hits;
use crate::base::metrics::Tally;
use crate::fuse::answer::inode;
use crate::fuse::errno;
use crate::vfs::Error;
use crate::vfs::figures::Subject;
use fuser::Errno;
use fuser::INodeNo;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Instant;

macro_rules! operations {
    ($($operation:ident $name:literal),+ $(,)?) => {
        /// What the kernel asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Operation {
            $(#[doc = concat!("`", $name, "`")] $operation,)+
        }

        impl Operation {
            /// Every operation.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$operation),+];

            /// The name in the log and in figures: that of the system call, as far as there is one.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$operation => $name,)+ }
            }
        }
    };
}
operations!(
    Lookup "lookup",
    Getattr "getattr",
    Setattr "setattr",
    Readlink "readlink",
    Mknod "mknod",
    Mkdir "mkdir",
    Unlink "unlink",
    Rmdir "rmdir",
    Symlink "symlink",
    Rename "rename",
    Link "link",
    Open "open",
    Create "create",
    Read "read",
    Write "write",
    Flush "flush",
    Release "release",
    Fsync "fsync",
    Opendir "opendir",
    Readdir "readdir",
    Readdirplus "readdirplus",
    Releasedir "releasedir",
    Fsyncdir "fsyncdir",
    Fallocate "fallocate",
    CopyFileRange "copy_file_range",
    Statfs "statfs",
    Getxattr "getxattr",
    Listxattr "listxattr",
    Setxattr "setxattr",
    Removexattr "removexattr",
);

/// What was asked of a mount so far.
#[derive(Debug)]
pub struct Counters {
    by_operation: [Tally; Operation::ALL.len()],
    /// Reads that were answered from memory, and those that had to wait.
    reads: HitRate,
    failures: Arc<Failures>,
}

impl Counters {
    /// Nothing so far. What fails and matters is told to `failures` as well.
    #[must_use]
    pub fn new(failures: Arc<Failures>) -> Self {
        let by_operation = std::array::from_fn(|_| Tally::new(errno::NUMBERS));
        Self { by_operation, reads: HitRate::default(), failures }
    }

    /// All that is known of one operation. The reasons of failures are numbers of errors.
    #[must_use]
    pub fn read(&self, operation: Operation) -> Counted {
        self.tally(operation).read()
    }

    /// How many reads were answered at once, and how many had to wait for the store.
    #[must_use]
    pub fn reads(&self) -> Hits {
        self.reads.read()
    }

    fn tally(&self, operation: Operation) -> &Tally {
        &self.by_operation[operation as usize]
    }
}

/// The path of what a request was about, if it is known.
pub type Paths = Box<dyn Fn(&Subject) -> Option<String> + Send + Sync>;

/// Who is told of requests.
pub struct Observer {
    counters: Arc<Counters>,
    paths: Paths,
}

/// What was asked, of what.
#[derive(Debug)]
pub struct Asked {
    operation: Operation,
    subject: Subject,
}

impl Asked {
    /// Of the whole mount.
    pub fn mount(operation: Operation) -> Self {
        Self { operation, subject: Subject::Mount }
    }

    /// Of a file or directory, open or not.
    pub fn inode(operation: Operation, number: INodeNo) -> Self {
        Self { operation, subject: Subject::Inode(inode(number)) }
    }

    /// Of a name in a directory.
    pub fn name(operation: Operation, directory: INodeNo, name: &OsStr) -> Self {
        Self { operation, subject: Subject::Name(inode(directory), name.to_string_lossy().into_owned()) }
    }
}

/// A request under way, to be told how it ended.
pub struct Told {
    observer: Arc<Observer>,
    asked: Asked,
    begun: Instant,
    /// The path, once it was looked up.
    path: Option<String>,
}

impl Observer {
    /// Counts into `counters`; `paths` are asked where a request is worth a line.
    pub fn new(counters: Arc<Counters>, paths: Paths) -> Self {
        Self { counters, paths }
    }

    /// A request begins.
    pub fn begin(self: &Arc<Self>, asked: Asked) -> Told {
        self.counters.tally(asked.operation).begin();
        Told { observer: Arc::clone(self), asked, begun: clock::monotonic(), path: None }
    }

    fn path(&self, subject: &Subject) -> String {
        (self.paths)(subject).unwrap_or_else(|| "?".to_owned())
    }
}

impl Told {
    /// It was answered from memory, or could not be.
    pub fn at_once(&self, was: bool) {
        if self.asked.operation == Operation::Read {
            let reads = &self.observer.counters.reads;
            if was { reads.hit() } else { reads.miss() }
        }
    }

    /// It cannot be answered now: what it is about is looked up before it may have lost its name.
    pub fn waits(&mut self) {
        // Reads and writes wait by the thousand, and what they are about is open: it is looked up if it is needed.
        if !matches!(self.asked.operation, Operation::Read | Operation::Write) {
            self.path = Some(self.path());
        }
    }

    /// It is taking long.
    pub fn is_slow(&self) {
        let (request, path) = (self.request(), self.path());
        tracing::warn!(request, path, seconds = self.begun.elapsed().as_secs(), "slow answer");
    }

    /// It succeeded, and moved so many bytes of contents.
    pub fn done(self, bytes: u64) {
        self.tally().moved(bytes);
        self.ended(Ok(()), bytes);
    }

    /// It failed; answers what the kernel is to be told.
    pub fn failed(self, error: &Error) -> Errno {
        let number = errno::errno(error);
        let name = errno::name(number.code());
        let request = self.request();
        let of_store = error.of_store();
        let (code, id) = (of_store.and_then(|error| error.code()), of_store.and_then(|error| error.request_id()));
        if errno::is_remarkable(error) {
            let path = self.path();
            tracing::warn!(request, path, errno = name, code, request_id = id, %error, "refused");
            self.remember(path, number, (code, id), error.to_string());
        } else {
            tracing::debug!(request, path = self.path(), errno = name, code, request_id = id, %error, "refused");
        }
        self.ended(Err(number), 0);
        number
    }

    /// It was refused without being tried.
    pub fn refused(self, number: Errno) -> Errno {
        self.ended(Err(number), 0);
        number
    }

    /// It was given up; answers what the kernel is to be told.
    pub fn given_up(self) -> Errno {
        let (request, path) = (self.request(), self.path());
        let seconds = self.begun.elapsed().as_secs();
        tracing::warn!(request, path, seconds, errno = "EIO", "given up, since the store does not answer");
        self.remember(path, Errno::EIO, (None, None), "given up, since the store does not answer".to_owned());
        self.ended(Err(Errno::EIO), 0);
        Errno::EIO
    }

    /// Its handler broke; the library tells the kernel.
    pub fn broke(self) {
        let (request, path) = (self.request(), self.path());
        tracing::error!(request, path, "a handler broke; the program that asked gets EIO");
        self.remember(path, Errno::EIO, (None, None), "a handler broke: a bug in Brigade; please report it".to_owned());
        self.ended(Err(Errno::EIO), 0);
    }

    fn request(&self) -> &'static str {
        self.asked.operation.name()
    }

    fn path(&self) -> String {
        self.path.clone().unwrap_or_else(|| self.observer.path(&self.asked.subject))
    }

    fn tally(&self) -> &Tally {
        self.observer.counters.tally(self.asked.operation)
    }

    fn remember(&self, path: String, number: Errno, (code, id): (Option<&str>, Option<&str>), message: String) {
        let failure = Failure {
            operation: self.request().to_owned(),
            path,
            errno: Some(errno::name(number.code()).to_owned()),
            code: code.map(str::to_owned),
            request_id: id.map(str::to_owned),
            message,
        };
        self.observer.counters.failures.add(clock::now(), failure);
    }

    fn ended(&self, outcome: Result<(), Errno>, bytes: u64) {
        let took = self.begun.elapsed();
        tracing::trace!(
            target: "brigade::access",
            path = self.path(),
            result = outcome.map_or_else(|number| errno::name(number.code()), |()| "ok"),
            bytes,
            us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "{}",
            self.request()
        );
        self.tally().ended(outcome.map_err(|number| usize::try_from(number.code()).unwrap_or(0)), took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store;
    use crate::store::Kind;
    use crate::store::Op;

    #[test]
    fn what_matters_is_remembered_with_all_that_finds_it_again() {
        let failures = Arc::new(Failures::default());
        let counters = Arc::new(Counters::new(Arc::clone(&failures)));
        let observer = Arc::new(Observer::new(Arc::clone(&counters), Box::new(|_| Some("a/b".to_owned()))));
        let begin = |operation| observer.begin(Asked::mount(operation));
        begin(Operation::Write).done(7);
        assert_eq!(begin(Operation::Lookup).failed(&Error::NotFound).code(), Errno::ENOENT.code());
        let slow = store::Error::new(Op::PutPart, "p/a/b", Kind::Unavailable, "SlowDown: no")
            .said(Some("SlowDown"), Some("R1"));
        assert_eq!(begin(Operation::Flush).failed(&slow.into()).code(), Errno::EIO.code());
        begin(Operation::Flush).given_up();
        let under_way = begin(Operation::Read);
        under_way.at_once(false);

        let all = failures.all();
        assert_eq!(all.len(), 2, "a name that is not there is no failure to tell of: {all:?}");
        let told = &all[0].failure;
        assert_eq!((&*told.operation, &*told.path, told.errno.as_deref()), ("flush", "a/b", Some("EIO")));
        assert_eq!((told.code.as_deref(), told.request_id.as_deref()), (Some("SlowDown"), Some("R1")));
        let write = counters.read(Operation::Write);
        assert_eq!((write.ok, write.bytes), (1, 7));
        let enoent = usize::try_from(Errno::ENOENT.code()).unwrap();
        assert_eq!(counters.read(Operation::Lookup).failed, [(enoent, 1)]);
        assert_eq!(counters.read(Operation::Flush).failures(), 2);
        assert_eq!(counters.read(Operation::Read).under_way, 1);
        assert_eq!(counters.reads(), Hits { hits: 0, misses: 1 });
    }
}
