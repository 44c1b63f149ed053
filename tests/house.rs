//! The house stays as it is drawn: which room may know which, what the pure rooms do not know, and how long files are.
//!
//! Reads the sources as text. What stands in a room's tests is not part of the house.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Rooms that all others may know: bounds, counters, and locks.
const FLOOR: [&str; 3] = ["limits", "telemetry", "sync"];

/// Every other room, and those besides the floor that it may know. A room stands below the ones that it knows, so there
/// is no circle.
const ARROWS: [(&str, &[&str]); 13] = [
    ("proto", &[]),
    ("entry", &[]),
    ("glob", &[]),
    ("parse", &["entry"]),
    ("filter", &["entry", "parse"]),
    ("config", &["entry", "glob"]),
    ("file", &["entry", "parse"]),
    ("watch", &["entry", "glob", "parse", "file", "config"]),
    ("feed", &["entry", "glob", "parse", "filter", "file", "watch"]),
    ("client", &["proto", "entry"]),
    ("server", &["proto", "entry", "glob", "parse", "filter", "config", "file", "watch", "feed"]),
    ("daemon", &["proto", "entry", "glob", "parse", "filter", "config", "file", "watch", "feed", "client", "server"]),
    (
        "cli",
        &["proto", "entry", "glob", "parse", "filter", "config", "file", "watch", "feed", "client", "server", "daemon"],
    ),
];

/// Rooms that are values and functions over bytes: they neither wait nor know the wire.
const PURE: [&str; 7] = ["limits", "entry", "glob", "parse", "filter", "file", "config"];
const IMPURE: [&str; 3] = ["tokio", "tonic", "hyper"];

/// Lines of one file. Longer ones are asking to be split by noun.
const LINES_MAX: usize = 600;
/// Files that may be longer, and why.
const LONG: [(&str, &str); 0] = [];

/// A source file.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Every `.rs` file below a directory of the repository.
    fn all(directory: &str) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (mut found, mut ahead) = (Vec::new(), vec![root.join(directory)]);
        while let Some(directory) = ahead.pop() {
            let Ok(listing) = fs::read_dir(&directory) else { continue };
            for path in listing.map(|entry| entry.expect("a listed file").path()) {
                if path.is_dir() {
                    ahead.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(&path).expect("source is text");
                    found.push(Self { path: path.strip_prefix(root).expect("it lies below").into(), text });
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// The room that a file below `src` belongs to; the files that only hold the house together belong to none.
    fn room(&self) -> Option<String> {
        let below = self.path.strip_prefix("src").ok()?;
        let first = below.components().next()?.as_os_str().to_str()?;
        let room = first.strip_suffix(".rs").unwrap_or(first);
        (!["lib", "main"].contains(&room)).then(|| room.to_owned())
    }

    /// Whether the whole file is tests.
    fn is_tests(&self) -> bool {
        self.path
            .iter()
            .any(|part| part == "tests" || part == "tests.rs" || part.to_string_lossy().ends_with("_tests.rs"))
    }

    /// The text without comments, and without the tests at its end.
    fn code(&self) -> String {
        let mut code = String::new();
        let mut lines = self.text.lines().peekable();
        while let Some(line) = lines.next() {
            let is_test = line.starts_with("#[cfg(") && line.contains("test");
            if is_test && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{')) {
                break;
            }
            if !line.trim_start().starts_with("//") {
                code.push_str(line);
                code.push('\n');
            }
        }
        code
    }
}

/// The rooms that a piece of code names by `crate::`.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|before| before.is_alphanumeric() || "_$".contains(before)) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => named.extend(heads_of_group(group)),
            None => named.extend([head(rest)]),
        }
    }
    named.retain(|name| name.starts_with(|first: char| first.is_ascii_lowercase()));
    named
}

/// The first name of each element of `a, b::c, d::{e, f}}…`, up to the closing brace.
fn heads_of_group(group: &str) -> Vec<String> {
    let (mut heads, mut depth, mut begins) = (Vec::new(), 0, true);
    for (at, letter) in group.char_indices() {
        match letter {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            letter if begins && !letter.is_whitespace() => {
                heads.push(head(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    heads
}

fn head(path: &str) -> String {
    path.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// Whether code has a word, not only as a part of another.
fn has_word(code: &str, word: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(part) && !code[at + word.len()..].chars().next().is_some_and(part)
    })
}

#[test]
fn rooms_know_only_those_below_them() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into();
    let mut wrong = Vec::new();
    for source in Source::all("src").iter().filter(|source| !source.is_tests()) {
        let Some(room) = source.room() else { continue };
        let known: &[&str] = if FLOOR.contains(&room.as_str()) {
            &[]
        } else {
            arrows.get(room.as_str()).unwrap_or_else(|| panic!("{}: {room} is no room", source.path.display()))
        };
        for named in rooms_named(&source.code()) {
            let fine = named == room || known.contains(&named.as_str()) || FLOOR.contains(&named.as_str());
            if !fine {
                wrong.push(format!("{}: {room} -> {named}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that are not drawn:\n{}", wrong.join("\n"));
}

#[test]
fn the_arrows_go_one_way() {
    let mut above = BTreeSet::from(FLOOR);
    for (room, known) in ARROWS {
        let stray: Vec<_> = known.iter().filter(|known| !above.contains(**known)).collect();
        assert!(stray.is_empty(), "{room} knows {stray:?}, which stand below it");
        above.insert(room);
    }
}

#[test]
fn pure_rooms_neither_wait_nor_know_the_wire() {
    let mut wrong = Vec::new();
    for source in Source::all("src").iter().filter(|source| !source.is_tests()) {
        if source.room().is_some_and(|room| PURE.contains(&room.as_str())) {
            let code = source.code();
            let named = IMPURE.iter().filter(|word| has_word(&code, word));
            wrong.extend(named.map(|word| format!("{}: {word}", source.path.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_short() {
    let mut wrong = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(Source::all) {
        let excused = LONG.iter().any(|(path, _)| Path::new(path) == source.path);
        let lines = source.text.lines().count();
        match (lines > LINES_MAX, excused) {
            (true, false) => wrong.push(format!("{}: {lines} lines", source.path.display())),
            (false, true) => {
                wrong.push(format!("{}: short enough by now, take it off the list", source.path.display()))
            }
            (true, true) | (false, false) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [concat!("to", "do!"), concat!("unimple", "mented!"), concat!("TO", "DO"), concat!("FIX", "ME")];
    let mut wrong = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(Source::all) {
        let found = marks.iter().filter(|mark| source.text.contains(**mark));
        wrong.extend(found.map(|mark| format!("{}: {mark}", source.path.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let code = "use crate::{\n    a::{b, c},\n    d,\n    e::F,\n};\nfn f() { crate::g::h(); $crate::not(); crate::I }";
    let named: Vec<_> = rooms_named(code).into_iter().collect();
    assert_eq!(named, ["a", "d", "e", "g"]);
}
