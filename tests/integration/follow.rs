//! Following: files that come late, move, shrink, and lines that come in parts.

use logtap::proto::v1;

use crate::support::{
    Logs,
    client::{Live, file_of},
    daemon::Daemon,
};

async fn follow(daemon: &Daemon) -> Live {
    Live::open(daemon, v1::LogRequest::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_is_sent_and_what_was_there_is_not() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", "before\nhalf")]);
    let mut live = follow(&daemon).await;
    logs.append("app.log", " whole\nnext\n");
    assert_eq!(live.take(2).await, ["half whole", "next"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_does_not_exist_yet_is_sent_from_its_beginning() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.path("later.log")]);
    let mut live = follow(&daemon).await;
    logs.append("later.log", "first\nsecond\n");
    assert_eq!(live.take(2).await, ["first", "second"]);
    logs.append("later.log", "third\n");
    assert_eq!(live.take(1).await, ["third"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_glob_that_comes_to_match_is_followed() {
    let logs = Logs::new();
    logs.write("other.txt", "not this\n");
    let daemon = Daemon::serve([logs.path("*.log")]);
    let mut live = follow(&daemon).await;
    for name in ["a.log", "b.log", "c.log"] {
        logs.append(name, format!("{name} 1\n"));
        assert_eq!(live.take(1).await, [format!("{name} 1")]);
    }
    // Renamed to a name that matches: new here.
    logs.write("d.txt", "d.log 1\n");
    logs.rename("d.txt", "d.log");
    assert_eq!(live.take(1).await, ["d.log 1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_appears_later_is_followed() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.path("new/*/app.log")]);
    let mut live = follow(&daemon).await;
    logs.make_dir("new");
    logs.make_dir("new/deep");
    logs.append("new/deep/app.log", "deep\n");
    assert_eq!(live.take(1).await, ["deep"]);
    logs.make_dir("new/other");
    logs.append("new/other/app.log", "other\n");
    assert_eq!(live.take(1).await, ["other"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_line_is_held_until_it_is_whole() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", ""), logs.write("mark.log", "")]);
    let mut live = follow(&daemon).await;
    for (index, part) in ["one", ", two", ", three"].into_iter().enumerate() {
        logs.append("app.log", part);
        // What was written later elsewhere comes, so the half line was held and is not just on its way.
        logs.append("mark.log", format!("mark {index}\n"));
        assert_eq!(live.take(1).await, [format!("mark {index}")]);
    }
    logs.append("app.log", "\n");
    assert_eq!(live.take(1).await, ["one, two, three"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_line_is_cut_and_the_next_one_is_whole() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", "")]);
    let mut live = follow(&daemon).await;
    for part in 0..5 {
        logs.append("app.log", vec![b'a' + part; 300_000]);
    }
    logs.append("app.log", "\nafter\n");
    let long = live.next().await;
    assert_eq!((long.message.len(), long.flags & 1), (1 << 20, 1));
    assert!(long.message.starts_with("aaa") && long.message.ends_with("ddd"));
    let after = live.next().await;
    assert_eq!((after.message.as_str(), after.flags & 1), ("after", 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_line_is_followed_byte_for_byte() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", "")]);
    let mut live = follow(&daemon).await;
    let lines: [&[u8]; 7] = [b"plain\n", b"\n", b"crlf\r\n", b"\r\n", b"bad \xff\xfe\n", b"nul \0\n", "☃\n".as_bytes()];
    for line in lines {
        logs.append("app.log", line);
    }
    let mut entries = Vec::new();
    for _ in lines {
        entries.push(live.next().await);
    }
    assert_eq!(file_of(&entries), lines.concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_file_is_read_to_its_end_before_its_successor() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", "")]);
    let mut live = follow(&daemon).await;
    let mut expected = Vec::new();
    for round in 0..4 {
        let lines: Vec<String> = (0..3000).map(|n| format!("round {round} line {n}")).collect();
        logs.append("app.log", lines.join("\n") + "\n");
        logs.rename("app.log", &format!("app.log.{round}"));
        logs.append("app.log", format!("round {round} new\n"));
        expected.extend(lines);
        expected.push(format!("round {round} new"));
        for (index, expected) in expected[expected.len() - 3001..].iter().enumerate() {
            assert_eq!(live.next().await.message, *expected, "round {round}, entry {index}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_writer_to_a_renamed_file_is_heard() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.path("*.log")]);
    logs.write("app.log", "");
    let mut live = follow(&daemon).await;
    logs.append("app.log", "one\n");
    assert_eq!(live.take(1).await, ["one"]);
    logs.rename("app.log", "app.log.1");
    logs.append("app.log", "two\n");
    assert_eq!(live.take(1).await, ["two"]);
    // A program that still has the old file open.
    logs.append("app.log.1", "late\n");
    assert_eq!(live.take(1).await, ["late"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_file_is_read_from_its_beginning() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", "")]);
    let mut live = follow(&daemon).await;
    for round in 0..3 {
        logs.append("app.log", format!("a long line of round {round}\nand another one\n"));
        assert_eq!(live.take(2).await[0], format!("a long line of round {round}"));
        let file = std::fs::OpenOptions::new().write(true).open(logs.path("app.log")).expect("it is there");
        file.set_len(0).expect("it is truncated");
        logs.append("app.log", format!("new {round}\n"));
        assert_eq!(live.take(1).await, [format!("new {round}")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_and_recreated_file_is_new() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", "")]);
    let mut live = follow(&daemon).await;
    for round in 0..3 {
        logs.append("app.log", format!("old {round}\n"));
        std::fs::remove_file(logs.path("app.log")).expect("it is there");
        logs.append("app.log", format!("new {round}\n"));
        assert_eq!(live.take(2).await, [format!("old {round}"), format!("new {round}")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_beside_ones_that_cannot_be_read_is_followed() {
    let logs = Logs::new();
    logs.make_dir("directory.log");
    std::os::unix::fs::symlink("nowhere", logs.path("dangling.log")).expect("a link");
    logs.write("app.log", "");
    let daemon = Daemon::serve([logs.path("*.log")]);
    let mut live = follow(&daemon).await;
    logs.append("app.log", "fine\n");
    assert_eq!(live.take(1).await, ["fine"]);
    // The link comes to lead somewhere.
    logs.append("nowhere", "through the link\n");
    assert_eq!(live.take(1).await, ["through the link"]);
}
