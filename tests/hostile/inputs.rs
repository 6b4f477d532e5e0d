//! Inputs nobody should send: arbitrary bytes, heaps of the tokens that parsers look for, and samples that were damaged.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::sample::select;

/// Bytes; no input is longer, so that thousands of them take seconds.
const INPUT_BYTES_MAX: usize = 48 << 10;

/// What parsers look for, and numbers at the ends of their types.
const TOKENS: &[&str] = &[
    "<",
    "</",
    "<a>",
    "</a>",
    "<a/>",
    "<Part>",
    "</Part>",
    "<Contents>",
    "<Key>",
    "</Key>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?",
    "?>",
    "&",
    "&#0;",
    "&#x10FFFF;",
    "&#xFFFFFFFFF;",
    "&amp;",
    "&lol;",
    "<!DOCTYPE a [",
    "{",
    "}",
    "[",
    "]",
    "{}",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    ":",
    ",",
    "\"Part\":",
    "\"\",",
    "null",
    "true",
    "1e400",
    "-0",
    "0.1",
    "-1",
    "0",
    "1",
    "255",
    "256",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "00000000000000000001",
    "+1",
    " ",
    "\t",
    "\r",
    "\n",
    "\r\n",
    "\r\n\r\n",
    "\0",
    "%",
    "%2",
    "%zz",
    "%00",
    "%ff",
    "%2F",
    "=",
    ";",
    "&&",
    "?",
    "/",
    "//",
    "..",
    "-",
    "bytes",
    "*",
    "bytes=",
    "W/",
    "W/\"",
    "&quot;",
    "Credential=",
    "SignedHeaders=",
    "Signature=",
    "host;",
    "chunk-signature=",
    "\u{feff}",
    "\u{e9}",
    "\u{1f600}",
    "\u{2028}",
    "1970-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "-009999-01-01T00:00:00Z",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:60 GMT",
];

/// One thing that happens to a sample.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Set(Index, u8),
    Cut(Index),
    Remove(Index, Index),
    Repeat(Index, Index, usize),
    Insert(Index, &'static str, usize),
    Splice(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let times = || prop_oneof![4 => 1usize..4, 1 => 1usize..5000];
    prop_oneof![
        2 => (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        1 => any::<Index>().prop_map(Damage::Cut),
        2 => any::<(Index, Index)>().prop_map(|(from, to)| Damage::Remove(from, to)),
        3 => (any::<(Index, Index)>(), times()).prop_map(|((from, to), times)| Damage::Repeat(from, to, times)),
        4 => (any::<Index>(), select(TOKENS), times()).prop_map(|(at, token, times)| Damage::Insert(at, token, times)),
        2 => any::<(Index, Index)>().prop_map(|(end, start)| Damage::Splice(end, start)),
    ]
}

impl Damage {
    fn apply(&self, input: &mut Vec<u8>, other: &[u8]) {
        let place = |at: &Index, bytes: usize| at.index(bytes + 1);
        let run = |from: &Index, to: &Index, bytes: usize| {
            let (a, b) = (place(from, bytes), place(to, bytes));
            a.min(b)..a.max(b)
        };
        let bytes = input.len();
        match self {
            Self::Flip(..) | Self::Set(..) if bytes == 0 => {}
            Self::Flip(at, bit) => input[at.index(bytes)] ^= 1 << bit,
            Self::Set(at, byte) => input[at.index(bytes)] = *byte,
            Self::Cut(at) => input.truncate(place(at, bytes)),
            Self::Remove(from, to) => drop(input.drain(run(from, to, bytes))),
            Self::Repeat(from, to, times) => {
                let run = run(from, to, bytes);
                let again = input[run.clone()].repeat(fitting(*times, run.len(), bytes));
                input.splice(run.end..run.end, again);
            }
            Self::Insert(at, token, times) => {
                let at = place(at, bytes);
                input.splice(at..at, token.as_bytes().repeat(fitting(*times, token.len(), bytes)));
            }
            Self::Splice(end, start) => {
                input.truncate(place(end, bytes));
                input.extend_from_slice(&other[place(start, other.len())..]);
            }
        }
        input.truncate(INPUT_BYTES_MAX);
    }
}

fn fitting(times: usize, each: usize, held: usize) -> usize {
    times.min((INPUT_BYTES_MAX - held) / each.max(1))
}

/// Inputs for parsers that read things like these samples.
pub fn hostile(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let some = select(samples.clone());
    let damaged = (some, select(samples), vec(damage(), 0..5)).prop_map(|(mut input, other, damages)| {
        for damage in damages {
            damage.apply(&mut input, &other);
        }
        input
    });
    let tokens = vec(select(TOKENS), 0..60).prop_map(|tokens| tokens.concat().into_bytes());
    prop_oneof![6 => damaged, 1 => tokens, 1 => vec(any::<u8>(), 0..300)]
}

/// The same as text; what is not UTF-8 is replaced.
pub fn hostile_text<T: Into<Vec<u8>>>(samples: impl IntoIterator<Item = T>) -> impl Strategy<Value = String> {
    let samples = samples.into_iter().map(Into::into).collect();
    hostile(samples).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
