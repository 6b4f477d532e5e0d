//! What other processes of this machine hold open, as the kernel tells in `/proc`.

use std::fs;
use std::io;

/// Whether the process (or thread) `pid` has a descriptor that is open on the inode with this number.
///
/// Reads `fdinfo`, which the kernel answers by itself: asking for the file's attributes instead could come back to us.
/// Another file system may use the same number, so the answer can be a false yes; a process that cannot be looked at
/// counts as holding nothing.
#[must_use]
pub fn holds_inode(pid: u32, inode: u64) -> bool {
    descriptors(pid).is_ok_and(|mut infos| infos.any(|info| inode_of(&info) == Some(inode)))
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
