//! What every layer may use: time, randomness, byte sizes, memory, figures, locks between processes. Nothing here knows of
//! objects or HTTP.

pub mod bytesize;
pub mod clock;
pub mod exposition;
pub mod failures;
pub mod held;
pub mod metrics;
pub mod pool;
pub mod process;
pub mod random;
