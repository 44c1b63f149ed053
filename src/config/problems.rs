//! What is wrong with a configuration, shown as an editor would: place, line, caret, what to write instead.

use std::{collections::BTreeSet, fmt, ops::Range, path::PathBuf};

/// Columns of a quoted line that are shown: a longer one is cut around the caret.
const QUOTED_COLUMNS: usize = 120;

/// The text of a file that was read, kept to quote from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// The file.
    pub path: PathBuf,
    /// What it holds.
    pub content: String,
}

/// Which of the texts that were read: an index that [`Problems::add_text`] gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TextId(usize);

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// These bytes of a file.
    Span(TextId, Range<usize>),
    /// A file or directory as a whole.
    File(PathBuf),
    /// An environment variable or an argument, as it was given.
    Given(String),
    /// The configuration as a whole.
    Whole,
}

/// One thing that is wrong, and what would be right where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    place: Place,
    message: String,
    help: Option<String>,
}

/// Everything that is wrong with a configuration; its `Display` is what the operator reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    texts: Vec<Text>,
    list: Vec<Problem>,
}

/// What is wrong with a value, before it is known where the value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Complaint {
    /// A complaint without advice.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    /// The same complaint with advice.
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl Problems {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Keeps the text of a file for quoting.
    pub(super) fn add_text(&mut self, path: PathBuf, content: String) -> TextId {
        self.texts.push(Text { path, content });
        TextId(self.texts.len() - 1)
    }

    /// The text that was kept.
    pub(super) fn text(&self, id: TextId) -> &Text {
        &self.texts[id.0]
    }

    /// Notes a problem.
    pub(super) fn push(&mut self, place: Place, complaint: Complaint) {
        let plain = |text: String| text.chars().map(printable).collect();
        self.list.push(Problem { place, message: plain(complaint.message), help: complaint.help.map(plain) });
    }

    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The file and line of a place in a text, the line counted from 1.
    pub(super) fn line_of(&self, id: TextId, offset: usize) -> (PathBuf, usize) {
        let text = self.text(id);
        (text.path.clone(), Position::of(&text.content, offset).line)
    }

    /// Forgets the problems after the first `kept` that are in these lines of a text.
    pub(super) fn forget_in_lines(&mut self, kept: usize, text: TextId, lines: &BTreeSet<usize>) {
        let later = self.list.split_off(kept);
        let elsewhere = later.into_iter().filter(|problem| match &problem.place {
            Place::Span(id, span) => *id != text || !lines.contains(&self.line_of(text, span.start).1),
            Place::File(_) | Place::Given(_) | Place::Whole => true,
        });
        let elsewhere: Vec<Problem> = elsewhere.collect();
        self.list.extend(elsewhere);
    }

    /// Puts the problems into the order in which a reader comes upon them.
    pub(super) fn sort(&mut self) {
        self.list.sort_by_key(|problem| match &problem.place {
            Place::File(_) => (0, 0, 0),
            Place::Span(id, span) => (1, id.0, span.start),
            Place::Given(_) => (2, 0, 0),
            Place::Whole => (3, 0, 0),
        });
    }

    fn show(&self, problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { place, message, help } = problem;
        let place: &dyn fmt::Display = match place {
            Place::Span(id, span) => return self.quote(*id, span, problem, f),
            Place::File(path) => &path.display(),
            Place::Given(given) => given,
            Place::Whole => &"logtap",
        };
        match help {
            None => writeln!(f, "{place}: {message}"),
            Some(help) => writeln!(f, "{place}: {message}; {help}"),
        }
    }

    fn quote(&self, id: TextId, span: &Range<usize>, problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text { path, content } = self.text(id);
        let Position { line, column, text } = Position::of(content, span.start);
        writeln!(f, "{}:{line}:{column}: {}", path.display(), problem.message)?;
        // The caret stands for one column of the line each, and never goes past its end.
        let marked = content.get(span.clone()).unwrap_or_default().lines().next().unwrap_or_default().chars().count();
        let before = column - 1;
        let skipped =
            if text.chars().count() <= QUOTED_COLUMNS { 0 } else { before.saturating_sub(QUOTED_COLUMNS / 2) };
        let shown: String = text.chars().skip(skipped).take(QUOTED_COLUMNS).map(printable).collect();
        // A tab before the caret is a tab below it, so that both stop at the same column of a terminal.
        let padding: String =
            shown.chars().take(before - skipped).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let room = shown.chars().count().saturating_sub(before - skipped);
        let carets = "^".repeat(marked.min(room).max(1));
        let number = line.to_string();
        writeln!(f, "  {number} | {shown}")?;
        write!(f, "  {:number_width$} | {padding}{carets}", "", number_width = number.len())?;
        match &problem.help {
            None => writeln!(f),
            Some(help) => writeln!(f, " {help}"),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.iter().try_for_each(|problem| self.show(problem, f))
    }
}

impl std::error::Error for Problems {}

/// A place in a text as people count it.
struct Position<'t> {
    /// From 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
    /// The line without its terminator.
    text: &'t str,
}

impl<'t> Position<'t> {
    /// The position of byte `offset`, which may be the end of the text.
    fn of(content: &'t str, offset: usize) -> Self {
        let offset = content.floor_char_boundary(offset);
        let before = &content[..offset];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let text = content[start..].lines().next().unwrap_or_default();
        Self { line: before.matches('\n').count() + 1, column: content[start..offset].chars().count() + 1, text }
    }
}

/// A file may hold anything; a terminal gets no control characters from it.
fn printable(c: char) -> char {
    if c != '\t' && c.is_control() { '\u{fffd}' } else { c }
}

/// The word of `known` that `given` is most likely meant to be.
pub(super) fn nearest<'k>(given: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let given = given.to_ascii_lowercase();
    known
        .into_iter()
        .map(|word| (strsim::jaro_winkler(&given, &word.to_ascii_lowercase()), word))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// `did you mean …?` where a known word is near, else the list of all.
pub(super) fn suggest(given: &str, known: &[&str], all: &str) -> String {
    match nearest(given, known.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("{all}: {}", known.join(", ")),
    }
}
