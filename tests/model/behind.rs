//! A daemon that is behind: what happened to files between two of its looks, and before its first look into one.

use std::{
    fs::{self, File},
    io::Write as _,
    time::SystemTime,
};

use logtap::entry::Offset;

use crate::{
    copies::{CACHE, Logs, line, truncate},
    daemon::Daemon,
    runtime,
};

/// The daemon may be far behind where the machine is busy.
#[test]
fn what_was_written_unseen_before_a_cursor_was_made_comes_although_it_is_compressed_by_then() {
    runtime().block_on(async {
        let mut logs = Logs::new();
        let mut reader = logs.reader().await;
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is right").as_secs();
        reader.stream.cursor(clock - 100);
        logs.append(0..100);
        logs.daemon.file(&logs.path("app.log")).mark_dirty();
        let cursor = reader.stream.cursor(clock + 100);
        logs.rename_aside();
        logs.compress();
        logs.append(100..200);
        logs.daemon = Daemon::start(logs.dir.path(), CACHE);
        reader.stream = logs.resume(&cursor, clock + 101).await;
        reader.pull().await;
        reader.has(&[0..200]);
        assert_eq!(reader.gaps, 0);
    });
}

#[test]
fn a_file_that_begins_anew_just_after_it_was_found_has_held_what_its_copy_has() {
    runtime().block_on(async {
        let (logs, mut reader) = Logs::read().await;
        logs.rename_aside();
        logs.append(100..150);
        logs.daemon.look_at_names();
        logs.copy_and_truncate_unseen();
        // By now it is longer than when it was found.
        logs.append(150..300);
        logs.daemon.look_at_files();
        reader.pull().await;
        logs.daemon.look();
        reader.pull().await;
        reader.has(&[0..300]);
        assert_eq!(reader.gaps, 0);
    });
}

#[test]
fn several_copies_of_a_file_that_is_compressed_by_then_come_in_order() {
    runtime().block_on(async {
        for reads in [false, true] {
            let (logs, mut reader) = Logs::read().await;
            if reads {
                logs.append(100..200);
                logs.daemon.look();
                reader.pull().await;
            } else {
                logs.append(100..200);
            }
            for first in [200, 300] {
                logs.copy_and_truncate_unseen();
                logs.append(first..first + 100);
            }
            logs.rename_aside();
            logs.compress();
            logs.append(400..450);
            logs.daemon.look();
            reader.pull().await;
            reader.has(&[0..450]);
            assert_eq!(reader.gaps, 0);
        }
    });
}

#[test]
fn a_copy_of_what_a_file_still_holds_is_not_taken_for_what_came_before() {
    runtime().block_on(async {
        let (logs, mut reader) = Logs::read().await;
        logs.copy_and_truncate_unseen();
        logs.append(100..200);
        logs.daemon.look_at_files();
        logs.copy();
        logs.daemon.look_at_names();
        reader.pull().await;
        truncate(&logs.path("app.log"));
        logs.append(200..250);
        logs.daemon.look();
        reader.pull().await;
        reader.has(&[0..250]);
        assert_eq!(reader.gaps, 0);
    });
}

/// What a file held before anybody looked into it nobody knows again: its copy is news.
#[test]
fn a_copy_that_is_found_late_comes_before_what_nobody_has_read_of_a_later_file() {
    runtime().block_on(async {
        let (mut logs, mut reader) = Logs::read().await;
        let cursor = reader.stream.cursor(100);
        logs.rename_aside();
        logs.append(100..200);
        let aside = logs.path("elsewhere");
        fs::copy(logs.path("app.log"), &aside).expect("there is room");
        truncate(&logs.path("app.log"));
        logs.append(200..300);
        logs.daemon = Daemon::start(logs.dir.path(), CACHE);
        reader.stream = logs.resume(&cursor, 101).await;
        logs.cascade();
        fs::rename(aside, logs.path("app.log.1")).expect("it is there");
        logs.daemon.look();
        reader.pull().await;
        reader.has(&[0..300]);
        assert_eq!(reader.gaps, 0);
    });
}

#[test]
fn what_comes_after_a_file_that_cannot_be_looked_into_for_now_waits_for_it() {
    runtime().block_on(async {
        let (logs, mut reader) = Logs::read().await;
        logs.rename_aside();
        logs.daemon.look();
        let file = logs.daemon.file(&logs.path("app.log"));
        file.set_trouble(Some("there are no descriptors".to_owned()));
        logs.rename_aside();
        logs.append(200..300);
        logs.daemon.look();
        reader.pull().await;
        reader.has(&[0..100]);
        let mut rotated = File::options().append(true).open(logs.path("app.log.1")).expect("it is there");
        (100..200).for_each(|number| writeln!(rotated, "{}", line(number)).expect("there is room"));
        file.set_trouble(None);
        logs.daemon.look();
        reader.pull().await;
        reader.has(&[0..300]);
        assert_eq!(reader.gaps, 0);
    });
}

#[test]
fn what_comes_after_a_file_begins_behind_all_that_it_held_before_it_was_looked_into() {
    let dir = tempfile::tempdir().expect("there is room");
    fs::write(dir.path().join("app.log"), "one\ntwo\nthr").expect("there is room");
    let daemon = Daemon::start(dir.path(), CACHE);
    let file = daemon.file(&dir.path().join("app.log"));
    assert_eq!(file.end_so_far(), Offset(11));
    file.check_blocking().expect("it can be read");
    assert_eq!(file.end_so_far(), Offset(8));
    truncate(&file.path());
    file.check_blocking().expect("it can be read");
    assert_eq!(file.end_so_far(), Offset::ZERO);
}
