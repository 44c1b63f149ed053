//! What reading an archive by position costs, beside the programs that decompress it from one end to the other.
//!
//! `cargo bench --bench archive -- [MIB]`: so many MiB of text, 64 unless said. Every figure is a ratio of one run; what
//! `zcat` and `zstd` are compared by is left out where they are not installed.

use std::{
    fs::File,
    io::{BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use logtap::{
    entry::Offset,
    file::archive::{Archive, Kind, Parking},
};
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, zstd_sys::ZSTD_EndDirective};

/// The steps in which cells are read.
const STEP: usize = 64 << 10;
/// Reads at random places.
const RANDOM_READS: usize = 300;

fn main() {
    let mib: u64 = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(64);
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let plain = directory.path().join("app.log");
    write_text(&plain, mib << 20);
    println!("{mib} MiB of access log, reads of {} KiB", STEP >> 10);
    for kind in [Kind::Gzip, Kind::Zstd] {
        let packed = compress(&plain, kind);
        measure(&packed, kind, mib << 20);
    }
}

fn measure(path: &Path, kind: Kind, len: u64) {
    let size = path.metadata().expect("it was just written").len();
    println!("\n{kind}, compressed {:.1}x", len as f64 / size as f64);
    let rate = |name: &str, took: Duration| {
        println!("  {name:<44} {:>8.0} MB/s", len as f64 / took.as_secs_f64() / 1e6);
        took
    };

    let archive = open(path, kind);
    let first = rate("read_at in order, the first pass", timed(|| in_order(&archive, len)));
    println!("  {:<44} {:>8.2} MiB", "held by checkpoints after it", archive.memory() as f64 / 1_048_576.0);
    let again = rate("read_at in order, again", timed(|| in_order(&archive, len)));
    let backward = rate("read_at from the end to the beginning", timed(|| backward(&archive, len)));
    println!("  {:<44} {:>8.2}", "  times as long as in order", backward.as_secs_f64() / again.as_secs_f64());

    let command: &[&str] = match kind {
        Kind::Gzip => &["zcat"],
        Kind::Zstd => &["zstd", "-dcq"],
    };
    if let Some(took) = by_command(command, path) {
        rate(&command.join(" "), took);
        println!("  {:<44} {:>8.2}", "  times as long as our first pass", took.as_secs_f64() / first.as_secs_f64());
    }
    if kind == Kind::Gzip {
        let took = rate("flate2 from one end to the other", timed(|| by_flate2(path)));
        println!("  {:<44} {:>8.2}", "  times as long as our first pass", took.as_secs_f64() / first.as_secs_f64());
    }

    let cold = open(path, kind);
    report("a read anywhere, nothing known", &mut [timed(|| read(&cold, len / 2, &mut vec![0; STEP]))]);
    report("reads anywhere, after a pass", &mut anywhere(&archive, len));
}

fn open(path: &Path, kind: Kind) -> Archive {
    let file = File::open(path).expect("it was just written");
    Archive::open(Arc::new(file), path, kind, &Arc::new(Parking::new())).expect("it was just compressed")
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn read(archive: &Archive, offset: u64, buf: &mut [u8]) {
    let count = archive.read_at(Offset(offset), buf).expect("the archive is right");
    assert!(count > 0);
}

fn in_order(archive: &Archive, len: u64) {
    let mut buf = vec![0; STEP];
    for offset in (0..len).step_by(STEP) {
        read(archive, offset, &mut buf);
    }
    assert_eq!(archive.measure().expect("the archive is right"), Some(len));
}

fn backward(archive: &Archive, len: u64) {
    let mut buf = vec![0; STEP];
    for step in (0..len.div_ceil(STEP as u64)).rev() {
        read(archive, step * STEP as u64, &mut buf);
    }
}

/// Only reads that had to decode: on a small archive many find what others have left.
fn anywhere(archive: &Archive, len: u64) -> Vec<Duration> {
    // zstd begins at its frame for most of them.
    let reads = if archive.kind() == Kind::Gzip { RANDOM_READS } else { RANDOM_READS / 10 };
    let mut state = 1;
    let mut buf = vec![0; STEP];
    let mut times = Vec::new();
    for _ in 0..reads {
        state = next(state);
        let before = archive.decoded();
        let took = timed(|| read(archive, (state >> 20) % len, &mut buf));
        if archive.decoded() > before {
            times.push(took);
        }
    }
    times
}

fn report(name: &str, times: &mut [Duration]) {
    if times.is_empty() {
        return;
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("  {name:<44} {:>8.2} ms median, {:.2} ms p99", at(0.5), at(0.99));
}

fn by_command(command: &[&str], path: &Path) -> Option<Duration> {
    let start = Instant::now();
    let mut child = Command::new(command[0]).args(&command[1..]).arg(path).stdout(Stdio::null()).spawn().ok()?;
    child.wait().ok()?.success().then(|| start.elapsed())
}

fn by_flate2(path: &Path) {
    let file = std::io::BufReader::with_capacity(STEP, File::open(path).expect("it was just written"));
    let mut decoder = MultiGzDecoder::new(file);
    let mut buf = vec![0; STEP];
    while decoder.read(&mut buf).expect("the archive is right") > 0 {}
}

/// Lines as a web server writes them.
fn write_text(path: &Path, len: u64) {
    let mut file = BufWriter::new(File::create(path).expect("the directory is ours"));
    let mut state = 1;
    let mut left = len as usize;
    let mut line = Vec::new();
    while left > 0 {
        state = next(state);
        let (user, status) = (state >> 8 & 0xfff, [200, 200, 200, 200, 304, 404, 500][state as usize % 7]);
        line.clear();
        writeln!(
            line,
            "10.{}.{}.{} - user{user} [02/Jan/2026:10:{:02}:{:02} +0000] \"GET /assets/{:x}.js HTTP/1.1\" {status} {}",
            user % 7,
            user % 31,
            user % 251,
            left >> 22 & 63,
            left >> 16 & 63,
            state >> 36,
            state >> 20 & 0xffff,
        )
        .expect("a vector takes everything");
        let count = line.len().min(left);
        file.write_all(&line[..count]).expect("there is room");
        left -= count;
    }
    file.flush().expect("there is room");
}

/// One member or one frame, as `gzip` and `zstd` make them.
fn compress(plain: &Path, kind: Kind) -> PathBuf {
    let mut input = File::open(plain).expect("it was just written");
    let mut buf = vec![0; 1 << 20];
    match kind {
        Kind::Gzip => {
            let path = plain.with_extension("log.gz");
            let output = BufWriter::new(File::create(&path).expect("the directory is ours"));
            let mut encoder = GzEncoder::new(output, Compression::default());
            std::io::copy(&mut input, &mut encoder).expect("there is room");
            encoder.finish().and_then(|mut output| output.flush()).expect("there is room");
            path
        }
        Kind::Zstd => {
            let path = plain.with_extension("log.zst");
            let mut output = File::create(&path).expect("the directory is ours");
            let mut context = CCtx::create();
            context.set_parameter(CParameter::ChecksumFlag(true)).expect("the parameter is known");
            let mut packed = vec![0; 1 << 20];
            loop {
                let count = input.read(&mut buf).expect("it was just written");
                let end = if count == 0 { ZSTD_EndDirective::ZSTD_e_end } else { ZSTD_EndDirective::ZSTD_e_continue };
                let mut part = InBuffer::around(&buf[..count]);
                loop {
                    let mut room = OutBuffer::around(packed.as_mut_slice());
                    let rest = context.compress_stream2(&mut room, &mut part, end).expect("the parameters are right");
                    output.write_all(room.as_slice()).expect("there is room");
                    if if count == 0 { rest == 0 } else { part.pos() == count } {
                        break;
                    }
                }
                if count == 0 {
                    return path;
                }
            }
        }
    }
}

/// Knuth's generator.
const fn next(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}
