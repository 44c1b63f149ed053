//! Whom to believe that it is the host: whoever shows a certificate that an authority vouches for, or one of the very
//! certificates that the user has named.
//!
//! The latter is what most have who make a certificate for one daemon by `openssl req -x509`: it says that it is an
//! authority, and those must not be shown as a host's own. OpenSSL and Go take it when it is named; so do we.

use std::{fmt, sync::Arc, time::Duration};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_cert::{Certificate, der::Decode as _};

/// Believes what one of the named certificates proves, by itself or as an authority.
pub(super) struct Named {
    as_authorities: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Named").field("certificates", &self.certificates.len()).finish_non_exhaustive()
    }
}

impl Named {
    /// Believes `certificates`, of which `roots` is made.
    ///
    /// # Errors
    /// When there are none.
    pub(super) fn new(
        certificates: Vec<CertificateDer<'static>>,
        roots: RootCertStore,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let as_authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let as_authorities = as_authorities.map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { as_authorities, certificates })
    }
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.certificates.contains(shown) {
            return self.as_authorities.verify_server_cert(shown, intermediates, name, ocsp_response, now);
        }
        // Nobody has to vouch for it. It has to be the host's all the same, and in force.
        verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
        verify_dates(shown, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.as_authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.as_authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.as_authorities.supported_verify_schemes()
    }
}

fn verify_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let certificate = Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let (dates, now) = (certificate.tbs_certificate.validity, Duration::from_secs(now.as_secs()));
    if now < dates.not_before.to_unix_duration() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > dates.not_after.to_unix_duration() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use rustls::crypto::ring;

    use super::*;

    /// A moment of 2026.
    const NOW: u64 = 1_790_000_000;

    /// A certificate as `openssl req -x509` makes it: signed by itself, and an authority by its own account.
    fn made(until_year: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["logs.example.org".to_owned()]).expect("a name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(until_year, 1, 1));
        let certificate = params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
        certificate.der().clone()
    }

    fn verdict(named: &CertificateDer<'static>, shown: &CertificateDer<'_>, host: &str, now: u64) -> Option<Error> {
        let mut roots = RootCertStore::empty();
        roots.add(named.clone()).expect("it may be an authority");
        let named = Named::new(vec![named.clone()], roots, Arc::new(ring::default_provider())).expect("there is one");
        let name = ServerName::try_from(host).expect("a name");
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        named.verify_server_cert(shown, &[], &name, &[], now).err()
    }

    #[test]
    fn a_certificate_that_is_named_itself_is_believed() {
        let certificate = made(2030);
        assert_eq!(verdict(&certificate, &certificate, "logs.example.org", NOW), None);
    }

    #[test]
    fn it_has_to_be_the_hosts_and_in_force() {
        let certificate = made(2030);
        let wrong = verdict(&certificate, &certificate, "other.example.org", NOW);
        assert!(matches!(wrong, Some(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }))));
        let early = verdict(&certificate, &certificate, "logs.example.org", NOW - 3 * 365 * 86_400);
        assert_eq!(early, Some(CertificateError::NotValidYet.into()));
        let expired = made(2026);
        let late = verdict(&expired, &expired, "logs.example.org", NOW);
        assert_eq!(late, Some(CertificateError::Expired.into()));
    }

    #[test]
    fn another_one_by_the_same_name_is_not_believed() {
        let (named, shown) = (made(2030), made(2030));
        assert!(verdict(&named, &shown, "logs.example.org", NOW).is_some());
    }
}
