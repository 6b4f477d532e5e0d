//! The ways of speaking to a backend: each dialect, and each signature of it.

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// S3, signature version 4.
    S3,
    /// JD Cloud's older API.
    Jss,
    /// Wangsu's API with its first signature.
    WosLegacy,
    /// Wangsu's API with its current signature.
    WosCurrent,
}

impl Speech {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::S3, Self::Jss, Self::WosLegacy, Self::WosCurrent];

    /// The source that names a bucket.
    pub fn source(self, bucket: &str) -> String {
        let scheme = match self {
            Self::S3 => "s3",
            Self::Jss => "jss",
            Self::WosLegacy | Self::WosCurrent => "wos",
        };
        format!("{scheme}://{bucket}")
    }

    /// The options that go with it.
    pub fn options(self) -> &'static [&'static str] {
        match self {
            Self::S3 | Self::Jss => &[],
            Self::WosLegacy => &["--signature", "legacy"],
            Self::WosCurrent => &["--signature", "current"],
        }
    }
}
