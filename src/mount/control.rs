//! The control socket of a mount: where it is, who may speak on it, and the lines that go over it.
//!
//! One JSON value per line, one request per connection, any number of answers; the end of the connection is the end of
//! the process. What a request does is `daemon.rs`.

mod client;

pub use client::Client;

use crate::base::held::Held;
use crate::mount::status::Status;
use crate::mount::table::Device;
use rustix::net::RecvFlags;
use serde::Deserialize;
use serde::Serialize;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;

// A request is a verb and a path; no path is longer than this.
const REQUEST_BYTES_MAX: u64 = 16 << 10;

/// What may be asked of a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Let a process of another program go on with the mount.
    Upgrade {
        /// The mount point, as the asker sees it.
        dir: PathBuf,
        /// The program.
        program: PathBuf,
    },
    /// Store everything, then unmount.
    Umount {
        /// The mount point, as the asker sees it.
        dir: PathBuf,
        /// Unmount even if something cannot be stored.
        force: bool,
    },
}

/// What may be asked of a mount that changes nothing of it: answered at once, whatever else goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// How it is.
    Status,
    /// What it logs, changed first where something is given.
    Log {
        /// How much.
        level: Option<String>,
        /// Whether every request of a program is a line.
        access: Option<bool>,
    },
}

/// Who answers questions.
pub trait Answers: Send + Sync + 'static {
    /// The answer.
    fn answer(&self, question: &Question) -> Reply;
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// What is not in the bucket yet.
    Pending {
        /// Files.
        files: usize,
        /// Their bytes, as far as they are still to be sent.
        bytes: u64,
        /// For how many seconds the store has been gone; nothing while it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outage_s: Option<u64>,
    },
    /// One file that could not be stored, for people.
    NotStored(String),
    /// Something holds the mount; it stays.
    Busy,
    /// The request was refused or did not succeed; the mount stays.
    Refused(String),
    /// Done: what is asked next, another process answers.
    HandedOver,
    /// Done: unmounted, and everything let go.
    Unmounted,
    /// How the mount is.
    Status(Box<Status>),
    /// What is logged.
    Log {
        /// How much.
        level: String,
        /// Whether every request of a program is a line.
        access: bool,
    },
}

/// The directory of a user's sockets: `/run/brigade` for root, else below the session's own directory, else in /tmp.
#[must_use]
pub fn directory(uid: u32, session_dir: Option<&Path>) -> PathBuf {
    match session_dir {
        _ if uid == 0 => PathBuf::from("/run/brigade"),
        Some(dir) if dir.is_absolute() => dir.join("brigade"),
        Some(_) | None => PathBuf::from(format!("/tmp/brigade-{uid}")),
    }
}

/// Where the socket of a mount may be, likeliest first: root may end other users' mounts.
#[must_use]
pub fn candidates(own: &Path, owner: Option<u32>, device: Device) -> Vec<PathBuf> {
    let mut directories = vec![own.to_owned()];
    if let Some(uid) = owner {
        directories.push(directory(uid, Some(Path::new(&format!("/run/user/{uid}")))));
        directories.push(directory(uid, None));
    }
    directories.dedup();
    directories.into_iter().map(|directory| socket_path(&directory, device)).collect()
}

/// The socket's path: named by the device numbers, which only one mount has at a time.
#[must_use]
pub fn socket_path(directory: &Path, device: Device) -> PathBuf {
    directory.join(format!("{device}.sock"))
}

/// A listening socket; its file goes with it.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
    /// Tells the file from one of the same name.
    inode: u64,
}

impl Listener {
    /// Listens for requests to the mount with the device numbers that `device` finds, at a moment when no other mount makes or
    /// removes a socket.
    ///
    /// # Errors
    /// When the directory or the socket cannot be made, or the directory is somebody else's.
    pub fn bind(directory: &Path, device: impl FnOnce() -> io::Result<Device>) -> io::Result<Self> {
        own_directory(directory)?;
        let _alone = lock(directory)?;
        let path = socket_path(directory, device()?);
        // The numbers are ours now, so a socket of that name was left by a mount that is gone.
        match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        // Who asks is looked at as well; this keeps others from asking at all.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let inode = std::fs::symlink_metadata(&path)?.ino();
        Ok(Self { listener, path, inode })
    }

    /// Takes requests until the receiver of `requests` is gone. Each comes with the connection to answer on. Questions are
    /// answered by `answers`.
    pub async fn serve(self, requests: mpsc::Sender<(Request, Connection)>, answers: Arc<dyn Answers>) {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(cause) => {
                    tracing::error!(%cause, "the control socket no longer works; SIGTERM still does");
                    return;
                }
            };
            let (requests, answers) = (requests.clone(), Arc::clone(&answers));
            tokio::spawn(async move {
                if let Some(pair) = receive(stream, &*answers).await {
                    // Nobody takes requests any more: the process is ending, and the connection with it.
                    let _ = requests.send(pair).await;
                }
            });
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Once this mount is gone the next one has its numbers, and may have its socket here already, or come between the
        // look and the removal. Without the directory there is no socket either.
        let _alone = self.path.parent().map(lock);
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            // If it is gone now, that is what was wanted.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// As long as the answer lives, no other mount changes which sockets there are.
fn lock(directory: &Path) -> io::Result<Held> {
    File::open(directory).and_then(Held::wait)
}

/// The asker's end of a request that was received.
#[derive(Debug)]
pub struct Connection {
    replies: mpsc::UnboundedSender<Reply>,
    writer: tokio::task::JoinHandle<()>,
    hung_up: tokio::sync::oneshot::Receiver<()>,
    socket: OwnedFd,
}

impl Connection {
    /// Sends one line; to an asker who has hung up, nothing.
    pub fn reply(&self, reply: Reply) {
        let _ = self.replies.send(reply);
    }

    /// Waits until the asker has hung up.
    pub async fn hung_up(&mut self) {
        // An error means that the task that watches has ended, which it does when the asker hangs up.
        let _ = (&mut self.hung_up).await;
    }

    /// Whether the asker has hung up, at this very moment.
    #[must_use]
    pub fn has_hung_up(&self) -> bool {
        let mut byte = [0; 1];
        matches!(rustix::net::recv(&self.socket, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT), Ok((_, 0)))
    }

    /// Waits until every reply has been sent, and ends the connection.
    pub async fn finish(self) {
        drop(self.replies);
        // It fails only with the runtime, which takes the connection along.
        let _ = self.writer.await;
    }
}

async fn receive(stream: UnixStream, answers: &dyn Answers) -> Option<(Request, Connection)> {
    let peer = stream.peer_cred().ok()?.uid();
    let socket = stream.as_fd().try_clone_to_owned().ok()?;
    let (read, mut write) = stream.into_split();
    if peer != 0 && peer != rustix::process::geteuid().as_raw() {
        return answer_once(&mut write, &Reply::Refused(format!("user {peer} may not control this mount"))).await;
    }
    let mut reader = BufReader::new(read.take(REQUEST_BYTES_MAX));
    let mut line = String::new();
    reader.read_line(&mut line).await.ok()?;
    if let Ok(question) = serde_json::from_str(&line) {
        return answer_once(&mut write, &answers.answer(&question)).await;
    }
    let request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(cause) => {
            return answer_once(&mut write, &Reply::Refused(format!("the request was not understood: {cause}"))).await;
        }
    };
    // Unbounded, but what is sent is at most five lines a second while the asker waits.
    let (replies, lines) = mpsc::unbounded_channel();
    let (gone, hung_up) = tokio::sync::oneshot::channel();
    let writer = tokio::spawn(write_replies(write, lines));
    tokio::spawn(wait_for_end(reader.into_inner().into_inner(), gone));
    Some((request, Connection { replies, writer, hung_up, socket }))
}

/// Says the one thing there is to say. Nothing is left to be done then.
async fn answer_once(write: &mut OwnedWriteHalf, reply: &Reply) -> Option<(Request, Connection)> {
    // Who has hung up has heard enough.
    let _ = write_reply(write, reply).await;
    None
}

async fn write_replies(mut write: OwnedWriteHalf, mut lines: mpsc::UnboundedReceiver<Reply>) {
    while let Some(reply) = lines.recv().await {
        if write_reply(&mut write, &reply).await.is_err() {
            return;
        }
    }
}

async fn write_reply(write: &mut OwnedWriteHalf, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply).expect("a reply is plain data");
    line.push(b'\n');
    write.write_all(&line).await
}

async fn wait_for_end(mut read: OwnedReadHalf, gone: tokio::sync::oneshot::Sender<()>) {
    let mut byte = [0];
    while matches!(read.read(&mut byte).await, Ok(1)) {}
    let _ = gone.send(());
}

// In /tmp anybody can have made the directory before us, to listen in.
fn own_directory(directory: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => return Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(cause),
    }
    let found = std::fs::symlink_metadata(directory)?;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_dir() && ours && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("{} is not a directory that only this user can write to", directory.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Told;

    impl Answers for Told {
        fn answer(&self, _question: &Question) -> Reply {
            Reply::Status(Box::new(Status { source: "s3://b".to_owned(), ..Status::default() }))
        }
    }

    #[test]
    fn sockets_lie_where_only_their_user_can_reach_them() {
        let device = Device { major: 0, minor: 52 };
        assert_eq!(directory(0, Some(Path::new("/run/user/0"))), Path::new("/run/brigade"));
        assert_eq!(directory(7, Some(Path::new("/run/user/7"))), Path::new("/run/user/7/brigade"));
        assert_eq!(directory(7, Some(Path::new("relative"))), Path::new("/tmp/brigade-7"));
        assert_eq!(directory(7, None), Path::new("/tmp/brigade-7"));
        let found = candidates(Path::new("/run/brigade"), Some(7), device);
        let want = ["/run/brigade/0-52.sock", "/run/user/7/brigade/0-52.sock", "/tmp/brigade-7/0-52.sock"];
        assert_eq!(found, want.map(PathBuf::from));
    }

    #[test]
    fn the_lines_are_the_documented_ones() {
        let request = Request::Umount { dir: "/mnt".into(), force: false };
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"do":"umount","dir":"/mnt","force":false}"#);
        let request = Request::Upgrade { dir: "/mnt".into(), program: "/b".into() };
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"do":"upgrade","dir":"/mnt","program":"/b"}"#);
        let rows = [
            (Reply::Pending { files: 2, bytes: 9, outage_s: None }, r#"{"pending":{"files":2,"bytes":9}}"#),
            (
                Reply::Pending { files: 2, bytes: 9, outage_s: Some(35) },
                r#"{"pending":{"files":2,"bytes":9,"outage_s":35}}"#,
            ),
            (Reply::NotStored("a: no".into()), r#"{"not_stored":"a: no"}"#),
            (Reply::Busy, r#""busy""#),
            (Reply::Refused("no".into()), r#"{"refused":"no"}"#),
            (Reply::HandedOver, r#""handed_over""#),
            (Reply::Unmounted, r#""unmounted""#),
        ];
        for (reply, want) in rows {
            assert_eq!(serde_json::to_string(&reply).unwrap(), want);
            assert_eq!(serde_json::from_str::<Reply>(want).unwrap(), reply);
        }
    }

    #[tokio::test]
    async fn a_request_is_answered_line_by_line_until_the_end() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("sockets");
        let device = Device { major: 0, minor: 1 };
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(socket_path(&directory, device), "left by a crash").unwrap();
        let listener = Listener::bind(&directory, || Ok(device)).unwrap();
        assert_eq!(std::fs::metadata(socket_path(&directory, device)).unwrap().mode() & 0o777, 0o600);
        let (sender, mut receiver) = mpsc::channel(1);
        let serving = tokio::spawn(listener.serve(sender, Arc::new(Told)));

        let path = socket_path(&directory, device);
        let asker = tokio::task::spawn_blocking({
            let path = path.clone();
            move || {
                let request = Request::Umount { dir: "/mnt".into(), force: true };
                let mut client = Client::ask(&[PathBuf::from("/nowhere"), path], &request).unwrap();
                let mut replies = Vec::new();
                while let Some(reply) = client.receive(None).unwrap() {
                    replies.push(reply);
                }
                replies
            }
        });
        let (request, connection) = receiver.recv().await.unwrap();
        assert_eq!(request, Request::Umount { dir: "/mnt".into(), force: true });
        connection.reply(Reply::Pending { files: 1, bytes: 2, outage_s: None });
        connection.reply(Reply::Unmounted);
        connection.finish().await;
        assert_eq!(asker.await.unwrap(), [Reply::Pending { files: 1, bytes: 2, outage_s: None }, Reply::Unmounted]);

        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        assert!(!path.exists(), "the socket goes with its listener");
    }

    #[tokio::test]
    async fn nonsense_is_refused_and_the_next_request_served() {
        let root = tempfile::tempdir().unwrap();
        let device = Device { major: 0, minor: 1 };
        let listener = Listener::bind(root.path(), || Ok(device)).unwrap();
        let (sender, mut receiver) = mpsc::channel(1);
        tokio::spawn(listener.serve(sender, Arc::new(Told)));
        for nonsense in ["{}\n", "\n", "{\"do\":\"fly\"}\n", "\u{0}\n"] {
            let mut stream = UnixStream::connect(socket_path(root.path(), device)).await.unwrap();
            stream.write_all(nonsense.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.contains("refused"), "{nonsense:?} was answered {answer:?}");
        }
        let mut stream = UnixStream::connect(socket_path(root.path(), device)).await.unwrap();
        stream.write_all(b"{\"do\":\"umount\",\"dir\":\"/m\",\"force\":false}\n").await.unwrap();
        let (_, mut connection) = receiver.recv().await.unwrap();
        assert!(!connection.has_hung_up());
        drop(stream);
        assert!(connection.has_hung_up(), "known at once");
        connection.hung_up().await;
    }

    #[tokio::test]
    async fn a_question_is_answered_while_nobody_takes_requests() {
        let root = tempfile::tempdir().unwrap();
        let device = Device { major: 0, minor: 1 };
        let listener = Listener::bind(root.path(), || Ok(device)).unwrap();
        let (sender, _receiver) = mpsc::channel(1);
        tokio::spawn(listener.serve(sender, Arc::new(Told)));
        let path = socket_path(root.path(), device);
        let asked = tokio::task::spawn_blocking(move || {
            let mut client = Client::ask(&[path], &Question::Status).unwrap();
            (client.receive(None).unwrap(), client.receive(None).unwrap())
        });
        let (Some(Reply::Status(status)), None) = asked.await.unwrap() else { panic!("one answer, and the end") };
        assert_eq!(status.source, "s3://b");
    }

    #[tokio::test]
    async fn the_socket_of_the_next_mount_with_these_numbers_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let device = Device { major: 0, minor: 1 };
        let gone = Listener::bind(root.path(), || Ok(device)).unwrap();
        let next = Listener::bind(root.path(), || Ok(device)).unwrap();
        drop(gone);
        assert!(UnixStream::connect(socket_path(root.path(), device)).await.is_ok());
        drop(next);
        assert!(!socket_path(root.path(), device).exists());
    }

    #[tokio::test]
    async fn one_that_goes_while_the_next_one_comes_leaves_its_socket_alone() {
        let root = tempfile::tempdir().unwrap();
        let device = Device { major: 0, minor: 1 };
        let bind = || Listener::bind(root.path(), || Ok(device)).unwrap();
        let mut here = bind();
        for nth in 0..2000 {
            let gone = tokio::task::spawn_blocking(move || drop(here));
            here = bind();
            gone.await.unwrap();
            assert!(UnixStream::connect(socket_path(root.path(), device)).await.is_ok(), "the {nth}th is gone");
        }
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_not_used() {
        let root = tempfile::tempdir().unwrap();
        let open = root.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(own_directory(&open).is_err());
        std::os::unix::fs::symlink(root.path(), root.path().join("link")).unwrap();
        assert!(own_directory(&root.path().join("link")).is_err());
        own_directory(&root.path().join("new")).unwrap();
        assert_eq!(std::fs::metadata(root.path().join("new")).unwrap().mode() & 0o777, 0o700);
        own_directory(&root.path().join("new")).unwrap();
    }
}
