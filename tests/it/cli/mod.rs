//! The command line as users and scripts see it: what is refused, in which words, with which status. Nothing here needs
//! FUSE: each command ends before it would mount.

mod check;
mod mount;
mod serve;
mod status;
mod tls;
mod umount;
mod uploads;
