//! An archive may say anything: reading it never panics, never goes on without coming on, and gives the same bytes and
//! the same place of the damage in whatever order and steps it is read.
//!
//! The input is four bytes that say how to read, then the archive.
#![no_main]

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, LazyLock},
};

use libfuzzer_sys::fuzz_target;
use logtap::{
    entry::Offset,
    file::archive::{Archive, Kind, Parking, Sizes},
};

/// Uncompressed bytes that are looked at: a few bytes of an archive can say gigabytes.
const BYTES_MAX: usize = 2 << 20;

/// A file without a name, for all runs of the process.
static FILE: LazyLock<Arc<File>> = LazyLock::new(|| Arc::new(logtap_fuzz::unnamed_file()));

fuzz_target!(|input: &[u8]| {
    let Some((&[distance, piece, step, seed], packed)) = input.split_first_chunk() else { return };
    FILE.set_len(0).and_then(|()| FILE.write_all_at(packed, 0)).expect("there is room");
    let Some(kind) = Kind::of_magic(packed) else { return };
    let sizes = Sizes { checkpoint_bytes: 1 + 97 * u64::from(distance), input_bytes: 8 + 31 * usize::from(piece) };
    let open = |sizes| Archive::open_with(Arc::clone(&FILE), Path::new("fuzz"), kind, &Arc::new(Parking::new()), sizes);
    let Ok(plain) = open(Sizes::default()) else { return };

    let (bytes, error) = in_order(&plain, 64 << 10);
    let archive = open(sizes).expect("it could be opened before");
    let (again, other) = in_order(&archive, 1 + 257 * usize::from(step));
    assert!(bytes == again);
    assert_eq!(error, other);

    let mut state = u64::from(seed);
    for _ in 0..8 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if state >> 63 == 0 {
            archive.drop_checkpoints();
        }
        let offset = (state >> 20) as usize % (bytes.len() + 1);
        let mut buf = vec![0; (state >> 50) as usize];
        let expected = &bytes[offset..bytes.len().min(offset + buf.len())];
        match archive.read_at(Offset(offset as u64), &mut buf) {
            Ok(count) if bytes.len() < BYTES_MAX => assert!(buf[..count] == *expected),
            Ok(count) => assert!(buf[..count].starts_with(&expected[..expected.len().min(count)])),
            Err(_) if bytes.len() == BYTES_MAX => assert_eq!(offset, BYTES_MAX),
            Err(found) => assert_eq!((offset, Some(found.to_string())), (bytes.len(), error.clone())),
        }
    }
    let _ = archive.looks_whole();
});

/// Reads from the beginning to the end, to an error, or to the limit.
fn in_order(archive: &Archive, step: usize) -> (Vec<u8>, Option<String>) {
    let mut bytes = Vec::new();
    while bytes.len() < BYTES_MAX {
        let mut buf = vec![0; step.min(BYTES_MAX - bytes.len())];
        match archive.read_at(Offset(bytes.len() as u64), &mut buf) {
            Ok(0) => return (bytes, None),
            Ok(count) => bytes.extend_from_slice(&buf[..count]),
            Err(error) => return (bytes, Some(error.to_string())),
        }
    }
    (bytes, None)
}
