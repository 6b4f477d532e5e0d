//! `brigade status` and `brigade log` without a mount: their help, and what they refuse.

use crate::program::brigade;
use crate::program::run;
use tempfile::TempDir;

const STATUS_HELP: &str = "\
Show what mounts do: files, uploads under way, memory, requests and their cost, the last failures

Usage: brigade status [OPTIONS] [DIR]

Arguments:
  [DIR]  The mount point [default: all that you have mounted]

Options:
      --json   Print one JSON document (docs/status.md)
      --watch  Show it again every second, until q or Ctrl-C; with --json a document a line
  -h, --help   Print help
";

const LOG_HELP: &str = "\
Show what a mount logs, and change it

Usage: brigade log [OPTIONS] <DIR>

Arguments:
  <DIR>  The mount point

Options:
      --level <LEVEL>    How much is logged from now on: error, warn, info, debug or trace
      --access <SWITCH>  Whether every request of a program is a line from now on: on or off
  -h, --help             Print help
";

#[test]
fn the_help_is_the_documented_one() {
    let home = TempDir::new().unwrap();
    for (command, want) in [("status", STATUS_HELP), ("log", LOG_HELP)] {
        let ran = run(brigade(home.path()).args([command, "--help"]));
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
        assert_eq!(ran.stdout, want);
    }
}

#[test]
fn what_is_no_mount_has_no_status() {
    let home = TempDir::new().unwrap();
    std::fs::create_dir(home.path().join("dir")).unwrap();
    let asked = |words: &[&str]| run(brigade(home.path()).current_dir(home.path()).args(words));
    asked(&["status", "dir"]).refused(1, &["dir is not mounted"]);
    asked(&["status", "missing", "--json"]).refused(1, &["missing does not exist"]);
    asked(&["status", "/proc", "--watch"]).refused(1, &["/proc is not a mount of Brigade but of proc"]);
    asked(&["log", "dir", "--level", "debug"]).refused(1, &["dir is not mounted"]);
    asked(&["log", "dir", "--access", "maybe"]).refused(2, &["'maybe'", "on, off", "brigade log --help"]);
    asked(&["log"]).refused(2, &["<DIR>", "brigade log --help"]);
}
