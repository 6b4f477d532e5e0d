//! Times for other processes, also those before 1970, which programs may set.

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// For `#[serde(with)]`.
///
/// # Errors
/// What the serializer answers.
pub fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    let parts = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (false, after),
        Err(before) => (true, before.duration()),
    };
    parts.serialize(to)
}

/// For `#[serde(with)]`.
///
/// # Errors
/// When there is no such time.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
    let (before, distance) = <(bool, Duration)>::deserialize(from)?;
    let time = if before { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.ok_or_else(|| D::Error::custom("a time that this machine does not have"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Kept(#[serde(with = "super")] SystemTime);

    #[test]
    fn times_come_back_from_either_side_of_1970() {
        let distance = Duration::new(86_400 * 365 * 40, 123_456_789);
        for time in [UNIX_EPOCH, UNIX_EPOCH + distance, UNIX_EPOCH - distance] {
            let bytes = postcard::to_stdvec(&Kept(time)).unwrap();
            assert_eq!(postcard::from_bytes::<Kept>(&bytes).unwrap(), Kept(time));
        }
        let never = postcard::to_stdvec(&(false, Duration::MAX)).unwrap();
        assert!(postcard::from_bytes::<Kept>(&never).is_err());
    }
}
