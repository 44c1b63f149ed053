//! Compiles the protocol into Rust types and a descriptor set, without `protoc`.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

/// The protocol's files, relative to `proto/`. The first is the contract without a package, the second is `logtap.v1`.
const PROTOS: [&str; 2] = ["log_service.proto", "logtap/v1/log_service.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // The streaming services answer with bytes that are encoded already, which a generated server cannot send.
        .build_server(false)
        .build_client(true)
        .build_transport(false)
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
