//! What every layer may use: time, randomness, byte sizes, memory. Nothing here knows of files, objects or HTTP.

pub mod bytesize;
pub mod clock;
pub mod pool;
pub mod process;
pub mod random;
