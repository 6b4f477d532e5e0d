//! What every layer may use: time, randomness, byte sizes, memory, locks between processes. Nothing here knows of objects or HTTP.

pub mod bytesize;
pub mod clock;
pub mod held;
pub mod pool;
pub mod process;
pub mod random;
