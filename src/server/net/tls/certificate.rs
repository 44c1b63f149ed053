//! What is read out of a certificate here: names and dates. Whether it is to be trusted, `rustls` decides.

use std::time::SystemTime;

use x509_cert::{
    Certificate,
    der::{Decode as _, Tag, Tagged as _, asn1::ObjectIdentifier},
    ext::pkix::BasicConstraints,
};

/// `id-at-commonName` (RFC 5280, appendix A.1).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// A certificate at one point of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validity {
    NotYet,
    Valid,
    Expired,
}

/// What the checks of a file need to know of a certificate.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) validity: Validity,
    /// It may sign others: it says so, or is too old a kind of certificate to say anything.
    pub(super) may_sign: bool,
}

/// Reads a certificate, or says why that is not possible.
pub(super) fn facts(der: &[u8], now: SystemTime) -> Result<Facts, String> {
    let certificate = Certificate::from_der(der).map_err(|error| error.to_string())?.tbs_certificate;
    let dates = certificate.validity;
    let validity = if now < dates.not_before.to_system_time() {
        Validity::NotYet
    } else if now > dates.not_after.to_system_time() {
        Validity::Expired
    } else {
        Validity::Valid
    };
    let constraints = certificate.get::<BasicConstraints>().map_err(|error| error.to_string())?;
    Ok(Facts { validity, may_sign: constraints.is_none_or(|(_, constraints)| constraints.ca) })
}

/// The one common name of the subject; `None` where there are none, several, or one that is not text.
pub(super) fn common_name(der: &[u8]) -> Option<String> {
    let subject = Certificate::from_der(der).ok()?.tbs_certificate.subject;
    let mut names = subject.0.iter().flat_map(|set| set.0.iter()).filter(|attribute| attribute.oid == COMMON_NAME);
    let name = names.next()?;
    if names.next().is_some() {
        return None;
    }
    match name.value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::TeletexString => {
            String::from_utf8(name.value.value().to_vec()).ok()
        }
        // Other encodings of names have not been issued since 2004 (RFC 5280, section 4.1.2.4).
        _ => None,
    }
}
