//! What the fake holds, and S3's rules over it. Times are arguments.

use crate::base::random;
use crate::store::Condition;
use crate::store::Facts;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::ListObjects;
use crate::store::ListPage;
use crate::store::Listed;
use crate::store::Object;
use crate::store::Part;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::Upload;
use crate::store::UploadId;
use crate::store::checksum;
use crate::wire::etag::ETag;
use bytes::Bytes;
use bytes::BytesMut;
use md5::Digest;
use md5::Md5;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::ops::Range;
use std::time::Duration;
use std::time::SystemTime;

type Result<T> = std::result::Result<T, Kind>;

/// S3's page size.
const PAGE_MAX: u32 = 1000;

#[derive(Default)]
pub(super) struct State {
    objects: BTreeMap<String, Stored>,
    /// By key and id, as they are listed.
    uploads: BTreeMap<(String, UploadId), Unfinished>,
}

pub(super) struct Stored {
    pub bytes: Bytes,
    pub headers: Headers,
    etag: ETag,
    modified: SystemTime,
}

struct Unfinished {
    headers: Headers,
    initiated: SystemTime,
    parts: BTreeMap<PartNumber, (Part, Bytes)>,
}

impl Stored {
    pub fn head(&self) -> Object {
        let mut headers = self.headers.clone();
        headers.content_type.get_or_insert_with(|| "binary/octet-stream".to_owned());
        Object { size: self.bytes.len() as u64, etag: self.etag.clone(), last_modified: self.modified, headers }
    }

    pub fn check_tag(&self, want: Option<&ETag>) -> Result<()> {
        if want.is_none_or(|want| *want == self.etag) { Ok(()) } else { Err(Kind::PreconditionFailed) }
    }

    /// The part of a range that the object has; `None` if that is nothing.
    pub fn slice(&self, range: &Range<u64>) -> Option<Bytes> {
        let start = usize::try_from(range.start).ok().filter(|start| *start < self.bytes.len())?;
        let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(self.bytes.len());
        Some(self.bytes.slice(start..end))
    }
}

impl State {
    pub fn object(&self, key: &str) -> Option<&Stored> {
        self.objects.get(key)
    }

    pub fn keys(&self) -> Vec<String> {
        self.objects.keys().cloned().collect()
    }

    pub fn check(&self, key: &str, condition: &Condition) -> Result<()> {
        let holds = match (condition, self.objects.get(key)) {
            (Condition::None, _) | (Condition::Absent, None) => true,
            (Condition::Absent, Some(_)) | (Condition::Matches(_), None) => false,
            (Condition::Matches(etag), Some(stored)) => stored.etag == *etag,
        };
        if holds { Ok(()) } else { Err(Kind::PreconditionFailed) }
    }

    pub fn put(&mut self, key: &str, bytes: Bytes, headers: Headers, now: SystemTime) -> ETag {
        let etag = ETag::of_md5(Md5::digest(&bytes).into());
        self.objects.insert(key.to_owned(), Stored { bytes, headers, etag: etag.clone(), modified: now });
        etag
    }

    pub fn delete(&mut self, key: &str) {
        self.objects.remove(key);
    }

    /// Gives the object at `from`, if there is one, another key.
    pub fn rename(&mut self, from: &str, to: &str, now: SystemTime) {
        if let Some(stored) = self.objects.remove(from) {
            self.objects.insert(to.to_owned(), Stored { modified: now, ..stored });
        }
    }

    pub fn age(&mut self, key: &str, by: Duration) {
        if let Some(stored) = self.objects.get_mut(key) {
            stored.modified -= by;
        }
    }

    pub fn list(&self, request: &ListObjects, with_metadata: bool) -> ListPage {
        let limit = request.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX) as usize;
        let after = request.continuation.as_ref().or(request.start_after.as_ref());
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_str()));
        let mut page = ListPage::default();
        let mut last = None;
        for (key, stored) in self.objects.range::<str, _>((from, Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(&request.prefix) else { continue };
            let prefix = common_prefix(&request.prefix, rest, request.delimiter.as_deref());
            // A prefix that the page before ended with covers all keys below it.
            let is_covered = |prefix: &String| page.prefixes.last() == Some(prefix) || after >= Some(prefix);
            if prefix.as_ref().is_some_and(is_covered) {
                continue;
            }
            if page.objects.len() + page.prefixes.len() == limit {
                page.next = last;
                break;
            }
            last = Some(prefix.clone().unwrap_or_else(|| key.clone()));
            match prefix {
                Some(prefix) => page.prefixes.push(prefix),
                None => page.objects.push(stored.listed(key, with_metadata)),
            }
        }
        page
    }

    pub fn create_upload(&mut self, key: &str, headers: Headers, now: SystemTime) -> UploadId {
        let id = UploadId(random::hex::<16>());
        let unfinished = Unfinished { headers, initiated: now, parts: BTreeMap::new() };
        self.uploads.insert((key.to_owned(), id.clone()), unfinished);
        id
    }

    pub fn put_part(
        &mut self,
        facts: &Facts,
        key: &str,
        upload: &UploadId,
        number: PartNumber,
        bytes: Bytes,
    ) -> Result<Part> {
        if number.0 == 0 || number.0 > facts.parts_max {
            return Err(Kind::Invalid);
        }
        let unfinished = self.uploads.get_mut(&(key.to_owned(), upload.clone())).ok_or(Kind::NoSuchUpload)?;
        let part = Part {
            number,
            etag: ETag::of_md5(Md5::digest(&bytes).into()),
            size: bytes.len() as u64,
            crc64nvme: Some(checksum::of_payload(&Payload::from(bytes.clone()))),
            crc32c: None,
        };
        unfinished.parts.insert(number, (part.clone(), bytes));
        Ok(part)
    }

    pub fn complete(
        &mut self,
        facts: &Facts,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        condition: &Condition,
        now: SystemTime,
    ) -> Result<ETag> {
        let id = (key.to_owned(), upload.clone());
        let unfinished = self.uploads.get(&id).ok_or(Kind::NoSuchUpload)?;
        if parts.is_empty() || parts.windows(2).any(|pair| pair[0].number >= pair[1].number) {
            return Err(Kind::Invalid);
        }
        let (mut whole, mut md5s) = (BytesMut::new(), Vec::new());
        for (at, named) in parts.iter().enumerate() {
            let (held, bytes) = unfinished.parts.get(&named.number).ok_or(Kind::InvalidPart)?;
            if held.etag != named.etag {
                return Err(Kind::InvalidPart);
            }
            if at + 1 < parts.len() && held.size < facts.part_bytes_min {
                return Err(Kind::Invalid);
            }
            whole.extend_from_slice(bytes);
            md5s.push(held.etag.md5().expect("parts are tagged with their MD5"));
        }
        if facts.equal_parts && !are_equal(parts.iter().filter_map(|named| unfinished.parts.get(&named.number))) {
            return Err(Kind::InvalidPart);
        }
        let headers = unfinished.headers.clone();
        self.check(key, condition)?;
        let etag = facts.dialect.etag_of_parts(md5s);
        self.uploads.remove(&id);
        let stored = Stored { bytes: whole.freeze(), headers, etag: etag.clone(), modified: now };
        self.objects.insert(key.to_owned(), stored);
        Ok(etag)
    }

    pub fn abort(&mut self, key: &str, upload: &UploadId) {
        self.uploads.remove(&(key.to_owned(), upload.clone()));
    }

    pub fn parts(&self, key: &str, upload: &UploadId) -> Result<Vec<Part>> {
        let unfinished = self.uploads.get(&(key.to_owned(), upload.clone())).ok_or(Kind::NoSuchUpload)?;
        Ok(unfinished.parts.values().map(|(part, _)| part.clone()).collect())
    }

    pub fn uploads(&self, prefix: &str) -> Vec<Upload> {
        let under = self.uploads.iter().filter(|((key, _), _)| key.starts_with(prefix));
        under.map(|((key, id), u)| Upload { key: key.clone(), id: id.clone(), initiated: u.initiated }).collect()
    }
}

impl Stored {
    fn listed(&self, key: &str, with_metadata: bool) -> Listed {
        Listed {
            key: key.to_owned(),
            size: self.bytes.len() as u64,
            etag: self.etag.clone(),
            last_modified: self.modified,
            metadata: with_metadata.then(|| self.headers.metadata.clone()),
        }
    }
}

/// Whether all parts but the last have one size, and the last is not larger.
fn are_equal<'a>(parts: impl Iterator<Item = &'a (Part, Bytes)>) -> bool {
    let sizes: Vec<u64> = parts.map(|(part, _)| part.size).collect();
    match sizes.as_slice() {
        [] => true,
        [but_last @ .., last] => but_last.iter().all(|size| *size == sizes[0]) && *last <= sizes[0],
    }
}

/// The prefix that a key is rolled into, delimiter included.
fn common_prefix(prefix: &str, rest: &str, delimiter: Option<&str>) -> Option<String> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let end = rest.find(delimiter)? + delimiter.len();
    Some(format!("{prefix}{}", &rest[..end]))
}
