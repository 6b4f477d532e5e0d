//! What the log says of a request: never a signature, with which others could repeat it.

use crate::wire::uri;
use std::fmt::Write;

/// Parameters whose values are secrets, at least for as long as the URL is valid; the ends of their names.
const SECRET: [&str; 2] = ["signature", "security-token"];

/// Path and query as they were sent, but for the values of signatures.
#[must_use]
pub fn target(path: &str, query: Option<&str>) -> String {
    let mut out = path.to_owned();
    for (at, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        // The server decodes names, so that the log must too.
        let decoded = uri::decode_form(name).unwrap_or_default().to_ascii_lowercase();
        if SECRET.iter().any(|secret| decoded.ends_with(secret)) {
            write!(out, "{name}=..").expect("a string takes all text");
        } else {
            out.push_str(pair);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_not_told() {
        let rows = [
            (None, "/b/k"),
            (Some("uploads"), "/b/k?uploads"),
            (Some("prefix=a&Expires=1&Signature=secret%3D"), "/b/k?prefix=a&Expires=1&Signature=.."),
            (Some("X-Amz-Signature=secret&a"), "/b/k?X-Amz-Signature=..&a"),
            (Some("%53ignature=secret"), "/b/k?%53ignature=.."),
            (Some("X-Wos-Security-Token=secret"), "/b/k?X-Wos-Security-Token=.."),
        ];
        for (query, want) in rows {
            assert_eq!(target("/b/k", query), want);
        }
    }
}
