//! Processes of this machine and what they hold open, as the kernel tells in `/proc`; and what is hidden of this one.

use rustix::io::Errno;
use rustix::io::FdFlags;
use rustix::process::DumpableBehavior;
use rustix::process::Resource;
use rustix::process::Rlimit;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::fd::RawFd;

/// Whether the process (or thread) `pid` has a descriptor that is open on the inode with this number.
///
/// Reads `fdinfo`, which the kernel answers by itself: asking for the file's attributes instead could come back to us.
/// Another file system may use the same number, so the answer can be a false yes; a process that cannot be looked at
/// counts as holding nothing.
#[must_use]
pub fn holds_inode(pid: u32, inode: u64) -> bool {
    descriptors(pid).is_ok_and(|mut infos| infos.any(|info| inode_of(&info) == Some(inode)))
}

/// Marks every descriptor but the standard three to be closed in programs that this process starts.
///
/// For a start in the background: whoever started us may have left locks or pipes open, and a process that lives for days
/// would hold them all that time.
///
/// # Errors
/// When the descriptors cannot be listed.
pub fn keep_descriptors_from_children() -> io::Result<()> {
    let entries = fs::read_dir("/proc/self/fd")?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    for number in numbers.filter(|number| *number > 2) {
        // SAFETY: the descriptor is borrowed for one call that neither closes it nor keeps it. It was open a moment ago;
        // should it be closed by now, the call answers EBADF, and should its number be another's, that one is marked,
        // as all are that the standard library opens.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        match rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC) {
            Ok(()) | Err(Errno::BADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Keeps the memory of this process, where secrets are, out of core dumps and from debuggers of the same user.
///
/// The limit alone would not do: where the kernel hands dumps to a program, it does not ask for it. Being not dumpable
/// also gives the files of `/proc/PID` that show memory and descriptors to root; the process itself still reads its own.
///
/// # Errors
/// When the system refuses, which a filter of system calls may do.
pub fn hide_memory() -> io::Result<()> {
    let limit = rustix::process::getrlimit(Resource::Core);
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: limit.maximum })?;
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// The process that a thread belongs to; `None` when it is gone, or of another namespace.
#[must_use]
pub fn process_of(thread: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
}

fn descriptors(pid: u32) -> io::Result<impl Iterator<Item = String>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo"))?;
    // A descriptor that is closed meanwhile is simply not there any more.
    Ok(entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok()))
}

/// The `ino:` line of an `fdinfo` file (proc(5); kernels since 5.14 have it).
fn inode_of(info: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix("ino:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn an_open_file_is_held_and_a_closed_one_is_not() {
        let file = tempfile::tempfile().unwrap();
        let inode = file.metadata().unwrap().ino();
        assert!(holds_inode(std::process::id(), inode));
        drop(file);
        assert!(!holds_inode(u32::MAX, inode), "no such process");
    }

    #[test]
    fn hidden_memory_is_dumped_nowhere_and_descriptors_are_still_found() {
        hide_memory().unwrap();
        assert_eq!(rustix::process::getrlimit(Resource::Core).current, Some(0));
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let file = tempfile::tempfile().unwrap();
        assert!(holds_inode(std::process::id(), file.metadata().unwrap().ino()));
        keep_descriptors_from_children().unwrap();
    }

    #[test]
    fn a_thread_belongs_to_its_process() {
        let other = std::thread::spawn(|| {
            let own = fs::read_link("/proc/thread-self").unwrap();
            process_of(own.file_name().unwrap().to_str().unwrap().parse().unwrap())
        });
        assert_eq!(other.join().unwrap(), Some(std::process::id()));
        assert_eq!(process_of(u32::MAX), None);
    }

    #[test]
    fn the_inode_line_is_read() {
        assert_eq!(inode_of("pos:\t0\nflags:\t0100001\nmnt_id:\t29\nino:\t4711\n"), Some(4711));
        assert_eq!(inode_of("pos:\t0\n"), None);
    }
}
