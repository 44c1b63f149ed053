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
    println!("cargo:rerun-if-changed=src/limits.rs");
    fs::write(out.join("limits.rs"), table_of_limits(&fs::read_to_string("src/limits.rs")?))?;
    Ok(())
}

/// An array of every public constant of `limits` with the first sentence of what is said of it, for `logtap check`: a
/// limit that is added is shown without anybody having to think of it.
fn table_of_limits(source: &str) -> String {
    let mut table = String::from("[\n");
    let mut comment = String::new();
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("/// ") {
            comment.push_str(text);
            comment.push(' ');
            continue;
        }
        if let Some((name, _)) = line.strip_prefix("pub const ").and_then(|rest| rest.split_once(':')) {
            let about = comment.split(['.', ':', ';']).next().unwrap_or_default().trim();
            table.push_str(&format!("    Limit::new({name:?}, crate::limits::{name}, {about:?}),\n"));
        }
        comment.clear();
    }
    table.push_str("]\n");
    table
}
