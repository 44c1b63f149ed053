//! Certificates and tokens: loaded before anything is served, so that nothing is ever served without them.

use std::error::Error;

use crate::{
    config::Config,
    server::{
        auth::{Auth, AuthSettings},
        net::{ClientCertificates, Tls, TlsSettings},
    },
};

/// Certificates, where there are any, and who is let in.
pub type Secrets = (Option<Tls>, Auth);

/// What the configuration says about who is served, and how it is kept from others.
///
/// # Errors
/// What is wrong with a file; never its content.
pub fn load(config: &Config) -> Result<Secrets, Box<dyn Error + Send + Sync>> {
    let client_ca = config.tls.as_ref().and_then(|tls| tls.client_ca.clone());
    let tls = match &config.tls {
        None => None,
        Some(tls) => Some(Tls::load(TlsSettings {
            certificate: tls.cert.clone(),
            key: tls.key.clone(),
            // Without one the handshake succeeds and the request is refused, which clients can tell from a broken link.
            clients: client_ca.clone().map_or(ClientCertificates::Ignored, ClientCertificates::Optional),
        })?),
    };
    let auth = Auth::load(AuthSettings {
        tokens_file: config.auth.as_ref().map(|auth| auth.tokens_file.clone()),
        client_certificates: client_ca.is_some(),
    })?;
    Ok((tls, auth))
}
