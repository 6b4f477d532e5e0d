//! Integration tests that need no FUSE: the store conformance suite, the backend's protocol, the command line.
