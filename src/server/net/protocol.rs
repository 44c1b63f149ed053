//! What a peer speaks, told by its first bytes.

/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
pub(super) const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The first byte of a TLS handshake record (RFC 8446, section 5.1); no HTTP request begins with it.
const TLS_HANDSHAKE: u8 = 22;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    /// They may still become either version of HTTP.
    Unknown,
    Http1,
    Http2,
    Tls,
}

/// Tells what `first`, the bytes so far, are. Anything that is not another protocol is left to HTTP/1 to refuse.
pub(super) fn greeting(first: &[u8]) -> Greeting {
    match first.first() {
        None => Greeting::Unknown,
        Some(&TLS_HANDSHAKE) => Greeting::Tls,
        Some(_) if first.starts_with(HTTP2_PREFACE) => Greeting::Http2,
        Some(_) if HTTP2_PREFACE.starts_with(first) => Greeting::Unknown,
        Some(_) => Greeting::Http1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_known_as_soon_as_it_differs_from_the_others() {
        for length in 0..HTTP2_PREFACE.len() {
            assert_eq!(greeting(&HTTP2_PREFACE[..length]), Greeting::Unknown, "{length} bytes");
        }
        assert_eq!(greeting(HTTP2_PREFACE), Greeting::Http2);
        assert_eq!(greeting(b"P"), Greeting::Unknown);
        assert_eq!(greeting(b"PO"), Greeting::Http1);
        assert_eq!(greeting(b"PRI * HTTP/2.1"), Greeting::Http1);
        assert_eq!(greeting(b"G"), Greeting::Http1);
        assert_eq!(greeting(b"\x16"), Greeting::Tls);
        assert_eq!(greeting(b"\x00"), Greeting::Http1);
    }
}
