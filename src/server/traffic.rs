//! What requests of one operation have carried. Bodies only: heads are small, and what a dialect adds to them differs.

use crate::http::server::ResponseBody;

/// Requests of one operation so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many there were, refused ones among them.
    pub requests: u64,
    /// Bytes of their bodies as their heads tell, with what a signed encoding adds.
    pub received: u64,
    /// Bytes of the bodies of their answers, refusals apart; a client that goes away early has taken fewer.
    pub sent: u64,
}

/// How many bytes follow the head of an answer.
#[must_use]
pub fn body_bytes(body: &ResponseBody) -> u64 {
    match body {
        // A length alone is the answer to HEAD.
        ResponseBody::Empty | ResponseBody::Length(_) | ResponseBody::Cut(_) => 0,
        ResponseBody::Full(bytes) => bytes.len() as u64,
        ResponseBody::Stream(bytes, _) => *bytes,
    }
}
