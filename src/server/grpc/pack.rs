//! Compressing messages, for clients that say that they take it.
//!
//! zstd alone: it is what costs less than it saves on most networks. gzip is several times slower, and there are clients
//! that offer it whatever they are used for.

use std::cell::RefCell;

use http::{HeaderMap, HeaderValue};
use zstd_safe::CCtx;

use crate::{
    entry::encode::{self, FRAME_HEADER_BYTES},
    limits::{COMPRESSED_BYTES_MAX, COMPRESSED_BYTES_MIN},
};

/// The header in which clients say what they take, and the one that says what they get.
const ACCEPTED: &str = "grpc-accept-encoding";
pub const ENCODING: &str = "grpc-encoding";
/// The fastest but those that hardly compress: some 800 MB/s, and logs become a fifth.
const LEVEL: i32 = 1;

thread_local! {
    /// What compressing works with, up to a MiB: one for each thread that does, where one for each stream would be most
    /// of what a stopped reader costs.
    static CONTEXT: RefCell<Option<CCtx<'static>>> = const { RefCell::new(None) };
}

/// How the messages of a stream go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Identity,
    /// Compressed, where that saves anything.
    Zstd,
}

impl Encoding {
    /// What a client with these headers gets.
    pub fn accepted_by(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPTED).iter().filter_map(|value| value.to_str().ok());
        let takes_zstd = values.flat_map(|value| value.split(',')).any(|name| name.trim() == "zstd");
        if takes_zstd { Self::Zstd } else { Self::Identity }
    }

    /// Its name, where a client has to be told.
    pub fn name(self) -> Option<HeaderValue> {
        match self {
            Self::Identity => None,
            Self::Zstd => Some(HeaderValue::from_static("zstd")),
        }
    }

    /// Whether a message of so many bytes is worth a try.
    pub fn suits(self, len: usize) -> bool {
        match self {
            Self::Identity => false,
            Self::Zstd => (COMPRESSED_BYTES_MIN..=COMPRESSED_BYTES_MAX).contains(&len),
        }
    }

    /// A frame with the compressed message; `None` when it had better go out as it is.
    pub fn pack(self, message: &[u8]) -> Option<Vec<u8>> {
        if !self.suits(message.len()) {
            return None;
        }
        // What does not fit into this is not smaller.
        let mut packed = Vec::with_capacity(message.len());
        CONTEXT.with_borrow_mut(|context| {
            if context.is_none() {
                *context = CCtx::try_create();
            }
            context.as_mut()?.compress(&mut packed, message, LEVEL).ok()
        })?;
        let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + packed.len());
        encode::put_frame_header(&mut frame, packed.len());
        frame[0] = 1;
        frame.extend_from_slice(&packed);
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(values: &[&'static str]) -> Encoding {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPTED, HeaderValue::from_static(value));
        }
        Encoding::accepted_by(&headers)
    }

    #[test]
    fn zstd_is_taken_from_whatever_list_it_is_in() {
        for values in [&["zstd"][..], &["gzip, zstd"], &["identity,zstd,gzip"], &["gzip", " zstd "]] {
            assert_eq!(accepted(values), Encoding::Zstd, "{values:?}");
        }
        for values in [&[][..], &["gzip, deflate, identity"], &["zstdx"]] {
            assert_eq!(accepted(values), Encoding::Identity, "{values:?}");
        }
    }

    #[test]
    fn a_message_comes_out_of_its_frame_as_it_was() {
        for len in [COMPRESSED_BYTES_MIN, 70_000, COMPRESSED_BYTES_MAX] {
            let message = b"a line as it is, and another one\n".repeat(len / 33 + 1)[..len].to_vec();
            let frame = Encoding::Zstd.pack(&message).expect("it repeats itself");
            let (head, packed) = frame.split_at(FRAME_HEADER_BYTES);
            assert_eq!(head, [&[1][..], &(packed.len() as u32).to_be_bytes()].concat());
            assert!(packed.len() < len / 4);
            let mut message_again = Vec::with_capacity(len);
            zstd_safe::decompress(&mut message_again, packed).expect("it is zstd");
            assert_eq!(message_again, message);
        }
    }

    #[test]
    fn what_would_not_get_smaller_goes_out_as_it_is() {
        let mut random = fastrand::Rng::with_seed(7);
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(10_000).collect();
        assert_eq!(Encoding::Zstd.pack(&noise), None);
        assert_eq!(Encoding::Zstd.pack(&[0; COMPRESSED_BYTES_MIN - 1]), None);
        assert_eq!(Encoding::Zstd.pack(&[0; COMPRESSED_BYTES_MAX + 1]), None);
        assert_eq!(Encoding::Identity.pack(&[0; 70_000]), None);
    }
}
