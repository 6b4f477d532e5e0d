//! What becomes of a request's body and of an answer under a decision. Bytes that are cut, slowed or changed on their way;
//! the connection itself ends in [`crate::http::server`].

use crate::http::server::Cut;
use crate::http::server::RequestBody;
use crate::http::server::Response;
use crate::http::server::ResponseBody;
use crate::server::attributes::insert;
use crate::server::faults::plan::Body;
use crate::server::faults::plan::Effect;
use crate::server::faults::plan::Ending;
use crate::server::faults::plan::Point;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::BoxStream;
use std::io;
use std::time::Duration;

/// Bytes of a document in a row of hex digits that are a tag: those of an MD5.
const TAG_DIGITS: usize = 32;
/// Bytes that are slowed down at once, unless that is more than a second brings.
const PIECE_BYTES: u64 = 16 << 10;

/// An answer that is none: the connection ends.
#[must_use]
pub fn cut(how: Ending) -> Response {
    let how = match how {
        Ending::Reset => Cut::Reset,
        Ending::Closed => Cut::Closed,
    };
    Response { body: ResponseBody::Cut(how), ..crate::server::reply::empty(crate::http::StatusCode::OK) }
}

/// Reads a body before its connection is cut: so many bytes, or to its end.
pub async fn swallow(mut body: RequestBody, bytes: Option<u64>) {
    let mut left = bytes.unwrap_or(u64::MAX);
    while left > 0
        && let Some(Ok(piece)) = body.next().await
    {
        left = left.saturating_sub(piece.len() as u64);
    }
}

/// What the effect makes of the answer to work that was done.
#[must_use]
pub fn answer(response: Response, effect: &Effect, draw: u64) -> Response {
    match effect {
        Effect::Cut { at: Point::BeforeAnswer, how } => cut(*how),
        Effect::Cut { at: Point::InAnswer(bytes), how } => shortened(response, *bytes, Some(*how)),
        Effect::Truncated { bytes, announced: false } => shortened(response, *bytes, Some(Ending::Closed)),
        Effect::Truncated { bytes, announced: true } => shortened(response, *bytes, None),
        Effect::Corrupted(Body::Answer) if response.status.is_success() => corrupted(response, draw),
        Effect::WrongETag if response.status.is_success() => other_tags(response),
        Effect::Latency(_)
        | Effect::Bandwidth { .. }
        | Effect::ClockSkew(_)
        | Effect::Refused { .. }
        | Effect::Cut { .. }
        | Effect::Stall(_)
        | Effect::Corrupted(_)
        | Effect::ErrorInside(_)
        | Effect::WrongETag
        | Effect::StaleListing(_) => response,
    }
}

/// The answer's body at so many bytes a second.
#[must_use]
pub fn slowed(mut response: Response, bytes_per_second: u64) -> Response {
    if let Some((length, bytes)) = taken(&mut response.body) {
        let at_once = usize::try_from(bytes_per_second.clamp(1, PIECE_BYTES)).expect("a small number");
        let paced = bytes.flat_map(move |piece| stream::iter(pieces(piece, at_once))).then(move |piece| async move {
            let bytes = piece.as_ref().map_or(0, Bytes::len);
            tokio::time::sleep(pause(bytes as u64, bytes_per_second)).await;
            piece
        });
        response.body = ResponseBody::Stream(length, paced.boxed());
    }
    response
}

/// How long so many bytes take.
#[must_use]
pub fn pause(bytes: u64, bytes_per_second: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn pieces(piece: io::Result<Bytes>, at_once: usize) -> Vec<io::Result<Bytes>> {
    let Ok(mut bytes) = piece else { return vec![piece] };
    let mut out = Vec::new();
    while !bytes.is_empty() {
        out.push(Ok(bytes.split_to(at_once.min(bytes.len()))));
    }
    out
}

type Bytewise = BoxStream<'static, io::Result<Bytes>>;

/// The length and the bytes of a body that has any.
fn taken(body: &mut ResponseBody) -> Option<(u64, Bytewise)> {
    match std::mem::replace(body, ResponseBody::Empty) {
        ResponseBody::Full(bytes) if !bytes.is_empty() => Some((bytes.len() as u64, stream::iter([Ok(bytes)]).boxed())),
        ResponseBody::Stream(length, bytes) => Some((length, bytes)),
        other => {
            *body = other;
            None
        }
    }
}

/// The first bytes of an answer, then the end of the connection; or a length that says there are no more.
fn shortened(mut response: Response, bytes: Option<u64>, ending: Option<Ending>) -> Response {
    let Some((length, all)) = taken(&mut response.body) else {
        return match ending {
            Some(how) => cut(how),
            None => response,
        };
    };
    // At least one byte less: else nothing would have happened.
    let kept = bytes.unwrap_or(length / 2).min(length.saturating_sub(1));
    let first = all.scan(kept, |left, piece| {
        let piece = piece.map(|mut piece| {
            let whole = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
            *left -= whole as u64;
            piece.split_to(whole)
        });
        std::future::ready(Some(piece).filter(|piece| piece.as_ref().is_ok_and(|piece| !piece.is_empty())))
    });
    let Some(how) = ending else {
        response.body = ResponseBody::Stream(kept, first.boxed());
        return response;
    };
    let kind = match how {
        Ending::Reset => io::ErrorKind::ConnectionReset,
        Ending::Closed => io::ErrorKind::UnexpectedEof,
    };
    let end = stream::once(async move {
        // What was sent before leaves first: a connection that is pending is flushed.
        tokio::task::yield_now().await;
        Err(io::Error::from(kind))
    });
    response.body = ResponseBody::Stream(length, first.chain(end).boxed());
    response
}

/// A bit of so many bytes: the place of its byte, and which of that one it is.
#[must_use]
pub fn drawn_bit(bytes: u64, draw: u64) -> (u64, u32) {
    let bit = u32::try_from((draw >> 60) % 8).expect("below 8");
    (draw % bytes.max(1), bit)
}

fn corrupted(mut response: Response, draw: u64) -> Response {
    if let Some((length, bytes)) = taken(&mut response.body) {
        let (at, bit) = drawn_bit(length, draw);
        let changed = bytes.scan(0_u64, move |begin, piece| {
            let piece = piece.map(|piece| {
                let length = piece.len() as u64;
                let own = at.checked_sub(*begin).filter(|own| *own < length).and_then(|own| usize::try_from(own).ok());
                *begin += length;
                match own {
                    Some(own) => {
                        let mut changed = piece.to_vec();
                        changed[own] ^= 1 << bit;
                        changed.into()
                    }
                    None => piece,
                }
            });
            std::future::ready(Some(piece))
        });
        response.body = ResponseBody::Stream(length, changed.boxed());
    }
    response
}

fn other_tags(mut response: Response) -> Response {
    let own = response.headers.get("etag").map(|tag| other_tag(tag.as_bytes()));
    if let Some(tag) = own {
        insert(&mut response.headers, "etag", &tag);
    }
    let is_document = response.headers.get("content-type").is_some_and(|kind| {
        kind.as_bytes().starts_with(b"application/xml") || kind.as_bytes().starts_with(b"application/json")
    });
    if let ResponseBody::Full(bytes) = &mut response.body
        && is_document
    {
        *bytes = other_tag(bytes).into();
    }
    response
}

/// Every run of hex digits that is as long as a tag's gets another first digit.
fn other_tag(text: &[u8]) -> Vec<u8> {
    let mut out = text.to_vec();
    let mut begin = 0;
    for end in 0..=out.len() {
        if out.get(end).is_some_and(u8::is_ascii_hexdigit) {
            continue;
        }
        if end - begin == TAG_DIGITS {
            out[begin] = if out[begin] == b'0' { b'1' } else { b'0' };
        }
        begin = end + 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::StatusCode;
    use crate::server::reply;

    fn full(text: &'static str) -> Response {
        Response { body: ResponseBody::Full(Bytes::from_static(text.as_bytes())), ..reply::empty(StatusCode::OK) }
    }

    async fn read(response: Response) -> (u64, Vec<u8>, Option<io::ErrorKind>) {
        match response.body {
            ResponseBody::Full(bytes) => (bytes.len() as u64, bytes.to_vec(), None),
            ResponseBody::Stream(length, mut pieces) => {
                let mut all = Vec::new();
                while let Some(piece) = pieces.next().await {
                    match piece {
                        Ok(piece) => all.extend_from_slice(&piece),
                        Err(error) => return (length, all, Some(error.kind())),
                    }
                }
                (length, all, None)
            }
            ResponseBody::Empty | ResponseBody::Length(_) | ResponseBody::Cut(_) => (0, Vec::new(), None),
        }
    }

    #[tokio::test]
    async fn bodies_end_where_they_should() {
        let cut = |at| Effect::Cut { at, how: Ending::Reset };
        let truncated = |announced| Effect::Truncated { bytes: Some(2), announced };
        let reset = Some(io::ErrorKind::ConnectionReset);
        let rows = [
            (cut(Point::InAnswer(None)), 6, "abc", reset),
            (cut(Point::InAnswer(Some(100))), 6, "abcde", reset),
            (truncated(false), 6, "ab", Some(io::ErrorKind::UnexpectedEof)),
            (truncated(true), 2, "ab", None),
            (Effect::ClockSkew(1), 6, "abcdef", None),
        ];
        for (effect, length, bytes, error) in rows {
            let altered = read(answer(full("abcdef"), &effect, 0)).await;
            assert_eq!(altered, (length, bytes.as_bytes().to_vec(), error), "{effect:?}");
        }
        let lost = answer(full("abc"), &Effect::Cut { at: Point::BeforeAnswer, how: Ending::Closed }, 0);
        assert!(matches!(lost.body, ResponseBody::Cut(Cut::Closed)));
    }

    #[tokio::test]
    async fn one_bit_is_changed_wherever_it_is() {
        for draw in [0, 3, 5, u64::MAX, 1 << 60] {
            let (length, bytes, _) = read(answer(full("abcdef"), &Effect::Corrupted(Body::Answer), draw)).await;
            let bits: u32 = bytes.iter().zip(b"abcdef").map(|(one, other)| (one ^ other).count_ones()).sum();
            assert_eq!((length, bytes.len(), bits), (6, 6, 1), "{draw}");
        }
    }

    #[test]
    fn tags_change_and_nothing_else_does() {
        let tag = "0123456789abcdef0123456789abcdef";
        let text = format!("<ETag>\"{tag}\"</ETag><ETag>\"{tag}-3\"</ETag> {tag}0 cafe");
        let changed = String::from_utf8(other_tag(text.as_bytes())).unwrap();
        let other = "1123456789abcdef0123456789abcdef";
        assert_eq!(changed, format!("<ETag>\"{other}\"</ETag><ETag>\"{other}-3\"</ETag> {tag}0 cafe"));
    }

    #[test]
    fn a_bandwidth_gives_a_time() {
        assert_eq!(pause(512, 1024), Duration::from_millis(500));
        assert_eq!(pause(0, 1), Duration::ZERO);
    }
}
