//! Which processes keep a mount busy: a scan of /proc, for the message of a refused unmount.

use crate::base::clock;
use crate::mount::table::Mount;
use std::fmt;
use std::fs;
use std::iter;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// One process that holds the mount, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name, as `ps` shows it.
    pub name: String,
    /// An open or mapped file, or a directory it stands in.
    pub holds: PathBuf,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {}: {})", self.name, self.pid, self.holds.display())
    }
}

/// Up to `limit` processes that hold `mount`, as far as this user may see them and within `patience`. `proc` is `/proc`,
/// outside of tests.
///
/// The kernel lets nobody look at a process that is about to become another program (`exec_update_lock`), and that may wait
/// for anything, for this mount as well: what waits here is a thread, which ends with the process at the latest.
#[must_use]
pub fn scan(proc: &Path, mount: &Mount, limit: usize, patience: Duration) -> Vec<Holder> {
    let (sender, found) = mpsc::channel();
    let (proc, mount) = (proc.to_owned(), mount.clone());
    let scanning = thread::Builder::new().name("holders".to_owned());
    // Without a thread nobody is named, which the message allows for; the receiver is gone when it has heard enough.
    let _ = scanning.spawn(move || look(&proc, &mount).try_for_each(|holder| sender.send(holder)));
    let deadline = clock::monotonic() + patience;
    let next = || found.recv_timeout(deadline.saturating_duration_since(clock::monotonic())).ok();
    iter::from_fn(next).take(limit).collect()
}

fn look<'a>(proc: &'a Path, mount: &'a Mount) -> impl Iterator<Item = Holder> + 'a {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter().filter_map(move |pid| holder(proc, pid, mount))
}

fn holder(proc: &Path, pid: u32, mount: &Mount) -> Option<Holder> {
    let process = proc.join(pid.to_string());
    let holds = linked(&process, mount).or_else(|| mapped(&process, mount))?;
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    Some(Holder { pid, name: name.trim().to_owned(), holds })
}

// Only the text of the links is read: following one into the mount would wait for the very daemon that is to go.
fn linked(process: &Path, mount: &Mount) -> Option<PathBuf> {
    let fixed = ["cwd", "root", "exe"].map(|name| process.join(name));
    let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten().map(|entry| entry.path());
    fixed.into_iter().chain(open).filter_map(|link| fs::read_link(link).ok()).find(|path| path.starts_with(&mount.dir))
}

// address perms offset dev inode path, where dev is MAJOR:MINOR in hexadecimal
fn mapped(process: &Path, mount: &Mount) -> Option<PathBuf> {
    let maps = fs::read(process.join("maps")).ok()?;
    let device = format!("{:02x}:{:02x}", mount.device.major, mount.device.minor);
    String::from_utf8_lossy(&maps).lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        (fields.nth(3)? == device).then(|| PathBuf::from(fields.nth(1).unwrap_or("a mapped file")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::table::Device;
    use rustix::fs::CWD;
    use rustix::fs::FileType;
    use rustix::fs::Mode;
    use rustix::fs::mknodat;
    use std::os::unix::fs::symlink;

    fn process(proc: &Path, pid: u32, links: &[(&str, &str)], maps: &str) {
        let dir = proc.join(pid.to_string());
        fs::create_dir_all(dir.join("fd")).unwrap();
        fs::write(dir.join("comm"), format!("tool{pid}\n")).unwrap();
        fs::write(dir.join("maps"), maps).unwrap();
        for (name, target) in links {
            symlink(target, dir.join(name)).unwrap();
        }
    }

    fn mount() -> Mount {
        Mount {
            device: Device { major: 0, minor: 0x3a },
            dir: "/mnt".into(),
            fs_type: "fuse".into(),
            source: "s3://b".into(),
            owner: None,
        }
    }

    #[test]
    fn open_files_directories_and_mappings_hold_a_mount() {
        let proc = tempfile::tempdir().unwrap();
        let mapping = "7f00-7f01 r--s 0000 00:3a 12 /mnt/lib\n";
        process(proc.path(), 10, &[("cwd", "/mnt/dir")], "");
        process(proc.path(), 11, &[("cwd", "/"), ("fd/3", "/mnt/file")], "");
        process(proc.path(), 12, &[("cwd", "/mnt2"), ("fd/0", "pipe:[1]")], "");
        process(proc.path(), 13, &[], mapping);
        process(proc.path(), 14, &[("root", "/mnt")], "");
        fs::create_dir(proc.path().join("sys")).unwrap();
        let mount = mount();
        let long = Duration::from_secs(60);
        let found: Vec<_> = scan(proc.path(), &mount, 3, long).iter().map(Holder::to_string).collect();
        assert_eq!(found, ["tool10 (pid 10: /mnt/dir)", "tool11 (pid 11: /mnt/file)", "tool13 (pid 13: /mnt/lib)"]);
        let all = scan(proc.path(), &mount, 5, long);
        assert_eq!(all.len(), 4, "a neighbour whose name begins alike does not count");
    }

    #[test]
    fn a_process_that_nobody_can_look_at_is_not_waited_for() {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), 10, &[("cwd", "/mnt/dir")], "");
        process(proc.path(), 11, &[("cwd", "/")], "");
        // Its opening waits for a writer.
        let maps = proc.path().join("11/maps");
        fs::remove_file(&maps).unwrap();
        mknodat(CWD, &maps, FileType::Fifo, Mode::RUSR, 0).unwrap();
        process(proc.path(), 12, &[("cwd", "/mnt")], "");
        let found = scan(proc.path(), &mount(), 3, Duration::from_millis(100));
        assert_eq!(found.iter().map(|holder| holder.pid).collect::<Vec<_>>(), [10]);
        // The thread goes on, and ends.
        fs::OpenOptions::new().write(true).open(&maps).unwrap();
    }
}
