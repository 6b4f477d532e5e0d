//! The body of an answer, cut to what was asked for.

use crate::http;
use crate::store::Body;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Result;
use crate::store::client::send::no_answer;
use crate::store::ops::Call;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;

/// The bytes asked for out of those that come; fewer are an error. The rest of a whole object that was not asked
/// for is not read: dropping the connection is cheaper.
pub(super) fn exactly(call: Call, body: http::Incoming, skip: u64, take: u64) -> Body {
    let state = Some(Slice { call, body, skip, left: take });
    stream::unfold(state, |state| async move {
        let mut slice = state?;
        match slice.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(slice))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

struct Slice {
    call: Call,
    body: http::Incoming,
    skip: u64,
    left: u64,
}

impl Slice {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.left > 0 {
            let Some(piece) = self.body.next().await else {
                let message = format!("the body ended {} bytes early", self.left);
                return Err(Error::new(self.call.op, self.call.key.clone(), Kind::Network, message));
            };
            let mut piece = piece.map_err(|error| no_answer(&self.call, error))?;
            let skipped = usize::try_from(self.skip).map_or(piece.len(), |skip| skip.min(piece.len()));
            drop(piece.split_to(skipped));
            self.skip -= skipped as u64;
            piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            if !piece.is_empty() {
                self.left -= piece.len() as u64;
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}
