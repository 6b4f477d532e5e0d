//! How numbers, times and texts are spelled in user metadata, by us and by others. Pure. Which key says what is told in
//! [`attr`](crate::vfs::attr) and [`xattr`](crate::vfs::xattr).

use crate::vfs::attr::DeviceNumber;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Type bits of a mode (POSIX `S_IFMT`).
pub const TYPE_MASK: u32 = 0o170_000;

/// The largest major number of a device that Linux has (12 bits).
const MAJOR_MAX: u32 = 0xfff;

/// The largest minor number (20 bits).
const MINOR_MAX: u32 = 0xf_ffff;

/// The largest mode: type and permission bits.
const MODE_MAX: u32 = 0o177_777;

/// One key, two bases: s3fs writes decimal with type bits (`33188`), rclone octal with them (`100644`), others octal
/// without. A decimal reading that carries a legal type wins; only `10644` could be meant otherwise.
#[must_use]
pub fn parse_mode(text: &str) -> Option<u32> {
    match text.parse::<u32>().ok() {
        Some(mode) if has_type(mode) => Some(mode),
        _ => parse_octal_mode(text),
    }
}

/// As s3sync writes it: decimal, with type bits or without.
#[must_use]
pub fn parse_decimal_mode(text: &str) -> Option<u32> {
    text.parse().ok().filter(|mode| has_type(*mode) || *mode <= 0o7777)
}

/// As Google's and Amazon's tools write it: octal, with type bits or without.
#[must_use]
pub fn parse_octal_mode(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= MODE_MAX)
}

fn has_type(mode: u32) -> bool {
    let types = [0o010_000, 0o020_000, 0o040_000, 0o060_000, 0o100_000, 0o120_000, 0o140_000];
    mode <= MODE_MAX && types.contains(&(mode & TYPE_MASK))
}

/// Seconds since 1970 with an optional fraction, which is read as a fraction (s3fs itself takes its digits for
/// nanoseconds), or a time of RFC 3339.
#[must_use]
pub fn parse_time(text: &str) -> Option<SystemTime> {
    if text.contains(':') {
        return text.parse::<jiff::Timestamp>().ok().map(SystemTime::from);
    }
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9.9}").parse::<u32>().ok()?;
    let since = Duration::new(seconds.parse().ok()?, nanos);
    if negative { UNIX_EPOCH.checked_sub(since) } else { UNIX_EPOCH.checked_add(since) }
}

/// Nanoseconds that say so, or milliseconds (FSx for Lustre, user guide, "POSIX metadata support for data repositories").
#[must_use]
pub fn parse_lustre_time(text: &str) -> Option<SystemTime> {
    let since = match text.strip_suffix("ns") {
        Some(nanos) => Duration::from_nanos(nanos.parse().ok()?),
        None => Duration::from_millis(text.parse().ok()?),
    };
    UNIX_EPOCH.checked_add(since)
}

/// Exactly nine digits after the point, so that readers that take them for nanoseconds are right.
#[must_use]
pub fn format_time(time: SystemTime) -> String {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => format!("{}.{:09}", since.as_secs(), since.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            format!("-{}.{:09}", before.as_secs(), before.subsec_nanos())
        }
    }
}

/// As rclone writes it: hexadecimal, with the major number above the lowest 32 bits, or else packed by the kernel.
#[must_use]
pub fn parse_device(text: &str) -> Option<DeviceNumber> {
    let number = u64::from_str_radix(text, 16).ok()?;
    let (major, minor) = (u32::try_from(number >> 32).ok()?, u32::try_from(number & 0xffff_ffff).ok()?);
    match major {
        0 => Some(DeviceNumber(minor)),
        1..=MAJOR_MAX if minor <= MINOR_MAX => Some(DeviceNumber(minor & 0xff | major << 8 | (minor & !0xff) << 12)),
        _ => None,
    }
}

/// As [`parse_device`] reads it.
#[must_use]
pub fn format_device(DeviceNumber(packed): DeviceNumber) -> String {
    let (major, minor) = (packed >> 8 & MAJOR_MAX, packed & 0xff | packed >> 12 & !0xff);
    // Without a major number, only the packed form tells.
    let number = if major == 0 { packed.into() } else { u64::from(major) << 32 | u64::from(minor) };
    format!("{number:x}")
}

/// A value as its author wrote it: stores and SDKs put what is not ASCII into the encoded words of RFC 2047. Text that is
/// no encoded word stays as it is.
#[must_use]
pub fn decode_words(text: &str) -> Cow<'_, str> {
    if !text.contains("=?") {
        return Cow::Borrowed(text);
    }
    let (mut decoded, mut rest, mut after_word) = (String::new(), text, false);
    while let Some(at) = rest.find("=?") {
        let (before, from) = rest.split_at(at);
        let Some((word, length)) = decode_word(from) else {
            decoded.push_str(&rest[..at + 2]);
            (rest, after_word) = (&rest[at + 2..], false);
            continue;
        };
        // Blanks between two words only separate them (section 6.2).
        if !after_word || !before.bytes().all(|byte| byte.is_ascii_whitespace()) {
            decoded.push_str(before);
        }
        decoded.push_str(&word);
        (rest, after_word) = (&from[length..], true);
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

/// The word that `text` begins with, and its length there.
fn decode_word(text: &str) -> Option<(String, usize)> {
    let inner = text.strip_prefix("=?")?;
    let (charset, inner) = inner.split_once('?')?;
    let (encoding, inner) = inner.split_once('?')?;
    let (payload, _) = inner.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => data_encoding::BASE64.decode(payload.as_bytes()).ok()?,
        "Q" | "q" => decode_q(payload)?,
        _ => return None,
    };
    let known = |name: &str| charset.eq_ignore_ascii_case(name);
    let decoded = if known("utf-8") || known("us-ascii") {
        String::from_utf8(bytes).ok()?
    } else if known("iso-8859-1") {
        bytes.into_iter().map(char::from).collect()
    } else {
        return None;
    };
    let length = "=?".len() + charset.len() + 1 + encoding.len() + 1 + payload.len() + "?=".len();
    Some((decoded, length))
}

fn decode_q(text: &str) -> Option<Vec<u8>> {
    let (mut decoded, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'_' => b' ',
            b'=' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    Some(decoded)
}

/// A value as geesefs and many others escape it, with percent signs; what is no escape stays as it is.
#[must_use]
pub fn unescape(text: &str) -> Vec<u8> {
    percent_decode_str(&decode_words(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn modes_are_read_in_both_bases() {
        let rows: &[(&str, Option<u32>, &str)] = &[
            ("33188", Some(0o100_644), "s3fs: decimal with type bits"),
            ("41471", Some(0o120_777), "s3fs: a symbolic link"),
            ("100644", Some(0o100_644), "rclone: octal with type bits, in decimal a file with r--r--r-- and setuid"),
            ("104755", Some(0o104_755), "rclone: with setuid"),
            ("40755", Some(0o040_755), "rclone: a directory"),
            ("644", Some(0o644), "octal without type bits"),
            ("0755", Some(0o755), "octal with a leading zero"),
            ("0100644", Some(0o100_644), "octal with type bits and a leading zero"),
            ("16877", Some(0o040_755), "a directory in decimal"),
            ("65589", None, "no type, and no octal number"),
            ("", None, "nothing"),
            ("rwx", None, "no number"),
            ("999999", None, "neither"),
            ("-1", None, "negative"),
        ];
        for (text, want, why) in rows {
            assert_eq!(parse_mode(text), *want, "{text:?}: {why}");
        }
        let rows = [("420", Some(0o644)), ("33188", Some(0o100_644)), ("99999", None), ("0x1", None)];
        for (text, want) in rows {
            assert_eq!(parse_decimal_mode(text), want, "{text:?}");
        }
        let rows = [("644", Some(0o644)), ("0100664", Some(0o100_664)), ("420", Some(0o420)), ("777777", None)];
        for (text, want) in rows {
            assert_eq!(parse_octal_mode(text), want, "{text:?}");
        }
    }

    #[test]
    fn times_are_read_as_fractions() {
        let rows: &[(&str, Option<SystemTime>, &str)] = &[
            ("1616161616", Some(at(1_616_161_616, 0)), "whole seconds"),
            ("1616161616.5", Some(at(1_616_161_616, 500_000_000)), "rclone cuts trailing zeros"),
            ("1616161616.000000005", Some(at(1_616_161_616, 5)), "nine digits"),
            ("1.1234567891", Some(at(1, 123_456_789)), "more digits than there are nanoseconds"),
            ("-1.5", UNIX_EPOCH.checked_sub(Duration::new(1, 500_000_000)), "before 1970"),
            ("2021-03-19T13:46:56Z", Some(at(1_616_161_616, 0)), "RFC 3339"),
            ("2021-03-19T14:46:56.25+01:00", Some(at(1_616_161_616, 250_000_000)), "RFC 3339 of rclone and gcsfuse"),
            ("1969-12-31T23:59:59.5Z", UNIX_EPOCH.checked_sub(Duration::from_millis(500)), "before 1970"),
            ("2021-13-19T13:46:56Z", None, "no such month"),
            ("", None, "nothing"),
            ("1.x", None, "no digits"),
            ("99999999999999999999", None, "beyond all clocks"),
        ];
        for (text, want, why) in rows {
            assert_eq!(parse_time(text), *want, "{text:?}: {why}");
        }
        let rows = [
            ("1595002920000000001ns", Some(at(1_595_002_920, 1))),
            ("1595002920500", Some(at(1_595_002_920, 500_000_000))),
            ("ns", None),
            ("1.5", None),
        ];
        for (text, want) in rows {
            assert_eq!(parse_lustre_time(text), want, "{text:?}");
        }
    }

    #[test]
    fn devices_are_read_as_rclone_writes_them() {
        let rows: &[(&str, Option<u32>, &str)] = &[
            ("100000003", Some(0x103), "major 1, minor 3: /dev/null"),
            ("103", Some(0x103), "the same where rclone has no statx"),
            ("3", Some(3), "no major number"),
            ("fff000fffff", Some(0xffff_ffff), "the largest"),
            ("0", Some(0), "a whiteout"),
            ("100000000000", None, "no such major number"),
            ("100100000", None, "no such minor number"),
            ("", None, "nothing"),
            ("x", None, "no number"),
        ];
        for (text, want, why) in rows {
            assert_eq!(parse_device(text), want.map(DeviceNumber), "{text:?}: {why}");
        }
        assert_eq!(format_device(DeviceNumber(0x103)), "100000003");
    }

    #[test]
    fn encoded_words_are_decoded() {
        let rows: &[(&str, &str, &str)] = &[
            ("plain", "plain", "no word"),
            ("=?UTF-8?B?w7xtbMOkdXQ=?=", "ümläut", "base64, as Amazon answers"),
            ("=?utf-8?Q?=C3=BC_m?=", "ü m", "quoted, with a blank"),
            ("=?ISO-8859-1?q?=FC?=", "ü", "the other charset of the RFC"),
            ("a =?UTF-8?Q?b?= c", "a b c", "words among text"),
            ("=?UTF-8?Q?a?= =?UTF-8?Q?b?=", "ab", "two words are one text"),
            ("=?UTF-8?Q?a?= x =?UTF-8?Q?b?=", "a x b", "unless text is between them"),
            ("=?KOI8-R?B?AAAA?=", "=?KOI8-R?B?AAAA?=", "an unknown charset"),
            ("=?UTF-8?B?!!?=", "=?UTF-8?B?!!?=", "no base64"),
            ("=?UTF-8?Q?=4?=", "=?UTF-8?Q?=4?=", "half an escape"),
            ("=?UTF-8?B?/w==?=", "=?UTF-8?B?/w==?=", "no UTF-8"),
            ("=?", "=?", "no end"),
        ];
        for (text, want, why) in rows {
            assert_eq!(decode_words(text), *want, "{text:?}: {why}");
        }
    }

    proptest! {
        #[test]
        fn times_are_read_back(seconds in any::<i32>(), far in 0u32..4, nanos in 0u32..1_000_000_000) {
            let since = Duration::new(u64::from(seconds.unsigned_abs()) << (far * 8), nanos);
            let time = if seconds < 0 { UNIX_EPOCH - since } else { UNIX_EPOCH + since };
            let text = format_time(time);
            prop_assert_eq!(text.split_once('.').unwrap().1.len(), 9);
            prop_assert_eq!(parse_time(&text), Some(time));
        }

        #[test]
        fn devices_are_read_back(packed in any::<u32>()) {
            prop_assert_eq!(parse_device(&format_device(DeviceNumber(packed))), Some(DeviceNumber(packed)));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "[=?UTFQBbq8_ a:.0-9-]{0,24}|\\PC{0,12}") {
            let _ = (parse_mode(&text), parse_device(&text), parse_time(&text), parse_lustre_time(&text), unescape(&text));
        }
    }
}
