//! What an inode knows of its object's headers. Most objects have nothing but what the inode's attributes say, and there
//! may be a hundred thousand inodes, so only the others keep them.

use crate::store::Headers;
use crate::vfs::attr::Kind;
use crate::vfs::attr::Posix;
use serde::Deserialize;
use serde::Serialize;

/// Content type by which directories are known to other tools.
pub const DIRECTORY_CONTENT_TYPE: &str = "application/x-directory";

/// The headers of an object, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KnownHeaders {
    /// No request has told them yet.
    #[default]
    Nothing,
    /// Nothing but attributes that the inode has itself.
    Plain,
    /// All of these.
    All(Box<Headers>),
}

impl KnownHeaders {
    /// What a request has told of an object of this kind.
    #[must_use]
    pub fn of(kind: Kind, mut headers: Headers) -> Self {
        // Said anew with each write.
        headers.server_side_encryption = None;
        let mut rest = headers.clone();
        Posix::NAMES.iter().for_each(|name| drop(rest.metadata.remove(*name)));
        rest.content_type.take_if(|given| kind == Kind::Directory && given == DIRECTORY_CONTENT_TYPE);
        if rest == Headers::default() { Self::Plain } else { Self::All(Box::new(headers)) }
    }

    /// All headers but the attributes, which the caller writes into them; `None` if they are not known.
    #[must_use]
    pub fn to_headers(&self) -> Option<Headers> {
        match self {
            Self::Nothing => None,
            Self::Plain => Some(Headers::default()),
            Self::All(headers) => Some(Headers::clone(headers)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(metadata: &[(&str, &str)]) -> Headers {
        let metadata = metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Headers { metadata, ..Headers::default() }
    }

    #[test]
    fn only_what_attributes_do_not_say_is_kept() {
        let ours =
            headers(&[("mode", "33188"), ("uid", "1"), ("gid", "2"), ("mtime", "3"), ("atime", "4"), ("ctime", "5")]);
        assert_eq!(KnownHeaders::of(Kind::File, ours.clone()), KnownHeaders::Plain);
        let typed = Headers { content_type: Some(DIRECTORY_CONTENT_TYPE.into()), ..ours.clone() };
        assert_eq!(KnownHeaders::of(Kind::Directory, typed.clone()), KnownHeaders::Plain);
        assert_eq!(KnownHeaders::of(Kind::File, typed.clone()).to_headers(), Some(typed), "odd for a file, so kept");
        let foreign = headers(&[("mode", "33188"), ("colour", "red")]);
        assert_eq!(KnownHeaders::of(Kind::File, foreign.clone()).to_headers(), Some(foreign));
        assert_eq!(KnownHeaders::Nothing.to_headers(), None);
    }
}
