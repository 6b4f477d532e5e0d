//! Requests whose signature is in the query, so that a URL alone is enough.

use crate::wire::date::AmzDate;
use crate::wire::sigv4::ParseError;
use crate::wire::sigv4::Scheme;
use crate::wire::sigv4::Scope;
use crate::wire::sigv4::parse_signature;
use crate::wire::sigv4::parse_signed_headers;
use crate::wire::uri::Query;
use crate::wire::uri::query_value;

/// The longest time that a URL may be valid: a week, in seconds.
pub const EXPIRES_SECONDS_MAX: u32 = 604_800;

/// The signature parameters of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presigned {
    /// Who signed.
    pub access_key_id: String,
    /// For which day and region.
    pub scope: Scope,
    /// When.
    pub time: AmzDate,
    /// How long it is valid, in seconds, `1..=604800`.
    pub expires_seconds: u32,
    /// Which headers are signed, lower case.
    pub signed_headers: Vec<String>,
    /// The session's token, if there is one.
    pub security_token: Option<String>,
    /// The signature, hex; empty while it is being made.
    pub signature: String,
}

impl Presigned {
    /// Whether a query carries a signature of this scheme at all.
    #[must_use]
    pub fn is_in(scheme: &Scheme, query: &[(String, String)]) -> bool {
        query.iter().any(|(name, _)| name.strip_prefix(scheme.query_prefix) == Some("Algorithm"))
    }

    /// Reads the parameters from a decoded query.
    ///
    /// # Errors
    /// When one is missing or malformed.
    pub fn parse(scheme: &Scheme, query: &[(String, String)]) -> Result<Self, ParseError> {
        let value = |name: &'static str| {
            query_value(query, &format!("{}{name}", scheme.query_prefix))
                .filter(|value| !value.is_empty())
                .ok_or(ParseError::Missing(name))
        };
        if value("Algorithm")? != scheme.algorithm {
            return Err(ParseError::Algorithm(scheme.algorithm));
        }
        let (access_key_id, scope) = Scope::parse_credential(scheme, value("Credential")?)?;
        let time = AmzDate::parse(value("Date")?).ok_or(ParseError::Malformed("Date"))?;
        let expires_seconds = value("Expires")?
            .parse()
            .ok()
            .filter(|seconds| (1..=EXPIRES_SECONDS_MAX).contains(seconds))
            .ok_or(ParseError::Malformed("Expires"))?;
        let signed_headers = parse_signed_headers(value("SignedHeaders")?)?;
        let signature = parse_signature(value("Signature")?)?;
        let security_token = value("Security-Token").ok().map(str::to_owned);
        Ok(Self { access_key_id, scope, time, expires_seconds, signed_headers, security_token, signature })
    }

    /// The parameters to sign: all but the signature.
    #[must_use]
    pub fn query(&self, scheme: &Scheme) -> Query {
        let credential = format!("{}/{}", self.access_key_id, self.scope.text(scheme));
        let mut pairs = vec![
            ("Algorithm", scheme.algorithm.to_owned()),
            ("Credential", credential),
            ("Date", self.time.to_string()),
            ("Expires", self.expires_seconds.to_string()),
        ];
        if let Some(token) = &self.security_token {
            pairs.push(("Security-Token", token.clone()));
        }
        pairs.push(("SignedHeaders", self.signed_headers.join(";")));
        pairs.into_iter().map(|(name, value)| (format!("{}{name}", scheme.query_prefix), value)).collect()
    }

    /// The parameters to send: those of [`Self::query`], then the signature.
    #[must_use]
    pub fn signed_query(&self, scheme: &Scheme) -> Query {
        let mut query = self.query(scheme);
        query.push((format!("{}Signature", scheme.query_prefix), self.signature.clone()));
        query
    }
}
