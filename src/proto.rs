//! The types generated from `proto/`.
#![allow(missing_docs, clippy::unwrap_used)]

/// The contract without a package.
pub mod compat {
    tonic::include_proto!("_");
}
/// `logtap.v1`.
pub mod v1 {
    tonic::include_proto!("logtap.v1");
}
/// Every descriptor of the protocol, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
