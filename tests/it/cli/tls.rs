//! Endpoints with TLS: whose certificates are believed, which one is shown, and how it is told that one was not.

use crate::backend::BUCKET;
use crate::backend::Backend;
use crate::program::Ran;
use crate::program::brigade;
use crate::program::run;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::KeyPair;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;

/// An authority, which nobody knows.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this name, and its key.
    fn certificate(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

/// A backend behind TLS, and files beside it.
struct Front {
    runtime: Runtime,
    backend: Backend,
    authority: Authority,
    home: TempDir,
}

impl Front {
    fn new() -> Self {
        let (runtime, home) = (Runtime::new().unwrap(), TempDir::new().unwrap());
        Self { runtime, backend: Backend::start(), authority: Authority::new("ours"), home }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Listens with a certificate for `name`; with `clients`, takes only those with a certificate of that authority.
    fn listen(&self, name: &str, clients: Option<&Authority>) -> String {
        let (certificate, key) = self.authority.certificate(name);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = match clients {
            Some(authority) => {
                let roots = Arc::new(authority.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap();
                builder.unwrap().with_client_cert_verifier(verifier)
            }
            None => builder.unwrap().with_no_client_auth(),
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let listener = self.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let backend = self.backend.endpoint().strip_prefix("http://").unwrap().parse().unwrap();
        self.runtime.spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), backend));
        format!("https://{address}")
    }

    /// `brigade check` at this endpoint.
    fn check(&self, endpoint: &str, options: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = brigade(self.home.path());
        self.backend.reach(&mut command);
        command.current_dir(self.home.path()).envs(variables.iter().copied());
        command.args(["check", &format!("s3://{BUCKET}"), "--endpoint-url", endpoint]).args(options);
        run(&mut command)
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, backend: SocketAddr) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            match acceptor.accept(socket).into_fallible().await {
                Ok(mut client) => {
                    let mut plain = TcpStream::connect(backend).await.unwrap();
                    // Either may end first; what the client makes of it is what is tested.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut plain).await;
                }
                // What the client still sends is read, so that the alert reaches it and not a reset.
                Err((_, mut socket)) => {
                    let _ = socket.read_to_end(&mut Vec::new()).await;
                }
            }
        });
    }
}

#[track_caller]
fn passes(ran: &Ran) {
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:#?}");
}

#[track_caller]
fn is_not_trusted(ran: &Ran, says: &str) {
    assert_eq!((ran.status, ran.stderr.as_str()), (1, ""), "{ran:#?}");
    let line = ran.stdout.lines().find(|line| line.starts_with("error")).unwrap_or_else(|| panic!("{ran:#?}"));
    for part in ["connection: no trusted connection to https://127.0.0.1:", says, "check --endpoint-url, --ca-bundle"] {
        assert!(line.contains(part), "{line:?} does not say {part:?}");
    }
}

#[test]
fn an_endpoint_is_believed_by_the_authorities_that_were_named() {
    let front = Front::new();
    let endpoint = front.listen("127.0.0.1", None);
    let ours = front.file("ours.pem", &front.authority.0.pem());
    let others = front.file("others.pem", &Authority::new("others").0.pem());
    let (ours, others) = (ours.to_str().unwrap(), others.to_str().unwrap());
    is_not_trusted(&front.check(&endpoint, &[], &[]), "UnknownIssuer");
    is_not_trusted(&front.check(&endpoint, &["--ca-bundle", others], &[]), "UnknownIssuer");
    passes(&front.check(&endpoint, &["--ca-bundle", ours], &[]));
    passes(&front.check(&endpoint, &["--ca-bundle", "ours.pem"], &[("AWS_CA_BUNDLE", others)]));
    passes(&front.check(&endpoint, &[], &[("AWS_CA_BUNDLE", ours)]));
    is_not_trusted(&front.check(&endpoint, &[], &[("AWS_CA_BUNDLE", others)]), "UnknownIssuer");
}

#[test]
fn a_certificate_of_another_host_is_refused() {
    let front = Front::new();
    let endpoint = front.listen("store.example", None);
    front.file("ours.pem", &front.authority.0.pem());
    is_not_trusted(&front.check(&endpoint, &["--ca-bundle", "ours.pem"], &[]), "not valid for name \"127.0.0.1\"");
}

#[test]
fn a_certificate_is_shown_where_one_is_asked_for() {
    let front = Front::new();
    let clients = Authority::new("clients");
    let endpoint = front.listen("127.0.0.1", Some(&clients));
    front.file("ours.pem", &front.authority.0.pem());
    for (name, authority) in [("known", &clients), ("unknown", &Authority::new("others"))] {
        let (certificate, key) = authority.certificate("client");
        front.file(&format!("{name}.pem"), &certificate.pem());
        front.file(&format!("{name}.key"), &key.serialize_pem());
    }
    let bundle = ["--ca-bundle", "ours.pem"];
    is_not_trusted(&front.check(&endpoint, &bundle, &[]), "CertificateRequired");
    let shown = |name: &str| {
        let (certificate, key) = (format!("--client-certificate={name}.pem"), format!("--client-key={name}.key"));
        front.check(&endpoint, &[bundle[0], bundle[1], &certificate, &key], &[])
    };
    passes(&shown("known"));
    is_not_trusted(&shown("unknown"), "UnknownCA");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let front = Front::new();
    let (certificate, key) = front.authority.certificate("client");
    let (_, other) = front.authority.certificate("client");
    front.file("client.pem", &certificate.pem());
    front.file("client.key", &key.serialize_pem());
    front.file("other.key", &other.serialize_pem());
    let refused = |options: &str, status: i32, says: &[&str]| {
        let options: Vec<_> = options.split(' ').collect();
        front.check("https://127.0.0.1:1", &options, &[]).refused(status, says);
    };
    refused("--ca-bundle none.pem", 1, &["--ca-bundle none.pem cannot be read: No such file"]);
    refused("--ca-bundle client.key", 1, &["--ca-bundle client.key has no certificate in it"]);
    refused("--client-certificate client.pem", 2, &["--client-certificate needs --client-key as well"]);
    refused("--client-key client.key", 2, &["--client-key needs --client-certificate as well"]);
    let both = |key: &str| format!("--client-certificate client.pem --client-key {key}");
    refused(&both("client.pem"), 1, &["--client-key client.pem has no private key in it"]);
    let unfit = ["--client-key other.key cannot be used with --client-certificate client.pem: "];
    refused(&both("other.key"), 1, &unfit);
    let ran = front.check("http://127.0.0.1:1", &[], &[("AWS_CA_BUNDLE", "none.pem")]);
    ran.refused(1, &["AWS_CA_BUNDLE none.pem cannot be read"]);
}
