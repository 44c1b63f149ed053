//! Compressed logs read by position: whatever was compressed, however, and however it is read, the bytes are the same.

use std::{fs::File, io::Write as _, os::unix::fs::FileExt as _, path::Path, sync::Arc, thread};

use flate2::{Compress, Compression, Crc, FlushCompress, GzBuilder, write::GzEncoder};
use logtap::{
    entry::Offset,
    file::archive::{Archive, ArchiveError, Kind, Parking, Sizes, Verdict},
    limits::{ARCHIVE_CHECKPOINTS_MAX, PARKED_BYTES_MAX, PARKED_DECODERS_MAX},
};
use proptest::prelude::*;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, zstd_sys::ZSTD_EndDirective};

// ---- What is compressed ----

/// Lines as programs write them: compressible, not periodic.
fn text(len: usize, seed: u64) -> Vec<u8> {
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
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state = next(state);
        (state >> 33) as u8
    })
    .take(len)
    .collect()
}

/// Knuth's generator: the tests print their seeds and must not depend on a library's choice.
const fn next(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// What a case is about, by few numbers.
#[derive(Clone, Debug)]
enum Data {
    Empty,
    Noise { len: usize, seed: u64 },
    Same { len: usize, byte: u8 },
    Text { len: usize, seed: u64 },
}

impl Data {
    fn bytes(&self) -> Vec<u8> {
        match *self {
            Self::Empty => Vec::new(),
            Self::Noise { len, seed } => noise(len, seed),
            Self::Same { len, byte } => vec![byte; len],
            Self::Text { len, seed } => text(len, seed),
        }
    }
}

fn data() -> impl Strategy<Value = Data> {
    let len = || 0..300_000usize;
    prop_oneof![
        1 => Just(Data::Empty),
        2 => (len(), any::<u64>()).prop_map(|(len, seed)| Data::Noise { len, seed }),
        2 => (len(), any::<u8>()).prop_map(|(len, byte)| Data::Same { len, byte }),
        5 => (len(), any::<u64>()).prop_map(|(len, seed)| Data::Text { len, seed }),
    ]
}

// ---- How it is compressed ----

/// The ways in which archives are made.
#[derive(Clone, Debug)]
enum How {
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

fn how() -> impl Strategy<Value = How> {
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
    fn kind(&self) -> Kind {
        match self {
            Self::Gzip { .. } | Self::Members { .. } | Self::Flushed { .. } => Kind::Gzip,
            Self::Zstd { .. } | Self::Frames { .. } => Kind::Zstd,
        }
    }

    fn compress(&self, data: &[u8]) -> Vec<u8> {
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
fn pieces(data: &[u8], each: usize) -> Vec<&[u8]> {
    if data.is_empty() { vec![data] } else { data.chunks(each).collect() }
}

fn gzip(data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(data).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

fn flushed(data: &[u8], level: u32, every: usize, full: bool) -> Vec<u8> {
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
fn zstd(data: &[u8], parameters: &[CParameter]) -> Vec<u8> {
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

// ---- How it is read ----

fn file_of(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().expect("there is a temporary directory");
    file.write_all(bytes).expect("the file can be written");
    Arc::new(file)
}

fn open(bytes: &[u8], kind: Kind, sizes: Sizes) -> Archive {
    Archive::open_with(file_of(bytes), Path::new("app.log.1"), kind, &Arc::new(Parking::new()), sizes)
        .expect("it begins like an archive")
}

fn sizes() -> impl Strategy<Value = Sizes> {
    (prop_oneof![1..50_000u64, Just(4 << 20)], prop_oneof![8..64usize, 1_000..70_000usize])
        .prop_map(|(checkpoint_bytes, input_bytes)| Sizes { checkpoint_bytes, input_bytes })
}

/// What a reader does; places are fractions of what there is and a little more.
#[derive(Clone, Debug)]
enum Action {
    Read { place: f64, len: usize },
    GoOn { back: u64, len: usize },
    Verify { bytes: u64 },
    DropCheckpoints,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let len = || prop_oneof![4 => 0..70_000usize, 1 => 70_000..400_000usize];
    let action = prop_oneof![
        4 => (0.0..1.1f64, len()).prop_map(|(place, len)| Action::Read { place, len }),
        4 => (0..300u64, len()).prop_map(|(back, len)| Action::GoOn { back, len }),
        1 => (0..200_000u64).prop_map(|bytes| Action::Verify { bytes }),
        1 => Just(Action::DropCheckpoints),
    ];
    prop::collection::vec(action, 1..24)
}

fn run(archive: &Archive, data: &[u8], actions: &[Action]) {
    let len = data.len() as u64;
    let mut position = 0;
    for action in actions {
        match *action {
            Action::Read { place, len: want } => position = check(archive, data, (len as f64 * place) as u64, want),
            Action::GoOn { back, len: want } => position = check(archive, data, position.saturating_sub(back), want),
            Action::Verify { bytes } => match archive.verify(bytes).expect("the archive is right") {
                Verdict::Whole(found) => assert_eq!(found, len),
                Verdict::GoOn(at) => assert!(at.0 <= len),
                Verdict::NotYet(at) => panic!("whole, but not yet at {at:?}"),
            },
            Action::DropCheckpoints => archive.drop_checkpoints(),
        }
        if let Some(found) = archive.len().expect("the file is there") {
            assert_eq!(found, len);
        }
    }
}

/// Reads once, compares, and returns where the next read would go on.
fn check(archive: &Archive, data: &[u8], offset: u64, want: usize) -> u64 {
    let mut buf = vec![0xaa; want];
    let count = archive.read_at(Offset(offset), &mut buf).expect("the archive is right");
    let start = data.len().min(offset as usize);
    let expected = &data[start..data.len().min(start + want)];
    assert_eq!(count, expected.len(), "at {offset} of {}", data.len());
    assert!(buf[..count] == *expected, "other bytes at {offset}");
    offset + count as u64
}

/// Reads from the beginning in steps to the end or to an error.
fn read_all(archive: &Archive, step: usize) -> (Vec<u8>, Option<ArchiveError>) {
    let mut all = Vec::new();
    let mut buf = vec![0; step];
    loop {
        match archive.read_at(Offset(all.len() as u64), &mut buf) {
            Ok(0) => return (all, None),
            Ok(count) => all.extend_from_slice(&buf[..count]),
            Err(error) => return (all, Some(error)),
        }
    }
}

// ---- What holds ----

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_reads_give_the_slices_of_the_data(data in data(), how in how(), sizes in sizes(), actions in actions()) {
        let data = data.bytes();
        let archive = open(&how.compress(&data), how.kind(), sizes);
        run(&archive, &data, &actions);
        prop_assert_eq!(archive.measure().expect("the archive is right"), Some(data.len() as u64));
        prop_assert!(archive.looks_whole().expect("the file is there"));
        prop_assert!(data.len() as u64 <= archive.len_max().expect("the file is there"));
    }

    #[test]
    fn a_cut_archive_gives_what_is_there_and_grows_on(
        data in data(), how in how(), sizes in sizes(), cut in 0.0..1.0f64, step in 1_000..70_000usize,
    ) {
        let data = data.bytes();
        let packed = how.compress(&data);
        let cut = ((packed.len() as f64 * cut) as usize).max(4);
        let file = file_of(&packed[..cut]);
        let archive = Archive::open_with(Arc::clone(&file), Path::new("cut"), how.kind(), &Arc::default(), sizes)
            .expect("it begins like an archive");
        let (found, error) = read_all(&archive, step);
        prop_assert!(data.starts_with(&found));
        let looks_whole = archive.looks_whole().expect("the file is there");
        prop_assert!(looks_whole || error.is_some());
        prop_assert!(how.kind() == Kind::Gzip || looks_whole == error.is_none());
        match error {
            Some(ArchiveError::Truncated { offset, .. }) => {
                prop_assert_eq!(offset.0, found.len() as u64);
                prop_assert_eq!(archive.verify(u64::MAX).expect("not damaged"), Verdict::NotYet(offset));
                prop_assert_eq!(archive.len().expect("the file is there"), None);
            }
            // Cut between members, between frames or in the padding.
            None => prop_assert_eq!(archive.len().expect("the file is there"), Some(found.len() as u64)),
            Some(error) => prop_assert!(false, "{}", error),
        }
        file.write_all_at(&packed[cut..], cut as u64).expect("the file can be written");
        let (found, error) = read_all(&archive, step);
        prop_assert!(error.is_none(), "{}", error.expect("there is one"));
        prop_assert!(found == data);
    }

    #[test]
    fn damage_is_told_and_nothing_else_happens(
        data in data(), how in how(), sizes in sizes(), hits in prop::collection::vec((0.0..1.0f64, 1..=255u8), 1..4),
        actions in actions(), step in 100..100_000usize,
    ) {
        let data = data.bytes();
        let mut packed = how.compress(&data);
        for (place, change) in hits {
            let place = (packed.len() as f64 * place) as usize;
            packed[place] ^= change;
        }
        let open = || Archive::open_with(file_of(&packed), Path::new("hit"), how.kind(), &Arc::default(), sizes);
        let Ok(archive) = open() else { return Ok(()) };
        let (found, error) = read_all(&archive, step);
        prop_assert!(found.len() as u64 <= archive.len_max().expect("the file is there"));
        match open().expect("it could be opened before").verify(u64::MAX) {
            Ok(Verdict::Whole(len)) => {
                prop_assert!(error.is_none());
                prop_assert_eq!(len, found.len() as u64);
                // gzip has checksums.
                prop_assert!(how.kind() == Kind::Zstd || found == data);
            }
            Ok(Verdict::NotYet(at)) => {
                prop_assert_eq!(at.0, found.len() as u64);
                let cut = matches!(error, Some(ArchiveError::Truncated { .. }));
                prop_assert!(cut);
            }
            Ok(Verdict::GoOn(at)) => prop_assert!(false, "stopped at {at:?}"),
            Err(other) => prop_assert_eq!(other.to_string(), error.expect("there is one, too").to_string()),
        }
        // In any order, the same bytes and the same place of the damage.
        let archive = open().expect("it could be opened before");
        for action in &actions {
            if let Action::Read { place, len } = *action {
                let offset = ((found.len() as f64 * place) as usize).min(found.len());
                let mut buf = vec![0; len];
                if let Ok(count) = archive.read_at(Offset(offset as u64), &mut buf) {
                    prop_assert_eq!(count, len.min(found.len() - offset));
                    prop_assert!(buf[..count] == found[offset..offset + count]);
                } else {
                    prop_assert_eq!(offset, found.len());
                }
            }
        }
    }
}

const SMALL: Sizes = Sizes { checkpoint_bytes: 64 << 10, input_bytes: 4 << 10 };

#[test]
fn a_sequential_reader_decodes_every_byte_once() {
    let data = text(3_000_000, 1);
    for how in [
        How::Gzip { level: 6 },
        How::Zstd { level: 3, checksum: true },
        How::Members { level: 1, each: 99_999, padding: 0 },
    ] {
        let archive = open(&how.compress(&data), how.kind(), SMALL);
        let mut offset = 0;
        while offset < data.len() as u64 {
            // As readers do that compare what they have seen last.
            let back = offset.min(240);
            offset = check(&archive, &data, offset - back, 64 << 10);
        }
        assert_eq!(check(&archive, &data, offset, 1), offset);
        assert_eq!(archive.decoded(), data.len() as u64, "{how:?}");
    }
}

#[test]
fn sequential_readers_decode_at_most_once_each() {
    let data = text(1_000_000, 2);
    let how = How::Zstd { level: 1, checksum: false };
    let archive = open(&how.compress(&data), how.kind(), SMALL);
    let mut places = [0; 4];
    // The second starts when the first is through a quarter, and so on: none takes another one's decoder for long.
    for round in 0.. {
        if places.iter().all(|&place| place == data.len() as u64) {
            break;
        }
        for (number, place) in places.iter_mut().enumerate() {
            if round >= number * 40 {
                *place = check(&archive, &data, *place, 10_000);
            }
        }
    }
    // Less where one finds in a window what another one left there.
    assert!(archive.decoded() <= 4 * data.len() as u64, "{}", archive.decoded());
}

#[test]
fn a_read_anywhere_decodes_no_more_than_the_distance_of_checkpoints() {
    let data = text(5_000_000, 3);
    let slack = 128 << 10;
    let frames = How::Frames { level: 3, each: 50_000, skippable: true };
    for how in
        [How::Gzip { level: 9 }, How::Gzip { level: 1 }, How::Flushed { level: 6, every: 131_072, full: true }, frames]
    {
        let archive = open(&how.compress(&data), how.kind(), SMALL);
        assert_eq!(archive.measure().expect("the archive is right"), Some(data.len() as u64));
        let mut state = 7;
        for _ in 0..100 {
            state = next(state);
            let before = archive.decoded();
            check(&archive, &data, (state >> 20) % data.len() as u64, 1_000);
            assert!(archive.decoded() - before <= SMALL.checkpoint_bytes + slack, "{how:?}");
        }
    }
}

#[test]
fn a_backward_reader_decodes_little_more_than_once() {
    let data = text(9_000_000, 13);
    for (how, times) in [(How::Gzip { level: 6 }, 2), (How::Zstd { level: 3, checksum: false }, 3)] {
        let archive = open(&how.compress(&data), how.kind(), Sizes::default());
        assert_eq!(archive.measure().expect("the archive is right"), Some(data.len() as u64));
        let before = archive.decoded();
        let mut offset = data.len() as u64;
        while offset > 0 {
            offset = offset.saturating_sub(64 << 10);
            check(&archive, &data, offset, 64 << 10);
        }
        let decoded = archive.decoded() - before;
        assert!(decoded <= times * data.len() as u64, "{how:?}: {decoded}");
    }
}

/// One block of a deflate stream may be as long as it likes; the inflater's state is copied inside of it then.
#[test]
fn a_block_without_end_has_checkpoints_too() {
    let data = vec![b'x'; 40 << 20];
    let archive = open(&gzip(&data, 9), Kind::Gzip, Sizes { checkpoint_bytes: 256 << 10, ..SMALL });
    archive.measure().expect("the archive is right");
    for place in [39 << 20, 20 << 20, 1 << 20] {
        let before = archive.decoded();
        check(&archive, &data, place, 1);
        assert!(archive.decoded() - before <= 512 << 10);
    }
}

#[test]
fn checkpoints_are_few_and_small_and_can_be_dropped() {
    let data = text(20_000_000, 4);
    let archive = open(&gzip(&data, 6), Kind::Gzip, Sizes { checkpoint_bytes: 10_000, ..SMALL });
    archive.measure().expect("the archive is right");
    let held = archive.memory();
    assert!(0 < held && held < ARCHIVE_CHECKPOINTS_MAX * (20 << 10), "{held}");
    archive.drop_checkpoints();
    assert_eq!(archive.memory(), 0);
    check(&archive, &data, 15_000_000, 100_000);
    assert!(archive.memory() > 0);
}

#[test]
fn members_cost_no_windows() {
    let data = text(2_000_000, 5);
    let how = How::Members { level: 6, each: 60_000, padding: 512 };
    let archive = open(&how.compress(&data), how.kind(), Sizes { checkpoint_bytes: 120_000, ..SMALL });
    archive.measure().expect("the archive is right");
    // Blocks end inside of members too, so not all of the 16 are free.
    assert!(archive.memory() < 16 * (20 << 10), "{}", archive.memory());
}

#[test]
fn parked_decoders_are_bounded_for_all_archives_together() {
    let data = text(10_000_000, 6);
    let parking = Arc::new(Parking::new());
    let big = zstd(&data, &[CParameter::WindowLog(23)]);
    let small = gzip(&data, 1);
    let archives: Vec<_> = (0..40)
        .map(|number| {
            let (bytes, kind) = if number % 2 == 0 { (&big, Kind::Zstd) } else { (&small, Kind::Gzip) };
            Archive::open(file_of(bytes), Path::new("app.log.1"), kind, &parking).expect("it begins like an archive")
        })
        .collect();
    for archive in &archives {
        check(archive, &data, 9_000, 1_000);
        assert!(parking.len() <= PARKED_DECODERS_MAX);
        assert!(parking.memory() <= PARKED_BYTES_MAX);
    }
    assert!(!parking.is_empty());
    drop(archives);
    assert_eq!((parking.len(), parking.memory()), (0, 0));
}

#[test]
fn a_window_over_the_limit_is_an_error_by_name() {
    let data = text(100_000, 7);
    let mut packed = zstd(&data, &[CParameter::WindowLog(23)]);
    packed.extend(zstd(&data, &[CParameter::WindowLog(24)]));
    let archive = open(&packed, Kind::Zstd, SMALL);
    let (found, error) = read_all(&archive, 30_000);
    assert!(found == data);
    let error = error.expect("16 MiB are too much");
    assert!(matches!(error, ArchiveError::WindowTooLarge { offset, .. } if offset.0 == data.len() as u64));
    assert_eq!(
        error.to_string(),
        "app.log.1: compressed with a window of more than 8 MiB (zstd --long or --ultra) after 100000 uncompressed bytes"
    );
    assert!(matches!(archive.read_at(Offset(u64::MAX), &mut [0]), Err(ArchiveError::WindowTooLarge { .. })));
}

#[test]
fn a_wrong_checksum_or_length_is_told_after_the_data() {
    let data = text(50_000, 8);
    let packed = gzip(&data, 6);
    for place in [8, 1] {
        let mut hit = packed.clone();
        let place = hit.len() - place;
        hit[place] ^= 1;
        let archive = open(&hit, Kind::Gzip, SMALL);
        let (found, error) = read_all(&archive, 7_000);
        assert!(found == data);
        assert!(matches!(error, Some(ArchiveError::Damaged { offset, .. }) if offset.0 == data.len() as u64));
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    let parking = Arc::new(Parking::new());
    let open = |bytes: &[u8], kind| Archive::open(file_of(bytes), Path::new("x.gz"), kind, &parking);
    let plain = open(b"2026-01-02 plain text", Kind::Gzip).expect_err("text is no archive");
    assert_eq!(plain.to_string(), "x.gz: not a gzip file");
    assert!(matches!(open(&gzip(b"", 1), Kind::Zstd), Err(ArchiveError::NotAnArchive { .. })));
    assert!(matches!(open(b"", Kind::Gzip), Err(ArchiveError::Truncated { .. })));
    assert!(matches!(open(b"\x28\xb5", Kind::Zstd), Err(ArchiveError::Truncated { .. })));
}

#[test]
fn text_after_the_last_member_is_damage_at_its_end() {
    let data = text(1_000, 9);
    let mut packed = gzip(&data, 6);
    packed.extend(b"and some text");
    let (found, error) = read_all(&open(&packed, Kind::Gzip, SMALL), 64);
    assert!(found == data);
    assert!(matches!(error, Some(ArchiveError::Damaged { offset, .. }) if offset.0 == 1_000));
}

#[test]
fn waiting_for_a_file_to_grow_is_no_damage() {
    let data = text(100_000, 14);
    for how in [How::Gzip { level: 6 }, How::Zstd { level: 3, checksum: true }] {
        let packed = how.compress(&data);
        let file = file_of(&packed[..packed.len() / 2]);
        let archive = Archive::open(Arc::clone(&file), Path::new("app.log.1"), how.kind(), &Arc::default())
            .expect("it begins like an archive");
        for _ in 0..100 {
            assert!(matches!(archive.verify(u64::MAX), Ok(Verdict::NotYet(_))), "{how:?}");
        }
        file.write_all_at(&packed, 0).expect("the file can be written");
        assert_eq!(archive.measure().expect("the archive is right"), Some(data.len() as u64));
    }
}

#[test]
fn a_file_rewritten_in_place_is_read_anew() {
    let (old, new) = (text(500_000, 10), text(700_000, 11));
    let (old_packed, new_packed) = (gzip(&old, 6), gzip(&new, 6));
    let file = file_of(&old_packed);
    let archive = Archive::open_with(Arc::clone(&file), Path::new("app.log.1"), Kind::Gzip, &Arc::default(), SMALL)
        .expect("it begins like an archive");
    check(&archive, &old, 400_000, 1_000);
    assert!(archive.memory() > 0);
    file.set_len(0).expect("the file can be cut");
    file.write_all_at(&new_packed, 0).expect("the file can be written");
    check(&archive, &new, 401_000, 1_000);
    assert_eq!(archive.measure().expect("the archive is right"), Some(700_000));
}

#[test]
fn threads_read_side_by_side() {
    let data = text(2_000_000, 12);
    for how in [How::Gzip { level: 6 }, How::Frames { level: 1, each: 100_000, skippable: false }] {
        let archive = open(&how.compress(&data), how.kind(), SMALL);
        thread::scope(|scope| {
            for seed in 0..4 {
                let (archive, data) = (&archive, &data);
                scope.spawn(move || {
                    let mut state = seed;
                    for _ in 0..60 {
                        state = next(state);
                        check(archive, data, (state >> 20) % 2_000_000, (state >> 50) as usize);
                        if seed == 0 {
                            archive.drop_checkpoints();
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn kinds_are_known_by_name_and_by_magic() {
    for (name, kind) in [
        ("/var/log/app.log.2.gz", Some(Kind::Gzip)),
        ("app.log-20260102.zst", Some(Kind::Zstd)),
        ("app.log.1", None),
        ("gz", None),
        (".gz", None),
        ("app.gz.log", None),
    ] {
        assert_eq!(Kind::of_name(Path::new(name)), kind, "{name}");
    }
    assert_eq!(Kind::of_magic(&gzip(b"", 1)), Some(Kind::Gzip));
    assert_eq!(Kind::of_magic(&zstd(b"", &[])), Some(Kind::Zstd));
    assert_eq!(Kind::of_magic(b"\x50\x2a\x4d\x18"), Some(Kind::Zstd));
    assert_eq!(Kind::of_magic(b"\x1f\x8b"), None);
    assert_eq!(Kind::of_magic(b""), None);
}
