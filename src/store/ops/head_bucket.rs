//! Whether the bucket is there: asked by a listing of one key, not by HEAD, whose failures come without a reason and
//! whose success any web server would give. Both need the same permission.

use crate::http::Method;
use crate::store::Dialect;
use crate::store::Op;
use crate::store::Result;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::document;
use crate::wire::xml;

pub(crate) struct HeadBucket;

impl Operation for HeadBucket {
    type Output = ();

    fn call(&self, dialect: Dialect) -> Result<Call> {
        let call = Call::bucket(Op::HeadBucket, Method::GET, "");
        Ok(match dialect {
            Dialect::S3 | Dialect::Wos => call.query("list-type", "2").query("max-keys", "1"),
            Dialect::Jss => call.query("maxKeys", "1"),
        })
    }

    fn parse(&self, answer: &Answer) -> Result<()> {
        document::<xml::ListObjects>(answer, Op::HeadBucket, "").map(drop)
    }
}
