//! The shell on the in-memory store.
