//! What is wrong with files of certificates is told in one line. Real handshakes are in `tests/it/cli/tls.rs`.

use super::*;
use rcgen::CertificateParams;
use rcgen::KeyPair;

/// A certificate that is signed with its own key, and the key.
fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (CertificateParams::new(vec!["client".to_owned()]).unwrap().self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn pem<'a>(name: &'a str, text: &'a str) -> Pem<'a> {
    Pem { name, text: text.as_bytes() }
}

#[test]
fn a_bundle_holds_certificates() {
    let (certificate, key) = pair();
    let damaged = certificate.replacen("MII", "MIJ", 1);
    let rows = [
        (certificate.repeat(2), None),
        (format!("a comment\n{key}{certificate}"), None),
        (String::new(), Some("F has no certificate in it")),
        (key, Some("F has no certificate in it")),
        (damaged, Some("F has a certificate that cannot be used: ")),
        ("-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----".to_owned(), Some("F is not a PEM file: ")),
    ];
    for (text, want) in rows {
        let why = Tls::default().with_authorities(pem("F", &text)).map(drop).err();
        match (&why, want) {
            (None, None) => {}
            (Some(line), Some(want)) => assert!(line.starts_with(want) && !line.contains('\n'), "{line}"),
            _ => panic!("{why:?}, not {want:?}, for {text}"),
        }
    }
}

#[test]
fn a_certificate_has_its_own_key() {
    let ((certificate, key), (_, other)) = (pair(), pair());
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let both = format!("{key}{certificate}");
    let rows = [
        (&certificate, &key, None),
        (&both, &both, None),
        (&certificate, &other, Some("K cannot be used with C: ")),
        (&certificate, &certificate, Some("K has no private key in it")),
        (&certificate, &encrypted, Some("K has no private key in it; name a PEM file with an unencrypted one")),
        (&key, &key, Some("C has no certificate in it")),
    ];
    for (certificate, key, want) in rows {
        let why = Tls::default().with_identity(pem("C", certificate), pem("K", key)).map(drop).err();
        match (&why, want) {
            (None, None) => {}
            (Some(line), Some(want)) => assert!(line.starts_with(want) && !line.contains('\n'), "{line}"),
            _ => panic!("{why:?}, not {want:?}"),
        }
    }
}

#[test]
fn keys_are_not_shown() {
    let (certificate, key) = pair();
    let tls = Tls::default().with_identity(pem("C", &certificate), pem("K", &key)).unwrap();
    assert_eq!(format!("{tls:?}"), "Tls(authorities: None, shows a certificate: true)");
}
