//! Files of the data directory that only their owner may read, written whole or not at all.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Ending of a file that is being written.
const DRAFT: &str = "new";

/// The name under which a file is written before it gets its own.
#[must_use]
pub fn draft(name: &str) -> String {
    format!("{name}.{DRAFT}")
}

/// Writes the file. Afterwards it is on disk, and so is its name; a crash leaves it as it was, or not there.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_extension(DRAFT);
    let _ = std::fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(path.parent().expect("a file lies in a directory"))?.sync_all()
}
