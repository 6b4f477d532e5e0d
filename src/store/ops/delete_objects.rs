//! `DeleteObjects`: up to a thousand keys with one request.

use crate::http::Method;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Result;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::document;
use crate::store::ops::failure;
use crate::wire::xml::Delete;
use crate::wire::xml::DeleteResult;
use crate::wire::xml::Document;
use data_encoding::BASE64;
use md5::Digest;
use md5::Md5;

/// As many keys as one request takes.
pub(crate) const DELETE_KEYS_MAX: usize = 1000;

pub(crate) struct DeleteObjects<'a> {
    /// All such that XML can carry them.
    pub keys: &'a [&'a str],
}

impl Operation for DeleteObjects<'_> {
    /// The keys that are still there, and why.
    type Output = Vec<Error>;

    fn call(&self) -> Result<Call> {
        assert!(self.keys.len() <= DELETE_KEYS_MAX, "one request takes so many keys");
        let keys = self.keys.iter().map(|key| (*key).to_owned()).collect();
        let document = Delete { quiet: true, keys, names_versions: false }.write();
        let md5 = BASE64.encode(&Md5::digest(&document));
        let call = Call::bucket(Op::DeleteObjects, Method::POST, "").query("delete", "").slow();
        call.document(document)?.header("content-md5", &md5)
    }

    fn parse(&self, answer: &Answer) -> Result<Vec<Error>> {
        let result = document(answer, Op::DeleteObjects, "", DeleteResult::parse)?;
        let error = |failed: crate::wire::xml::DeleteError| {
            let kind = failure::of_code(&failed.code).unwrap_or(Kind::Invalid);
            let message = format!("{}: {}", failed.code, failed.message);
            (kind != Kind::NotFound).then(|| Error::new(Op::DeleteObjects, failed.key, kind, message))
        };
        Ok(result.errors.into_iter().filter_map(error).collect())
    }
}
