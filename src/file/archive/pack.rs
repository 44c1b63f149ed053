//! The history of a checkpoint, kept small.

use super::decoder::Fault;

/// zstd's fastest ordinary level: 32 KiB in some 0.1 ms, text to a fifth.
const LEVEL: i32 = 1;

/// Bytes that are rarely needed again.
pub(super) enum Packed {
    /// As they are: what does not compress.
    Plain(Box<[u8]>),
    /// A zstd frame of `len` bytes.
    Zstd { frame: Box<[u8]>, len: usize },
}

impl Packed {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut frame = vec![0; zstd_safe::compress_bound(bytes.len())];
        match zstd_safe::compress(frame.as_mut_slice(), bytes, LEVEL) {
            Ok(size) if size < bytes.len() => Self::Zstd { frame: frame[..size].into(), len: bytes.len() },
            // Whatever kept it from compressing, the bytes themselves always do.
            Ok(_) | Err(_) => Self::Plain(bytes.into()),
        }
    }

    pub(super) fn unpack(&self) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Plain(bytes) => Ok(bytes.to_vec()),
            Self::Zstd { frame, len } => {
                let mut bytes = vec![0; *len];
                match zstd_safe::decompress(bytes.as_mut_slice(), frame) {
                    Ok(size) if size == *len => Ok(bytes),
                    // It was written by this process: only want of memory can be the reason.
                    Ok(_) | Err(_) => Err(Fault::Io(std::io::ErrorKind::OutOfMemory.into())),
                }
            }
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Plain(bytes) => bytes.len(),
            Self::Zstd { frame, .. } => frame.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacks_what_was_packed() {
        let noise: Vec<u8> = (0..32u32 << 10).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for bytes in [&b""[..], b"a", &[7; 32 << 10], &noise] {
            let packed = Packed::new(bytes);
            assert_eq!(packed.unpack().expect("there is memory"), bytes);
            assert!(packed.memory() <= bytes.len());
        }
    }
}
