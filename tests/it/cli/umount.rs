//! What `brigade umount` refuses, and its words about what is no mount of ours.

use crate::program::brigade;
use crate::program::run;
use tempfile::TempDir;

#[test]
fn what_is_not_mounted_cannot_be_unmounted() {
    let home = TempDir::new().unwrap();
    let umount = |dir: &str| run(brigade(home.path()).current_dir(home.path()).args(["umount", dir]));
    std::fs::create_dir(home.path().join("dir")).unwrap();
    umount("dir").refused(1, &["dir is not mounted"]);
    umount("missing").refused(1, &["missing does not exist"]);
    umount("/proc").refused(1, &["/proc is not a mount of Brigade but of proc", "`umount /proc`"]);
}

#[test]
fn wrong_usage_is_one_line_and_status_2() {
    let home = TempDir::new().unwrap();
    run(brigade(home.path()).arg("umount")).refused(2, &["<DIR>", "brigade umount --help"]);
    run(brigade(home.path()).args(["umount", "dir", "--timeout", "soon"])).refused(2, &["soon", "--timeout", "30s"]);
}
