//! Unpredictable bytes for ids, keys and jitter, from the operating system.

use data_encoding::HEXLOWER;

/// Fills a fresh array from the operating system's generator.
///
/// # Panics
/// When the system has no source of randomness; going on would make guessable keys.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    getrandom::fill(&mut out).expect("the system provides random bytes");
    out
}

/// `2 * N` lower-case hex digits.
#[must_use]
pub fn hex<const N: usize>() -> String {
    HEXLOWER.encode(&bytes::<N>())
}

/// A uniform fraction in `0.0..1.0`, for jitter.
#[must_use]
pub fn fraction() -> f64 {
    f64::from(u32::from_le_bytes(bytes())) / (f64::from(u32::MAX) + 1.0)
}
