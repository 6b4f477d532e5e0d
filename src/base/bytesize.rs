//! Byte counts as people write and read them: `256MiB`, `8M`, `5GiB`, `1048576`.

use std::fmt;
use std::str::FromStr;

/// One mebibyte, in bytes.
pub const MIB: u64 = 1 << 20;
/// One gibibyte, in bytes.
pub const GIB: u64 = 1 << 30;

/// A number of bytes given by a person. `K`, `M`, `G`, `T` and `KiB`… are powers of 1024; `KB`… are powers of 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// Why a text is not a byte size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No digits, or something else than a number before the unit.
    #[error("{0:?} is not a size; write bytes or a unit, such as 8MiB, 512K or 1048576")]
    NotANumber(String),
    /// The letters after the number mean nothing.
    #[error("unknown unit {0:?}; use K, M, G, T (powers of 1024), KiB… or KB… (powers of 1000)")]
    UnknownUnit(String),
    /// More than 2^64 bytes.
    #[error("{0:?} is more bytes than can be counted")]
    TooLarge(String),
}

impl FromStr for ByteSize {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let trimmed = text.trim();
        let digits = trimmed.chars().take_while(char::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        if number.is_empty() {
            return Err(ParseError::NotANumber(text.to_owned()));
        }
        let scale = unit_bytes(unit.trim_start())?;
        let number: u64 = number.parse().map_err(|_| ParseError::TooLarge(text.to_owned()))?;
        number.checked_mul(scale).map(Self).ok_or_else(|| ParseError::TooLarge(text.to_owned()))
    }
}

fn unit_bytes(unit: &str) -> Result<u64, ParseError> {
    Ok(match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(ParseError::UnknownUnit(unit.to_owned())),
    })
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        for (scale, name) in UNITS {
            if self.0 >= scale {
                let tenths = u128::from(self.0) * 10 / u128::from(scale);
                let (whole, tenth) = (tenths / 10, tenths % 10);
                return if tenth == 0 { write!(f, "{whole} {name}") } else { write!(f, "{whole}.{tenth} {name}") };
            }
        }
        write!(f, "{} B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let rows: &[(&str, Result<u64, ParseError>, &str)] = &[
            ("0", Ok(0), "plain bytes"),
            ("1048576", Ok(1 << 20), "plain bytes"),
            ("8MiB", Ok(8 << 20), "binary unit"),
            ("8m", Ok(8 << 20), "short unit, any case"),
            (" 5 GiB ", Ok(5 << 30), "spaces around"),
            ("1KB", Ok(1000), "decimal unit"),
            ("16777215T", Ok(16_777_215 << 40), "the largest number of TiB"),
            ("", Err(ParseError::NotANumber(String::new())), "nothing"),
            ("MiB", Err(ParseError::NotANumber("MiB".into())), "no number"),
            ("-1", Err(ParseError::NotANumber("-1".into())), "negative"),
            ("1.5G", Err(ParseError::UnknownUnit(".5G".into())), "fractions are not read"),
            ("8 parsecs", Err(ParseError::UnknownUnit("parsecs".into())), "no unit of size"),
            ("16777216T", Err(ParseError::TooLarge("16777216T".into())), "2^64"),
            ("99999999999999999999", Err(ParseError::TooLarge("99999999999999999999".into())), "too many digits"),
        ];
        for (text, want, why) in rows {
            assert_eq!(&text.parse::<ByteSize>().map(|s| s.0), want, "{text:?}: {why}");
        }
    }

    #[test]
    fn sizes_are_shown_with_one_decimal() {
        for (bytes, want) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (8 << 20, "8 MiB"), (5 << 40, "5 TiB")] {
            assert_eq!(ByteSize(bytes).to_string(), want);
        }
    }
}
