//! Compressed logs read by position: whatever was compressed, however, and however it is read, the bytes are the same.

mod made;

use std::{fs::File, io::Write as _, os::unix::fs::FileExt as _, path::Path, sync::Arc, thread};

use logtap::{
    entry::Offset,
    file::archive::{Archive, ArchiveError, Kind, Parking, Sizes, Verdict},
    limits::{ARCHIVE_CHECKPOINTS_MAX, PARKED_BYTES_MAX, PARKED_DECODERS_MAX},
};
use proptest::prelude::*;
use zstd_safe::CParameter;

use made::{How, data, gzip, how, next, text, zstd};

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
    (prop_oneof![1..50_000u64, Just(4 << 20)], prop_oneof![1 => 8..64usize, 5 => 500..70_000usize])
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
