//! Certificates and tokens: loaded before anything is served, so that nothing is ever served without them.

use std::error::Error;

use crate::{
    config::Config,
    server::{
        auth::{Auth, AuthError, AuthSettings},
        net::{ClientCertificates, Tls, TlsError, TlsSettings},
    },
};

/// Certificates, where there are any, and who is let in.
pub type Secrets = (Option<Tls>, Auth);

/// What the configuration says about who is served, and how it is kept from others.
///
/// # Errors
/// What is wrong with a file; never its content.
pub fn load(config: &Config) -> Result<Secrets, Box<dyn Error + Send + Sync>> {
    Ok((tls(config)?, auth(config)?))
}

/// The certificates.
///
/// # Errors
/// As for [`load`].
pub fn tls(config: &Config) -> Result<Option<Tls>, TlsError> {
    let Some(tls) = &config.tls else { return Ok(None) };
    let settings = TlsSettings {
        certificate: tls.cert.clone(),
        key: tls.key.clone(),
        // Without one the handshake succeeds and the request is refused, which clients can tell from a broken link.
        clients: tls.client_ca.clone().map_or(ClientCertificates::Ignored, ClientCertificates::Optional),
    };
    Tls::load(settings).map(Some)
}

/// Who is let in.
///
/// # Errors
/// As for [`load`].
pub fn auth(config: &Config) -> Result<Auth, AuthError> {
    Auth::load(AuthSettings {
        tokens_file: config.auth.as_ref().map(|auth| auth.tokens_file.clone()),
        client_certificates: config.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()),
    })
}
