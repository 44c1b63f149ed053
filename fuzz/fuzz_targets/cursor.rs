//! Any bytes as a cursor, of an entry or of a whole stream: refused with a reason, or read to what is written and read as
//! the same again; and no more is kept of it than it has.
//!
//! Nearly everything is stopped by the checksum. So the bytes are read once more behind one that fits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use logtap::{
    entry::{
        cursor::EntryCursor,
        stream_cursor::{Claim, Cursor, StreamCursor},
    },
    limits::{CURSOR_BYTES, CURSOR_HEAD_BYTES},
};
use xxhash_rust::xxh3::xxh3_64;

/// No claim takes fewer bytes.
const CLAIM_BYTES_MIN: usize = 17;

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    let sum = xxh3_64(bytes).to_le_bytes();
    if bytes.len() == CURSOR_BYTES - 2 {
        check(&[bytes, &sum[..2]].concat());
    }
    check(&[bytes, &sum[..4]].concat());
});

fn check(bytes: &[u8]) {
    match Cursor::decode(bytes) {
        Ok(Cursor::Entry(cursor)) => {
            assert_eq!(cursor.encode(), bytes);
            assert_eq!(EntryCursor::decode(bytes), Ok(cursor));
            check_claim(&cursor.into());
        }
        Ok(Cursor::Stream(cursor)) => {
            assert!(cursor.claims.len() * CLAIM_BYTES_MIN <= bytes.len());
            let again = cursor.encode();
            // A number may be written with more bytes than it needs.
            assert!(again.len() <= bytes.len());
            assert_eq!(Cursor::decode(&again), Ok(Cursor::Stream(cursor.clone())));
            assert_eq!(StreamCursor::decode(&again).map(|cursor| cursor.encode()), Ok(again));
            cursor.claims.iter().for_each(check_claim);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(StreamCursor::decode(bytes).is_err());
        }
    }
}

fn check_claim(claim: &Claim) {
    if let Some(len) = claim.foretells() {
        assert!((1..=CURSOR_HEAD_BYTES as usize).contains(&len));
        claim.fits_beginning(&vec![0; len]);
    }
    assert!(claim.short_key() < 1 << 48);
}
