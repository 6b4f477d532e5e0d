//! Asks mounts how they are, from outside, without ever waiting for one that hangs: nothing here touches what is mounted, and
//! whoever is asked has a deadline.

use crate::base::clock;
use crate::mount::control;
use crate::mount::control::Client;
use crate::mount::control::Question;
use crate::mount::control::Reply;
use crate::mount::mountpoint;
use crate::mount::mountpoint::Error;
use crate::mount::table;
use crate::mount::table::Mount;
use std::io;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

/// How long a mount has to answer.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// What a mount has answered, or why it has not: the rest of a sentence.
pub struct Answered {
    /// The mount.
    pub mount: Mount,
    /// Its answer.
    pub reply: Result<Reply, String>,
}

/// The mounts of this user, or all of them for root, in the order in which they were made.
///
/// # Errors
/// When the system does not list mounts.
pub fn mounts(uid: u32) -> io::Result<Vec<Mount>> {
    Ok(of_user(table::read()?, uid))
}

fn of_user(all: Vec<Mount>, uid: u32) -> Vec<Mount> {
    let mut own: Vec<Mount> = Vec::new();
    for mount in all {
        let is_own = mount.is_brigade() && (uid == 0 || mount.owner == Some(uid));
        // One that is seen in several places is one mount.
        if is_own && own.iter().all(|known| known.device != mount.device) {
            own.push(mount);
        }
    }
    own
}

/// The mount of ours that is seen at `dir`.
///
/// # Errors
/// When nothing, or nothing of ours, is mounted there, or it cannot be told in time.
pub fn find(dir: &Path) -> Result<Mount, Error> {
    let system = |cause| Error::System { action: "look at", dir: dir.to_owned(), cause };
    // Where the name alone tells, the file system is not asked: it may be the very one that hangs.
    if let Some(path) = std::env::current_dir().ok().and_then(|at| lexical(&at, dir)) {
        let mounts = table::read().map_err(system)?;
        if let Some(mount) = table::at(&mounts, &path).filter(|mount| mount.is_brigade()) {
            return Ok(mount.clone());
        }
    }
    let (sender, receiver) = mpsc::channel();
    let asked = dir.to_owned();
    // Left behind if it hangs; it ends with the program.
    std::thread::spawn(move || sender.send(mountpoint::find(&asked)));
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(system(io::ErrorKind::TimedOut.into())))
}

/// The path without `.`; `None` where only the file system can tell what is meant.
fn lexical(at: &Path, dir: &Path) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in at.join(dir).components() {
        match component {
            Component::ParentDir => return None,
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => path.push(component),
        }
    }
    Some(path)
}

/// Asks all of them at the same time. `control_dir` is where this user's sockets are.
#[must_use]
pub fn ask(mounts: Vec<Mount>, control_dir: &Path, question: &Question) -> Vec<Answered> {
    let deadline = clock::monotonic() + PATIENCE;
    let asked: Vec<_> = mounts
        .into_iter()
        .map(|mount| {
            let sockets = control::candidates(control_dir, mount.owner, mount.device);
            (mount, answer(sockets, question.clone(), deadline))
        })
        .collect();
    asked
        .into_iter()
        .map(|(mount, receiver)| {
            let left = deadline.saturating_duration_since(clock::monotonic());
            let reply = receiver.recv_timeout(left).unwrap_or_else(|_| Err(silent()));
            Answered { mount, reply }
        })
        .collect()
}

/// Asks on a thread of its own: connecting to a process that is stopped may wait for it.
fn answer(sockets: Vec<PathBuf>, question: Question, deadline: Instant) -> mpsc::Receiver<Result<Reply, String>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let reply = match Client::ask(&sockets, &question) {
            Err(cause) => Err(unreachable(&cause)),
            Ok(mut client) => match client.receive(Some(deadline.saturating_duration_since(clock::monotonic()))) {
                Ok(Some(Reply::Refused(why))) => Err(why),
                Ok(Some(reply)) => Ok(reply),
                Ok(None) => Err("its process ended instead of answering; see its log".to_owned()),
                Err(cause) => Err(format!("its process stopped answering: {cause}; see its log")),
            },
        };
        // Nobody waits any more after the deadline.
        sender.send(reply)
    });
    receiver
}

fn silent() -> String {
    format!("its process has not answered for {} s; it may be stopped, or on its way to serve", PATIENCE.as_secs())
}

fn unreachable(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "no process answers for it; if this lasts it is stale, and `brigade umount` detaches it".to_owned()
        }
        _ => format!("its process cannot be reached: {cause}; ask as the user who mounted it or as root"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::table::Device;

    fn mount(minor: u32, dir: &str, source: &str, owner: Option<u32>) -> Mount {
        let device = Device { major: 0, minor };
        Mount { device, dir: dir.into(), fs_type: "fuse.brigade".into(), source: source.into(), owner }
    }

    #[test]
    fn users_have_their_own_mounts_and_root_all() {
        let all = || {
            vec![
                mount(1, "/a", "s3://a", Some(7)),
                mount(2, "/b", "s3://b", Some(8)),
                mount(3, "/c", "/dev/sda", Some(7)),
                mount(1, "/a2", "s3://a", Some(7)),
            ]
        };
        let dirs = |uid| of_user(all(), uid).into_iter().map(|mount| mount.dir).collect::<Vec<_>>();
        assert_eq!(dirs(7), [PathBuf::from("/a")]);
        assert_eq!(dirs(0), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert!(dirs(9).is_empty());
    }

    #[test]
    fn a_plain_path_needs_no_file_system() {
        let rows = [("m", Some("/at/m")), ("./m/.", Some("/at/m")), ("/m/", Some("/m")), ("../m", None)];
        for (dir, want) in rows {
            assert_eq!(lexical(Path::new("/at"), Path::new(dir)), want.map(PathBuf::from), "{dir}");
        }
    }

    #[test]
    fn who_is_silent_is_told_of_and_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let one = mount(1, "/a", "s3://a", None);
        // It listens, and never answers.
        let socket = control::socket_path(root.path(), one.device);
        let _listening = std::os::unix::net::UnixListener::bind(socket).unwrap();
        let gone = mount(2, "/b", "s3://b", None);
        let answered = ask(vec![one, gone], root.path(), &Question::Status);
        let why: Vec<_> = answered.iter().map(|answered| answered.reply.as_ref().unwrap_err()).collect();
        assert!(why[0].contains("answer"), "{why:?}");
        assert!(why[1].contains("stale"), "{why:?}");
    }
}
