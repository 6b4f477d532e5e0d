//! Integration tests that need no FUSE: the store conformance suite, the backend's protocol, the command line.

// Always so here; said for clippy, which lets tests unwrap only where it is written.
#[cfg(test)]
mod conformance;
