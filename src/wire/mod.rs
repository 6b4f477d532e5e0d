//! Object storage as values, shared by client and server: names, signatures, bodies, codes. No I/O, no clock.
//!
//! Both sides use this module and would share its mistakes, so it is held to vectors published by others.

pub mod aws_chunked;
pub mod checksum;
pub mod copy_source;
pub mod date;
pub mod dialect;
pub mod document;
pub mod error_code;
pub mod etag;
pub mod json;
pub mod range;
pub mod sigv2;
pub mod sigv4;
pub mod uri;
pub mod xml;
