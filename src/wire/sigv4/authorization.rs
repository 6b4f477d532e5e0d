//! The `Authorization` header.

use crate::wire::sigv4::ParseError;
use crate::wire::sigv4::Scheme;
use crate::wire::sigv4::Scope;
use crate::wire::sigv4::parse_signature;
use crate::wire::sigv4::parse_signed_headers;

/// The parts of an `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Who signed.
    pub access_key_id: String,
    /// For which day and region.
    pub scope: Scope,
    /// Which headers are signed, lower case.
    pub signed_headers: Vec<String>,
    /// The signature, hex.
    pub signature: String,
}

impl Authorization {
    /// Reads the header. Spaces after the commas are optional.
    ///
    /// # Errors
    /// When it is another scheme's or malformed.
    pub fn parse(scheme: &Scheme, header: &str) -> Result<Self, ParseError> {
        let rest = header
            .trim()
            .strip_prefix(scheme.algorithm)
            .filter(|rest| rest.starts_with(' '))
            .ok_or(ParseError::Algorithm(scheme.algorithm))?;
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for field in rest.split(',') {
            match field.trim().split_once('=') {
                Some(("Credential", value)) => credential = Some(value),
                Some(("SignedHeaders", value)) => signed = Some(value),
                Some(("Signature", value)) => signature = Some(value),
                Some(_) | None => return Err(ParseError::Malformed("Authorization")),
            }
        }
        let credential = credential.ok_or(ParseError::Missing("Credential"))?;
        let (access_key_id, scope) = Scope::parse_credential(scheme, credential)?;
        let signed_headers = parse_signed_headers(signed.ok_or(ParseError::Missing("SignedHeaders"))?)?;
        let signature = parse_signature(signature.ok_or(ParseError::Missing("Signature"))?)?;
        Ok(Self { access_key_id, scope, signed_headers, signature })
    }

    /// Writes the header.
    #[must_use]
    pub fn header(&self, scheme: &Scheme) -> String {
        format!(
            "{} Credential={}/{}, SignedHeaders={}, Signature={}",
            scheme.algorithm,
            self.access_key_id,
            self.scope.text(scheme),
            self.signed_headers.join(";"),
            self.signature
        )
    }
}
