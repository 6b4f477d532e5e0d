//! The server under measurement: a process of its own, what it has used of the processors, and how large it was.

use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

/// The pair of keys that it is started with.
pub const KEYS: (&str, &str) = ("AKIDBENCH", "secret-of-the-benchmark");
/// The only bucket.
pub const BUCKET: &str = "bench";

/// A running `brigade serve --no-sync`.
pub struct Serving {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Serving {
    /// Starts it on data below `home` and waits until it serves.
    pub fn start(home: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_brigade"))
            .arg("serve")
            .arg(home.join("data"))
            .args(["--listen", "127.0.0.1:0", "--no-sync", "--bucket", BUCKET])
            .env("BRIGADE_ACCESS_KEY_ID", KEYS.0)
            .env("BRIGADE_SECRET_ACCESS_KEY", KEYS.1)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let out = BufReader::new(child.stdout.take().expect("it was asked for"));
        let said =
            out.lines().map_while(Result::ok).find_map(|line| Some(line.split_once("http://")?.1.trim().to_owned()));
        let addr = said.expect("it says where it serves").parse().expect("it says an address");
        Self { child, addr }
    }

    /// Its process id, as `/proc` wants it.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has nothing that anybody wants to keep.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds of processor time that a process has used.
pub fn cpu_seconds(pid: &str) -> f64 {
    // The kernel counts in hundredths of a second towards programs.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name in brackets").1.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / TICKS
}

/// Forgets how large a process was.
pub fn forget_peak(pid: &str) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the process is ours");
}

/// Bytes of resident memory that a process had at most since then.
pub fn peak_bytes(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel tells it");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes << 10
}
