//! Reading the PEM files and saying precisely what is wrong with them.

use std::{
    error::Error,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    DEFAULT_VERSIONS, InconsistentKeys, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject as _},
};

use super::{
    ClientCertificates, TlsSettings,
    certificate::{self, Validity},
};
use crate::{
    limits,
    server::net::private_file::{self, FileError, Secrecy},
};

/// The contents of the files, by which a change is noticed.
#[derive(PartialEq, Eq)]
pub(super) struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// Why TLS cannot be offered with the files as they are. Every error names its file.
#[derive(Debug)]
pub enum TlsError {
    /// It is not to be read.
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// It is not PEM where it should be.
    NotPem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no section of the kind that was looked for.
    Missing {
        /// The file.
        path: PathBuf,
        /// The kind.
        what: &'static str,
    },
    /// One of its certificates cannot be used.
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The private key cannot be used.
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is another certificate's.
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The library refuses for a reason of its own.
    Refused {
        /// It.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Files {
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let client_ca = match &settings.clients {
            ClientCertificates::Ignored => None,
            ClientCertificates::Optional(path) | ClientCertificates::Required(path) => {
                Some(read(path, Secrecy::Public)?)
            }
        };
        Ok(Self {
            certificate: read(&settings.certificate, Secrecy::Public)?,
            key: read(&settings.key, Secrecy::Secret)?,
            client_ca,
        })
    }

    /// Makes a configuration of the files, if all of it is usable.
    pub(super) fn check(&self, settings: &TlsSettings, now: SystemTime) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(&settings.certificate, &self.certificate)?;
        let facts = facts(&settings.certificate, &chain, now)?;
        if let Some(facts) = facts.first() {
            warn_of_dates(&settings.certificate, 1, facts);
        }
        let key = self.key(settings, chain, &provider)?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(DEFAULT_VERSIONS)
            .map_err(refused)?;
        let builder = match (&settings.clients, &self.client_ca) {
            (ClientCertificates::Optional(path), Some(ca)) => {
                builder.with_client_cert_verifier(verifier(path, ca, Need::Optional, &provider, now)?)
            }
            (ClientCertificates::Required(path), Some(ca)) => {
                builder.with_client_cert_verifier(verifier(path, ca, Need::Required, &provider, now)?)
            }
            (ClientCertificates::Ignored, _) | (_, None) => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn key(
        &self,
        settings: &TlsSettings,
        chain: Vec<CertificateDer<'static>>,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, TlsError> {
        let path = || settings.key.clone();
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::Missing { path: path(), what: "private key without a passphrase" },
            error => TlsError::NotPem { path: path(), reason: error.to_string() },
        })?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Mismatch { certificate: settings.certificate.clone(), key: path() }
            }
            rustls::Error::InvalidCertificate(error) => {
                TlsError::BadCertificate { path: settings.certificate.clone(), number: 1, reason: format!("{error:?}") }
            }
            error => TlsError::BadKey { path: path(), reason: error.to_string() },
        })
    }
}

enum Need {
    Optional,
    Required,
}

fn read(path: &Path, secrecy: Secrecy) -> Result<Vec<u8>, TlsError> {
    private_file::read(path, secrecy, limits::PEM_BYTES_MAX)
        .map_err(|source| TlsError::File { path: path.to_owned(), source })
}

/// All certificates of a file; one at least. Sections of other kinds, a key for instance, are passed over.
fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let all = all.map_err(|error| TlsError::NotPem { path: path.to_owned(), reason: error.to_string() })?;
    if all.is_empty() {
        return Err(TlsError::Missing { path: path.to_owned(), what: "certificate" });
    }
    Ok(all)
}

fn facts(path: &Path, chain: &[CertificateDer<'_>], now: SystemTime) -> Result<Vec<certificate::Facts>, TlsError> {
    let numbered = chain.iter().zip(1..);
    numbered
        .map(|(der, number)| {
            certificate::facts(der, now).map_err(|reason| TlsError::BadCertificate {
                path: path.to_owned(),
                number,
                reason,
            })
        })
        .collect()
}

/// `RootCertStore` would pass over certificates that it cannot use, and clients would be refused for no reason that
/// anybody could see; so each one is checked.
fn verifier(
    path: &Path,
    bytes: &[u8],
    need: Need,
    provider: &Arc<CryptoProvider>,
    now: SystemTime,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let authorities = certificates(path, bytes)?;
    let bad = |number, reason| TlsError::BadCertificate { path: path.to_owned(), number, reason };
    let mut roots = RootCertStore::empty();
    for ((authority, facts), number) in authorities.iter().zip(facts(path, &authorities, now)?).zip(1..) {
        if !facts.may_sign {
            return Err(bad(number, "it is not the certificate of an authority".to_owned()));
        }
        warn_of_dates(path, number, &facts);
        roots.add(authority.clone()).map_err(|error| bad(number, error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = match need {
        Need::Optional => builder.allow_unauthenticated(),
        Need::Required => builder,
    };
    builder.build().map_err(refused)
}

fn warn_of_dates(path: &Path, number: usize, facts: &certificate::Facts) {
    match facts.validity {
        Validity::Valid => {}
        Validity::NotYet => tracing::warn!(path = %path.display(), number, "certificate is not valid yet"),
        Validity::Expired => tracing::warn!(path = %path.display(), number, "certificate has expired"),
    }
}

fn refused(error: impl Error + Send + Sync + 'static) -> TlsError {
    TlsError::Refused { source: Box::new(error) }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::NotPem { path, reason } => write!(f, "{}: not a PEM file: {reason}", path.display()),
            Self::Missing { path, what } => write!(f, "{}: no {what} in it", path.display()),
            Self::BadCertificate { path, number, reason } => {
                write!(f, "{}: certificate {number}: {reason}", path.display())
            }
            Self::BadKey { path, reason } => write!(f, "{}: private key: {reason}", path.display()),
            Self::Mismatch { certificate, key } => {
                write!(f, "{}: not the key of the certificate in {}", key.display(), certificate.display())
            }
            Self::Refused { source } => write!(f, "TLS: {source}"),
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Refused { source } => Some(source.as_ref()),
            Self::NotPem { .. }
            | Self::Missing { .. }
            | Self::BadCertificate { .. }
            | Self::BadKey { .. }
            | Self::Mismatch { .. } => None,
        }
    }
}
