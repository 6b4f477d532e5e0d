//! `DeleteObjects`: up to a thousand keys with one request. JSS has no such call.

use crate::http::Method;
use crate::store::Dialect;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Result;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::document_by;
use crate::store::ops::failure;
use crate::wire::xml::Delete;
use crate::wire::xml::DeleteError;
use crate::wire::xml::DeleteResult;
use crate::wire::xml::Document;
use crate::wire::xml::Style;
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

    fn call(&self, dialect: Dialect) -> Result<Call> {
        assert!(self.keys.len() <= DELETE_KEYS_MAX, "one request takes so many keys");
        let style = match dialect {
            Dialect::S3 => Style::S3,
            Dialect::Wos => Style::WOS,
            Dialect::Jss => {
                return Err(Error::new(Op::DeleteObjects, "", Kind::NotImplemented, "JSS deletes one by one"));
            }
        };
        let keys = self.keys.iter().map(|key| (*key).to_owned()).collect();
        let document = Delete { quiet: true, keys, names_versions: false }.write_in(style);
        let md5 = Md5::digest(&document).into();
        let call = Call::bucket(Op::DeleteObjects, Method::POST, "").query("delete", "").slow();
        Ok(Call { md5: Some(md5), ..call.document(dialect, document)? })
    }

    fn parse(&self, answer: &Answer) -> Result<Vec<Error>> {
        let result = document_by(answer, Op::DeleteObjects, "", DeleteResult::parse)?;
        let error = |failed: DeleteError| {
            let kind = failure::of_code(&failed.code).unwrap_or(Kind::Invalid);
            let message = format!("{}: {}", failed.code, failed.message);
            (kind != Kind::NotFound).then(|| Error::new(Op::DeleteObjects, failed.key, kind, message))
        };
        Ok(result.errors.into_iter().filter_map(error).collect())
    }
}
