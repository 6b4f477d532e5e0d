//! `DeleteObject`.

use crate::http::Method;
use crate::store::Dialect;
use crate::store::Op;
use crate::store::Result;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;

pub(crate) struct DeleteObject<'a> {
    pub key: &'a str,
}

impl Operation for DeleteObject<'_> {
    type Output = ();

    fn call(&self, _dialect: Dialect) -> Result<Call> {
        Ok(Call::object(Op::DeleteObject, Method::DELETE, self.key))
    }

    fn parse(&self, _answer: &Answer) -> Result<()> {
        Ok(())
    }
}
