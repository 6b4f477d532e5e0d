//! Whether the bucket is there: asked by a listing of one key, not by HEAD, whose failures come without a reason and
//! whose success any web server would give. Both need the same permission.

use crate::http::Method;
use crate::store::Op;
use crate::store::Result;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::document;
use crate::wire::xml;
use crate::wire::xml::Document;

pub(crate) struct HeadBucket;

impl Operation for HeadBucket {
    type Output = ();

    fn call(&self) -> Result<Call> {
        Ok(Call::bucket(Op::HeadBucket, Method::GET, "").query("list-type", "2").query("max-keys", "1"))
    }

    fn parse(&self, answer: &Answer) -> Result<()> {
        document(answer, Op::HeadBucket, "", xml::ListObjects::parse).map(drop)
    }
}
