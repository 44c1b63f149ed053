//! The value of one key in a file: what every kind of key is read with.
//!
//! Each reader answers with the value, or notes everything that is wrong with it and answers with nothing.

use std::{collections::BTreeMap, ops::Range, path::Path, time::Duration};

use toml::{Spanned, de::DeValue};

use super::{
    Multiline,
    document::{File, Placed},
    problems::{Complaint, Place, Problems, suggest},
    values,
};
use crate::limits::{GLOB_COUNT_MAX, LABEL_BYTES_MAX, LABEL_COUNT_MAX};

/// The value of a key in a file.
pub(super) struct Node<'a> {
    pub file: File<'a>,
    pub key: &'static str,
    pub value: &'a DeValue<'a>,
    pub span: Range<usize>,
}

impl Node<'_> {
    /// Where the value stands.
    pub fn place(&self) -> Place {
        self.file.place(self.span.clone())
    }

    /// What relative paths are below.
    pub fn directory(&self) -> &Path {
        self.file.directory
    }

    /// A string that `read` understands.
    pub fn text<T>(&self, problems: &mut Problems, read: impl Fn(&str) -> Result<T, Complaint>) -> Option<T> {
        match self.value {
            DeValue::String(text) => self.noted(read(text), problems),
            other => self.noted(Err(self.not("a string", other)), problems),
        }
    }

    /// A list of strings that `read` understands, none of them twice.
    pub fn distinct<T: PartialEq>(
        &self,
        problems: &mut Problems,
        read: impl Fn(&str) -> Result<T, Complaint>,
    ) -> Option<Vec<Placed<T>>> {
        let items = match self.value {
            DeValue::Array(items) => items,
            DeValue::String(text) => {
                let complaint = self.not("a list of strings", self.value).help(format!("write [{text:?}]"));
                return self.noted(Err(complaint), problems);
            }
            other => return self.noted(Err(self.not("a list of strings", other)), problems),
        };
        if items.len() > GLOB_COUNT_MAX {
            let message = format!("`{}` has {} elements; the limit is {GLOB_COUNT_MAX}", self.key, items.len());
            return self.noted(Err(Complaint::new(message)), problems);
        }
        let mut list: Vec<Placed<T>> = Vec::with_capacity(items.len());
        let mut whole = true;
        for item in items {
            match self.element(item, &list, &read) {
                Ok(placed) => list.push(placed),
                Err(complaint) => {
                    whole = false;
                    problems.push(self.file.place(item.span()), complaint);
                }
            }
        }
        whole.then_some(list)
    }

    fn element<T: PartialEq>(
        &self,
        item: &Spanned<DeValue<'_>>,
        before: &[Placed<T>],
        read: impl Fn(&str) -> Result<T, Complaint>,
    ) -> Result<Placed<T>, Complaint> {
        let DeValue::String(text) = item.get_ref() else {
            return Err(Complaint::new(format!(
                "the elements of `{}` are strings, this is {}",
                self.key,
                kind(item.get_ref())
            )));
        };
        let value = read(text)?;
        if before.iter().any(|known| known.value == value) {
            return Err(Complaint::new(format!("`{text}` is there twice")));
        }
        Ok(Placed { value, place: self.file.place(item.span()) })
    }

    /// Refuses an empty list.
    pub fn not_empty<T>(&self, list: Vec<T>, problems: &mut Problems, help: &str) -> Option<Vec<T>> {
        if list.is_empty() {
            return self.noted(Err(Complaint::new(format!("`{}` is empty", self.key)).help(help)), problems);
        }
        Some(list)
    }

    /// A whole number between two bounds, both included.
    pub fn count(&self, least: u32, most: u32, problems: &mut Problems) -> Option<u32> {
        let read = || {
            let DeValue::Integer(number) = self.value else {
                return Err(self.not("a whole number", self.value));
            };
            let number = i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX);
            u32::try_from(number)
                .ok()
                .filter(|number| least <= *number && *number <= most)
                .ok_or_else(|| Complaint::new(format!("`{}` is a whole number from {least} to {most}", self.key)))
        };
        self.noted(read(), problems)
    }

    /// A number of bytes between two bounds, both included.
    pub fn size(&self, least: u64, most: u64, problems: &mut Problems) -> Option<u64> {
        let read = || {
            let bytes = match self.value {
                DeValue::String(text) => values::size(text)?,
                DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
                    .map_err(|_| Complaint::new(format!("`{}` is no number of bytes", number.as_str())))?,
                other => return Err(self.not("a size, like \"64MiB\"", other)),
            };
            if least <= bytes && bytes <= most {
                return Ok(bytes);
            }
            let (least, most) = (values::show_size(least), values::show_size(most));
            Err(Complaint::new(format!("`{}` is a size from {least} to {most}", self.key)))
        };
        self.noted(read(), problems)
    }

    /// A duration between two bounds, both included.
    pub fn duration(&self, least: Duration, most: Duration, problems: &mut Problems) -> Option<Duration> {
        let read = || {
            let duration = match self.value {
                DeValue::String(text) => values::duration(text)?,
                DeValue::Integer(number) => {
                    let help = format!("write \"{}s\" for seconds", number.as_str());
                    return Err(self.not("a duration, like \"90s\"", self.value).help(help));
                }
                other => return Err(self.not("a duration, like \"90s\"", other)),
            };
            if least <= duration && duration <= most {
                return Ok(duration);
            }
            let (least, most) = (values::show_duration(least), values::show_duration(most));
            Err(Complaint::new(format!("`{}` is a duration from {least} to {most}", self.key)))
        };
        self.noted(read(), problems)
    }

    /// `true` or `false`.
    pub fn switch(&self, problems: &mut Problems) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            DeValue::String(text) if matches!(&**text, "true" | "false") => {
                let complaint = self.not("true or false", self.value).help("write it without quotes");
                self.noted(Err(complaint), problems)
            }
            other => self.noted(Err(self.not("true or false", other)), problems),
        }
    }

    /// One of some words.
    pub fn choice<T>(
        &self,
        problems: &mut Problems,
        what: &str,
        words: &[&str],
        read: fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.text(problems, |text| {
            read(text).ok_or_else(|| {
                let complaint = Complaint::new(format!("`{text}` is no `{}`", self.key));
                complaint.help(suggest(text, words, &format!("the {what} are")))
            })
        })
    }

    /// `"indent"`, `"off"` or `{ start = 'regex' }`.
    pub fn multiline(&self, problems: &mut Problems) -> Option<Multiline> {
        const HELP: &str = "it is { start = 'regex' }, \"indent\" or \"off\"";
        match self.value {
            DeValue::String(word) => match &**word {
                "off" => Some(Multiline::Off),
                "indent" => Some(Multiline::Indent),
                other => self.noted(Err(Complaint::new(format!("`{other}` is no `multiline`")).help(HELP)), problems),
            },
            DeValue::Table(table) => {
                let mut whole = true;
                for key in table.keys().filter(|key| *key.get_ref() != "start") {
                    whole = false;
                    let complaint = Complaint::new(format!("`multiline` has no key `{}`", key.get_ref()));
                    problems.push(self.file.place(key.span()), complaint.help(HELP));
                }
                let Some(start) = table.get("start") else {
                    return if whole {
                        self.noted(Err(Complaint::new("`multiline` has no `start`").help(HELP)), problems)
                    } else {
                        None
                    };
                };
                let node = Node { file: self.file, key: "start", value: start.get_ref(), span: start.span() };
                let pattern = node.text(problems, |text| values::line_regex(text).map(|_| text.to_owned()))?;
                whole.then_some(Multiline::Start(pattern))
            }
            other => {
                let message = format!("`multiline` cannot be {}", kind(other));
                self.noted(Err(Complaint::new(message).help(HELP)), problems)
            }
        }
    }

    /// A table of strings.
    pub fn labels(&self, problems: &mut Problems) -> Option<BTreeMap<String, String>> {
        let DeValue::Table(table) = self.value else {
            let complaint = self.not("a table of strings", self.value).help("like { team = \"payments\" }");
            return self.noted(Err(complaint), problems);
        };
        if table.len() > LABEL_COUNT_MAX {
            let message = format!("there are {} labels; the limit is {LABEL_COUNT_MAX}", table.len());
            return self.noted(Err(Complaint::new(message)), problems);
        }
        let mut labels = BTreeMap::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let complaint = match value.get_ref() {
                _ if name.is_empty() => Complaint::new("the name of a label is empty"),
                DeValue::String(text) if text.len() <= LABEL_BYTES_MAX && name.len() <= LABEL_BYTES_MAX => {
                    labels.insert(name.to_owned(), text.clone().into_owned());
                    continue;
                }
                DeValue::String(_) => {
                    Complaint::new(format!("a label has at most {LABEL_BYTES_MAX} bytes, and so has its value"))
                }
                other => Complaint::new(format!("the value of a label is a string, not {}", kind(other)))
                    .help("write it in quotes"),
            };
            problems.push(self.file.place(value.span()), complaint);
        }
        (labels.len() == table.len()).then_some(labels)
    }

    fn not(&self, wanted: &str, given: &DeValue<'_>) -> Complaint {
        Complaint::new(format!("`{}` is {wanted}, not {}", self.key, kind(given)))
    }

    fn noted<T>(&self, read: Result<T, Complaint>, problems: &mut Problems) -> Option<T> {
        read.map_err(|complaint| problems.push(self.place(), complaint)).ok()
    }
}

/// What a TOML value is called.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
