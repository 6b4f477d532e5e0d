//! The bundled backend, served inside the test process from a directory of its own.

use brigade::base::clock;
use brigade::server::Error;
use brigade::server::Options;
use brigade::server::Server;
use brigade::server::Traffic;
use brigade::server::Usage;
use brigade::server::keys::Keys;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::process::Command;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub const ACCESS_KEY_ID: &str = "AKIDTEST";
pub const SECRET: &str = "a secret for tests, and for nothing else";
pub const BUCKET: &str = "bucket";

/// For so long others may hold the port of a backend that was stopped.
const PORT_HELD_MAX: Duration = Duration::from_secs(60);

/// A running backend with one empty bucket, [`BUCKET`].
pub struct Backend {
    runtime: Runtime,
    server: Option<Server>,
    /// With the port that it got, to be started again.
    options: Options,
    // Goes away with the backend.
    _data: TempDir,
}

impl Backend {
    pub fn start() -> Self {
        let runtime = Runtime::new().expect("threads can be made");
        let data = TempDir::new().expect("the system has a directory for temporary files");
        let keys = Keys { access_key_id: ACCESS_KEY_ID.to_owned(), secret: SECRET.to_owned() };
        let mut options =
            Options { buckets: vec![BUCKET.to_owned()], sync: false, ..Options::new(data.path().join("data"), keys) };
        let server =
            runtime.block_on(Server::start(options.clone())).expect("the backend starts in an empty directory");
        options.listen = server.addr();
        Self { runtime, server: Some(server), options, _data: data }
    }

    /// Stops it; nobody listens at its port any more.
    pub fn stop(&mut self) {
        let server = self.server.take().expect("it runs");
        self.runtime.block_on(server.shutdown());
    }

    /// Starts it again after [`stop`](Self::stop), at the same port and with the same data.
    pub fn restart(&mut self) {
        let begun = clock::monotonic();
        self.server = Some(loop {
            match self.runtime.block_on(Server::start(self.options.clone())) {
                Ok(server) => break server,
                // A child that another test's thread has just made has a copy of the socket until it is another program.
                Err(Error::Listen { source, .. })
                    if source.kind() == ErrorKind::AddrInUse && begun.elapsed() < PORT_HELD_MAX =>
                {
                    thread::yield_now();
                }
                Err(error) => panic!("its port is free and its data are whole: {error}"),
            }
        });
    }

    /// Lets in another pair of keys instead of the first, from the next start on.
    pub fn rotate(&mut self, keys: Keys) {
        self.options.keys = keys;
    }

    /// Lets in the pairs of such a file beside the first, from the next start on.
    pub fn admit(&mut self, users: &str) {
        self.options.users = brigade::server::users::parse(users).unwrap_or_else(|why| panic!("{why}:\n{users}"));
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.options.listen)
    }

    /// How many requests there were of an operation, by S3's name of it.
    pub fn requests(&self, operation: &str) -> u64 {
        self.traffic().get(operation).map_or(0, |traffic| traffic.requests)
    }

    /// What there was of every operation, by S3's name of it.
    pub fn traffic(&self) -> BTreeMap<&'static str, Traffic> {
        self.server.as_ref().expect("it runs").traffic()
    }

    /// Puts a plan of faults in force, as `docs/faults.md` has them; an empty one heals the backend.
    pub fn set_faults(&self, plan: &str) {
        let plan = brigade::server::faults::file::parse(plan).unwrap_or_else(|why| panic!("{why}:\n{plan}"));
        self.server.as_ref().expect("it runs").set_faults(Some(plan));
    }

    /// How many requests have met a fault since the plan was set.
    pub fn faults_met(&self) -> u64 {
        self.server.as_ref().expect("it runs").fault_counts().iter().map(|counts| counts.hit).sum()
    }

    /// How much [`BUCKET`] holds.
    pub fn usage(&self) -> Usage {
        let server = self.server.as_ref().expect("it runs");
        self.runtime.block_on(server.usage(BUCKET)).expect("the bucket is there")
    }

    /// Gives the command what it needs to reach this backend.
    pub fn reach(&self, command: &mut Command) {
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID).env("AWS_SECRET_ACCESS_KEY", SECRET);
        command.env("AWS_ENDPOINT_URL", self.endpoint()).env("AWS_REGION", "us-east-1");
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}
