//! The directory that is mounted on: is it fit, is it ours, is it stale; unmounting and detaching it.
//! What must happen before an unmount is `shutdown.rs`; who holds a busy one is `holders.rs`.

use crate::mount::table;
use crate::mount::table::Mount;
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::io;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

/// Why a directory cannot be mounted on, or a mount cannot be found or ended. Each is one line for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing there.
    #[error("mount point {} does not exist; create it with `mkdir {}`", .0.display(), .0.display())]
    Missing(PathBuf),
    /// A file there.
    #[error("mount point {} is not a directory; name an empty directory", .0.display())]
    NotADirectory(PathBuf),
    /// Files there, which the mount would hide.
    #[error("mount point {} is not empty, and a mount would hide what is in it; name an empty directory", .0.display())]
    NotEmpty(PathBuf),
    /// A running mount of ours there.
    #[error("mount point {} is already mounted: {source_name}; unmount it with `brigade umount {}`", dir.display(), dir.display())]
    AlreadyMounted {
        /// The mount point.
        dir: PathBuf,
        /// What is mounted there.
        source_name: String,
    },
    /// The data of the mount would be behind the mount.
    #[error("the data directory {} lies inside the mount point {}; choose two separate directories", data.display(), dir.display())]
    DataInside {
        /// The data directory.
        data: PathBuf,
        /// The mount point.
        dir: PathBuf,
    },
    /// Nothing is mounted there.
    #[error("{} is not mounted; `findmnt` lists what is", .0.display())]
    NotMounted(PathBuf),
    /// Something else is mounted there.
    #[error("{} is not a mount of Brigade but of {fs_type} ({source_name}); use `umount {}`", dir.display(), dir.display())]
    NotOurs {
        /// The mount point.
        dir: PathBuf,
        /// The file system's type.
        fs_type: String,
        /// What is mounted there.
        source_name: String,
    },
    /// The system said no.
    #[error("cannot {action} {}: {cause}", dir.display())]
    System {
        /// A verb: look at, unmount, ..
        action: &'static str,
        /// The mount point.
        dir: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// Why an unmount did not happen.
#[derive(Debug)]
pub enum Refused {
    /// Files, working directories or other mounts are in use below it.
    Busy,
    /// Anything else, for people.
    Failed(String),
}

/// How a mount of ours answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// A process serves it.
    Alive,
    /// The process that served it is gone; every access gives ENOTCONN.
    Stale,
}

/// Checks that `dir` can be mounted on and answers its absolute path. Detaches a stale mount of ours found there and
/// names each such source through `on_stale`.
///
/// # Errors
/// The ones of [`Error`] that speak of a mount point.
pub fn prepare(dir: &Path, mut on_stale: impl FnMut(&str)) -> Result<PathBuf, Error> {
    let path = locate(dir).map_err(|cause| looking(dir, cause))?;
    loop {
        let mounts = table::read().map_err(|cause| looking(dir, cause))?;
        let Some(mount) = table::at(&mounts, &path).filter(|mount| mount.is_brigade()) else { break };
        match health(mount) {
            Health::Alive => {
                return Err(Error::AlreadyMounted { dir: dir.to_owned(), source_name: mount.source.clone() });
            }
            Health::Stale => {
                on_stale(&mount.source);
                detach(&path).map_err(|why| system("detach the stale mount on", dir, why))?;
            }
        }
    }
    let kind = std::fs::metadata(&path).map_err(|cause| looking(dir, cause))?;
    if !kind.is_dir() {
        return Err(Error::NotADirectory(dir.to_owned()));
    }
    let mut entries = std::fs::read_dir(&path).map_err(|cause| looking(dir, cause))?;
    if entries.next().is_some() {
        return Err(Error::NotEmpty(dir.to_owned()));
    }
    Ok(path)
}

/// Finds the mount of ours that is seen at `dir`.
///
/// # Errors
/// When nothing, or nothing of ours, is mounted there.
pub fn find(dir: &Path) -> Result<Mount, Error> {
    let path = locate(dir).map_err(|cause| looking(dir, cause))?;
    let mounts = table::read().map_err(|cause| looking(dir, cause))?;
    match table::at(&mounts, &path) {
        None => Err(Error::NotMounted(dir.to_owned())),
        Some(mount) if mount.is_brigade() => Ok(mount.clone()),
        Some(mount) => Err(Error::NotOurs {
            dir: dir.to_owned(),
            fs_type: mount.fs_type.clone(),
            source_name: mount.source.clone(),
        }),
    }
}

/// Whether anybody serves the mount. Asks by statfs, which the kernel never answers from its own caches.
#[must_use]
pub fn health(mount: &Mount) -> Health {
    match rustix::fs::statfs(&mount.dir) {
        Err(Errno::NOTCONN | Errno::CONNABORTED | Errno::CONNREFUSED) => Health::Stale,
        Ok(_) | Err(_) => Health::Alive,
    }
}

/// The absolute path of a mount point, links resolved. Works on a stale mount, where the last step cannot be entered.
///
/// # Errors
/// As the file system answers, `NotFound` among them.
pub fn locate(dir: &Path) -> io::Result<PathBuf> {
    let whole = std::fs::canonicalize(dir);
    match (&whole, dir.components().next_back(), dir.parent()) {
        (Err(cause), Some(Component::Normal(name)), Some(parent)) if cause.kind() != io::ErrorKind::NotFound => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Ok(std::fs::canonicalize(parent)?.join(name))
        }
        _ => whole,
    }
}

/// Unmounts, unless something holds it.
///
/// # Errors
/// [`Refused::Busy`] when something does.
pub fn unmount(dir: &Path) -> Result<(), Refused> {
    end(dir, UnmountFlags::NOFOLLOW, &["-u"])
}

/// Takes the mount out of the tree at once; it lives on for those who hold it.
///
/// # Errors
/// When the system refuses.
pub fn detach(dir: &Path) -> Result<(), Refused> {
    end(dir, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH, &["-u", "-z"])
}

fn end(dir: &Path, flags: UnmountFlags, arguments: &[&str]) -> Result<(), Refused> {
    match rustix::mount::unmount(dir, flags) {
        Ok(()) => Ok(()),
        // Only root may; everybody else owns the mount through a set-uid program.
        Err(Errno::PERM) => fusermount(dir, arguments),
        Err(Errno::BUSY) => Err(Refused::Busy),
        Err(errno) => Err(Refused::Failed(io::Error::from(errno).to_string())),
    }
}

fn fusermount(dir: &Path, arguments: &[&str]) -> Result<(), Refused> {
    let output = Command::new("fusermount3")
        .args(arguments)
        .arg("--")
        .arg(dir)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|cause| Refused::Failed(format!("fusermount3: {cause}; install the package fuse3")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("busy") { Err(Refused::Busy) } else { Err(Refused::Failed(said.trim().replace('\n', "; "))) }
}

fn looking(dir: &Path, cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::NotFound => Error::Missing(dir.to_owned()),
        io::ErrorKind::NotADirectory => Error::NotADirectory(dir.to_owned()),
        _ => Error::System { action: "look at", dir: dir.to_owned(), cause },
    }
}

/// The error of an unmount or detach that was refused.
#[must_use]
pub fn system(action: &'static str, dir: &Path, why: Refused) -> Error {
    let cause = match why {
        Refused::Busy => io::Error::from(Errno::BUSY),
        Refused::Failed(text) => io::Error::other(text),
    };
    Error::System { action, dir: dir.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_directory_is_fit() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir(at("empty")).unwrap();
        std::fs::create_dir_all(at("full/inner")).unwrap();
        std::fs::write(at("file"), "x").unwrap();
        std::os::unix::fs::symlink(at("empty"), at("link")).unwrap();
        let no_stale = |_: &str| panic!("nothing is mounted here");

        assert_eq!(prepare(&at("empty"), no_stale).unwrap(), at("empty").canonicalize().unwrap());
        assert_eq!(prepare(&at("link"), no_stale).unwrap(), at("empty").canonicalize().unwrap());
        assert!(matches!(prepare(&at("full"), no_stale), Err(Error::NotEmpty(_))));
        assert!(matches!(prepare(&at("file"), no_stale), Err(Error::NotADirectory(_))));
        assert!(matches!(prepare(&at("file/below"), no_stale), Err(Error::NotADirectory(_))));
        assert!(matches!(prepare(&at("missing"), no_stale), Err(Error::Missing(_))));
    }

    #[test]
    fn a_directory_that_is_not_mounted_is_not_unmounted() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(find(root.path()), Err(Error::NotMounted(_))));
        assert!(matches!(find(Path::new("/proc")), Err(Error::NotOurs { fs_type, .. }) if fs_type == "proc"));
        assert!(matches!(find(&root.path().join("missing")), Err(Error::Missing(_))));
    }
}
