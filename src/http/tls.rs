//! Whose certificates are believed, and which one is shown: what the files of a user say, checked before anything is sent.

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::error::Error as StdError;
use std::fmt;
use zeroize::Zeroizing;

/// A document in PEM, and how to name it to whoever gave it.
#[derive(Clone, Copy)]
pub struct Pem<'a> {
    /// Such as `--ca-bundle /etc/ca.pem`.
    pub name: &'a str,
    /// Its bytes.
    pub text: &'a [u8],
}

/// Whose certificates are believed, and which one is shown to an endpoint that asks. By default those of the system's
/// authorities, and none.
#[derive(Clone, Default)]
pub struct Tls {
    authorities: Option<Vec<reqwest::Certificate>>,
    identity: Option<reqwest::Identity>,
}

// The identity holds a key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (authorities, shows) = (self.authorities.as_ref().map(Vec::len), self.identity.is_some());
        write!(f, "Tls(authorities: {authorities:?}, shows a certificate: {shows})")
    }
}

impl Tls {
    /// Believes only these authorities, instead of the system's.
    ///
    /// # Errors
    /// One line, when there is no certificate among them, or one that cannot be read.
    pub fn with_authorities(self, bundle: Pem<'_>) -> Result<Self, String> {
        let authorities = certificates(bundle)?;
        let tls = Self { authorities: Some(authorities), ..self };
        tls.check().map_err(|why| format!("{} has a certificate that cannot be used: {why}", bundle.name))?;
        Ok(tls)
    }

    /// Shows this certificate, with the chain that follows it, to whom asks.
    ///
    /// # Errors
    /// One line, when either is missing in its document, or the key is of another certificate.
    pub fn with_identity(self, certificate: Pem<'_>, key: Pem<'_>) -> Result<Self, String> {
        certificates(certificate)?;
        if PrivateKeyDer::from_pem_slice(key.text).is_err() {
            return Err(format!("{} has no private key in it; name a PEM file with an unencrypted one", key.name));
        }
        let does_not_fit = |why: String| format!("{} cannot be used with {}: {why}", key.name, certificate.name);
        let both = Zeroizing::new([certificate.text, b"\n", key.text].concat());
        let identity = reqwest::Identity::from_pem(&both).map_err(|error| does_not_fit(root(&error)))?;
        let tls = Self { identity: Some(identity), ..self };
        tls.check().map_err(does_not_fit)?;
        Ok(tls)
    }

    /// Sets up a client so.
    pub(super) fn apply(&self, mut builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        if let Some(authorities) = &self.authorities {
            builder = builder.tls_certs_only(authorities.iter().cloned());
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.clone());
        }
        builder
    }

    /// Whether a client can be made of it, whatever the system's authorities.
    fn check(&self) -> Result<(), String> {
        let authorities = Some(self.authorities.clone().unwrap_or_default());
        let alone = Self { authorities, identity: self.identity.clone() };
        alone.apply(reqwest::Client::builder()).build().map(drop).map_err(|error| root(&error))
    }
}

fn certificates(pem: Pem<'_>) -> Result<Vec<reqwest::Certificate>, String> {
    let found = reqwest::Certificate::from_pem_bundle(pem.text)
        .map_err(|error| format!("{} is not a PEM file: {}", pem.name, root(&error)))?;
    if found.is_empty() {
        return Err(format!("{} has no certificate in it; name a PEM file with one", pem.name));
    }
    Ok(found)
}

/// What happened, below what the library says of it.
fn root(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
