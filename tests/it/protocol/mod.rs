//! The backend on the wire: hand-made HTTP over TCP, so that what no client of ours would send is sent too.
//!
//! Each test ends by asking whether the server goes on.

mod bodies;
mod dialects;
mod encryption;
mod hostile;
mod listing;
mod objects;
pub mod raw;
mod starting;
mod uploads;
mod users;
