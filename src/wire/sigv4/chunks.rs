//! Signatures of the chunks and the trailer of an aws-chunked body: each covers the one before it.

use crate::wire::date::AmzDate;
use crate::wire::sigv4::EMPTY_SHA256;
use crate::wire::sigv4::Scheme;
use crate::wire::sigv4::Scope;
use crate::wire::sigv4::SigningKey;
use crate::wire::sigv4::sha256_hex;

/// Signs chunk after chunk. Begins with the signature of the request, which is called the seed.
#[derive(Clone, Debug)]
pub struct ChunkSigner {
    algorithm: &'static str,
    key: SigningKey,
    time: AmzDate,
    scope: String,
    previous: String,
}

impl ChunkSigner {
    /// A signer for the body of the request that has the signature `seed`.
    #[must_use]
    pub fn new(scheme: &Scheme, key: SigningKey, time: AmzDate, scope: &Scope, seed: &str) -> Self {
        let scope = scope.text(scheme);
        Self { algorithm: scheme.algorithm, key, time, scope, previous: seed.to_owned() }
    }

    /// The signature of the next chunk, whose data has this SHA-256 (hex). The last chunk has no data.
    pub fn chunk(&mut self, data_sha256: &str) -> String {
        let to_sign = format!(
            "{}-PAYLOAD\n{}\n{}\n{}\n{EMPTY_SHA256}\n{data_sha256}",
            self.algorithm, self.time, self.scope, self.previous
        );
        self.previous = self.key.sign(&to_sign);
        self.previous.clone()
    }

    /// The signature of the trailer, after that of the last chunk. Names are put into lower case and order.
    #[must_use]
    pub fn trailer<'a>(&self, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut lines: Vec<String> = headers
            .into_iter()
            .map(|(name, value)| format!("{}:{}\n", name.trim().to_ascii_lowercase(), value.trim()))
            .collect();
        lines.sort_unstable();
        let hash = sha256_hex(lines.concat().as_bytes());
        let to_sign = format!("{}-TRAILER\n{}\n{}\n{}\n{hash}", self.algorithm, self.time, self.scope, self.previous);
        self.key.sign(&to_sign)
    }
}
