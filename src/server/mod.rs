//! The bundled S3 backend.
pub mod backend;
pub mod condition;
