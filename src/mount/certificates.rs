//! The files of certificates that a user names, read. What is in them is [`Tls`]'s to say.

use crate::http::tls::Pem;
use crate::http::tls::Tls;
use std::path::Path;
use zeroize::Zeroizing;

/// A file, and what named it: an option or a variable.
pub type Named<'a> = (&'a str, &'a Path);

/// Which files there are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'a> {
    /// The authorities that are believed; the system's if `None`.
    pub authorities: Option<Named<'a>>,
    /// The certificate that is shown, and its key.
    pub identity: Option<(Named<'a>, Named<'a>)>,
}

/// Reads them.
///
/// # Errors
/// One line that names the file.
pub fn read(files: &Files<'_>) -> Result<Tls, String> {
    let mut tls = Tls::default();
    if let Some(file) = files.authorities {
        let (name, text) = contents(file)?;
        tls = tls.with_authorities(Pem { name: &name, text: &text })?;
    }
    if let Some((certificate, key)) = files.identity {
        let ((certificate, its_text), (key, key_text)) = (contents(certificate)?, contents(key)?);
        let (certificate, key) = (Pem { name: &certificate, text: &its_text }, Pem { name: &key, text: &key_text });
        tls = tls.with_identity(certificate, key)?;
    }
    Ok(tls)
}

fn contents((said_by, path): Named<'_>) -> Result<(String, Zeroizing<Vec<u8>>), String> {
    let name = format!("{said_by} {}", path.display());
    match std::fs::read(path) {
        Ok(text) => Ok((name, Zeroizing::new(text))),
        Err(cause) => Err(format!("{name} cannot be read: {cause}; name a PEM file")),
    }
}
