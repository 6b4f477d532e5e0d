//! Real FUSE mounts of the bundled backend, used by real programs.
