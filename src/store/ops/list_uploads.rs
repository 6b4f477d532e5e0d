//! `ListMultipartUploads`: one page of it.

use crate::http::Method;
use crate::store::Dialect;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Result;
use crate::store::Upload;
use crate::store::UploadId;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::document;
use crate::wire::xml;

pub(crate) struct ListUploads<'a> {
    pub prefix: &'a str,
    /// Only uploads after this key and id.
    pub after: Option<(String, String)>,
}

impl Operation for ListUploads<'_> {
    /// Uploads, and where to go on.
    type Output = (Vec<Upload>, Option<(String, String)>);

    fn call(&self, dialect: Dialect) -> Result<Call> {
        let (key, id) = self.after.clone().unzip();
        Ok(Call::bucket(Op::ListUploads, Method::GET, self.prefix)
            .query("uploads", "")
            // JSS answers with all at once, in JSON, which carries any key.
            .query_if("encoding-type", (dialect != Dialect::Jss).then_some("url"))
            .query_if("prefix", (!self.prefix.is_empty()).then_some(self.prefix))
            .query_if("key-marker", key)
            .query_if("upload-id-marker", id.filter(|id| !id.is_empty())))
    }

    fn parse(&self, answer: &Answer) -> Result<Self::Output> {
        let list = document::<xml::ListUploads>(answer, Op::ListUploads, self.prefix)?;
        let next = match list.next_key_marker {
            Some(key) if list.is_truncated => Some((key, list.next_upload_id_marker.unwrap_or_default())),
            Some(_) | None => None,
        };
        if list.is_truncated && (next.is_none() || next == self.after) {
            return Err(Error::new(Op::ListUploads, self.prefix, Kind::Protocol, "the listing does not advance"));
        }
        let upload = |upload: xml::Upload| Upload {
            key: upload.key,
            id: UploadId(upload.upload_id),
            initiated: upload.initiated,
        };
        Ok((list.uploads.into_iter().map(upload).collect(), next))
    }
}
