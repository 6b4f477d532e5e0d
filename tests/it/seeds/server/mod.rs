//! What the pages say of the store, asked of the bundled backend over HTTP with the vendors' hosts.

pub mod asking;
mod s000;
mod s001;
mod s002;
mod s003;
mod s004;
