//! What was learnt from the bucket and may be believed for a while. Validated by what listings show, never by time alone.

pub mod metadata;
