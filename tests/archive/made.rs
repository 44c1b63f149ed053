//! What the archives of the tests hold, and the ways in which they are made.

use std::io::Write as _;

use flate2::{Compress, Compression, Crc, FlushCompress, GzBuilder, write::GzEncoder};
use logtap::file::archive::Kind;
use proptest::prelude::*;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, zstd_sys::ZSTD_EndDirective};

/// Lines as programs write them: compressible, not periodic.
pub fn text(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(len + 128);
    while bytes.len() < len {
        state = next(state);
        let (user, status, size) =
            (state >> 8 & 0xfff, [200, 200, 200, 304, 404, 500][state as usize % 6], state >> 20 & 0xffff);
        writeln!(
            bytes,
            "10.0.{}.{} - user{user} \"GET /a/{:x} HTTP/1.1\" {status} {size}",
            user % 7,
            user % 251,
            state >> 40
        )
        .expect("a vector takes everything");
    }
    bytes.truncate(len);
    bytes
}

/// Bytes that do not compress.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state = next(state);
        (state >> 33) as u8
    })
    .take(len)
    .collect()
}

/// Knuth's generator: the tests print their seeds and must not depend on a library's choice.
pub const fn next(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// What a case is about, by few numbers.
#[derive(Clone, Debug)]
pub enum Data {
    Empty,
    Noise { len: usize, seed: u64 },
    Same { len: usize, byte: u8 },
    Text { len: usize, seed: u64 },
}

impl Data {
    pub fn bytes(&self) -> Vec<u8> {
        match *self {
            Self::Empty => Vec::new(),
            Self::Noise { len, seed } => noise(len, seed),
            Self::Same { len, byte } => vec![byte; len],
            Self::Text { len, seed } => text(len, seed),
        }
    }
}

pub fn data() -> impl Strategy<Value = Data> {
    let len = || 0..300_000usize;
    prop_oneof![
        1 => Just(Data::Empty),
        2 => (len(), any::<u64>()).prop_map(|(len, seed)| Data::Noise { len, seed }),
        2 => (len(), any::<u8>()).prop_map(|(len, byte)| Data::Same { len, byte }),
        5 => (len(), any::<u64>()).prop_map(|(len, seed)| Data::Text { len, seed }),
    ]
}

/// The ways in which archives are made.
#[derive(Clone, Debug)]
pub enum How {
    /// One member, by one call.
    Gzip { level: u32 },
    /// Members of so many bytes each, with everything that a header may have, and padding behind.
    Members { level: u32, each: usize, padding: usize },
    /// One member with a flush every so many bytes; full ones as `pigz --independent` writes them.
    Flushed { level: u32, every: usize, full: bool },
    /// One frame.
    Zstd { level: i32, checksum: bool },
    /// Frames of so many bytes each, with frames to be skipped between them.
    Frames { level: i32, each: usize, skippable: bool },
}

pub fn how() -> impl Strategy<Value = How> {
    let each = || prop_oneof![1..2_000usize, 1_000..150_000usize];
    prop_oneof![
        (0..=9u32).prop_map(|level| How::Gzip { level }),
        (0..=9u32, 200..150_000usize, 0..600usize).prop_map(|(level, each, padding)| How::Members {
            level,
            each,
            padding
        }),
        (0..=9u32, each(), any::<bool>()).prop_map(|(level, every, full)| How::Flushed { level, every, full }),
        (1..=12i32, any::<bool>()).prop_map(|(level, checksum)| How::Zstd { level, checksum }),
        (1..=6i32, 500..150_000usize, any::<bool>()).prop_map(|(level, each, skippable)| How::Frames {
            level,
            each,
            skippable
        }),
    ]
}

impl How {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Gzip { .. } | Self::Members { .. } | Self::Flushed { .. } => Kind::Gzip,
            Self::Zstd { .. } | Self::Frames { .. } => Kind::Zstd,
        }
    }

    pub fn compress(&self, data: &[u8]) -> Vec<u8> {
        match *self {
            Self::Gzip { level } => gzip(data, level),
            Self::Members { level, each, padding } => {
                let mut packed = Vec::new();
                for part in pieces(data, each) {
                    let mut encoder = GzBuilder::new()
                        .filename("app.log")
                        .comment("part of it")
                        .extra(&b"\x01\x02\x02\x00ab"[..])
                        .write(Vec::new(), Compression::new(level));
                    encoder.write_all(part).expect("a vector takes everything");
                    packed.extend(encoder.finish().expect("a vector takes everything"));
                }
                packed.resize(packed.len() + padding, 0);
                packed
            }
            Self::Flushed { level, every, full } => flushed(data, level, every, full),
            Self::Zstd { level, checksum } => {
                zstd(data, &[CParameter::CompressionLevel(level), CParameter::ChecksumFlag(checksum)])
            }
            Self::Frames { level, each, skippable } => {
                let mut packed = Vec::new();
                for part in pieces(data, each) {
                    if skippable {
                        packed.extend(b"\x5e\x2a\x4d\x18\x05\x00\x00\x00hello");
                    }
                    packed.extend(zstd(part, &[CParameter::CompressionLevel(level)]));
                }
                packed
            }
        }
    }
}

/// At least one piece, as an archive of nothing has a member too.
pub fn pieces(data: &[u8], each: usize) -> Vec<&[u8]> {
    if data.is_empty() { vec![data] } else { data.chunks(each).collect() }
}

pub fn gzip(data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(data).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

pub fn flushed(data: &[u8], level: u32, every: usize, full: bool) -> Vec<u8> {
    let mut packed = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec();
    let mut deflate = Compress::new(Compression::new(level), false);
    let parts = pieces(data, every);
    for (number, part) in parts.iter().enumerate() {
        let flush = if number + 1 == parts.len() {
            FlushCompress::Finish
        } else if full {
            FlushCompress::Full
        } else {
            FlushCompress::Sync
        };
        // Room for the worst case, so that one call does it.
        packed.reserve(part.len() + part.len() / 100 + 1_000);
        deflate.compress_vec(part, &mut packed, flush).expect("the parameters are right");
    }
    let mut crc = Crc::new();
    crc.update(data);
    packed.extend(crc.sum().to_le_bytes());
    packed.extend(crc.amount().to_le_bytes());
    packed
}

/// One frame, made in pieces, so that it does not know its size.
pub fn zstd(data: &[u8], parameters: &[CParameter]) -> Vec<u8> {
    let mut context = CCtx::create();
    for &parameter in parameters {
        context.set_parameter(parameter).expect("the parameter is known");
    }
    let mut packed = vec![0; zstd_safe::compress_bound(data.len()) + 1_000];
    let mut input = InBuffer::around(data);
    let mut output = OutBuffer::around(packed.as_mut_slice());
    context
        .compress_stream2(&mut output, &mut input, ZSTD_EndDirective::ZSTD_e_flush)
        .expect("there is room for everything");
    let rest = context
        .compress_stream2(&mut output, &mut input, ZSTD_EndDirective::ZSTD_e_end)
        .expect("there is room for everything");
    assert_eq!((rest, input.pos()), (0, data.len()));
    let size = output.pos();
    packed.truncate(size);
    packed
}
