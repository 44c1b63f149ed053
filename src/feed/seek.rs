//! Which times a subscription is about: where they begin and end in each file, and when a stream that follows is over.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{task::JoinHandle, time::Sleep};

use crate::{
    entry::{Nanos, Offset},
    file::{CellError, Content, cell::Plan, seek},
    limits::{CLOCK_LOOK_EVERY, SKEW_MAX},
    watch::{LogFile, Published, Settings},
};

/// The times of the entries to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first one.
    pub since: Option<Nanos>,
    /// The first one that is too late.
    pub until: Option<Nanos>,
}

impl Span {
    /// All times.
    pub const ALL: Self = Self { since: None, until: None };

    /// Whether an entry of this time is to be sent.
    pub fn contains(&self, time: Nanos) -> bool {
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time < until)
    }

    /// Whether the clock has passed its end.
    pub fn is_past(&self) -> bool {
        self.until.is_some_and(|until| time_to(until).is_zero())
    }
}

/// Where to read in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Nothing before it is late enough.
    pub start: Offset,
    /// Nothing from it on is early enough, where that is known.
    pub stop: Option<Offset>,
}

impl Stretch {
    /// The whole file.
    pub const WHOLE: Self = Self { start: Offset::ZERO, stop: None };

    /// Where the entries of `span` are in `file`. Reads it, and may wait for a disk.
    ///
    /// # Errors
    /// Why it could not be read.
    pub fn find(file: &Arc<LogFile>, span: Span) -> Result<Self, CellError> {
        let now = file.published();
        if span == Span::ALL || now.head == Offset::ZERO {
            return Ok(Self::WHOLE);
        }
        // What was last written long before, by a clock that may be wrong by a zone, holds nothing that late.
        let last = now.mtime.0.saturating_add(SKEW_MAX.as_nanos() as i64);
        if span.since.is_some_and(|since| last < since.0) {
            return Ok(Self { start: now.head, stop: None });
        }
        let io = |error| CellError::Io(Offset::ZERO, error);
        let content = file.open().map_err(io)?;
        let reader = &*content;
        let settings = file.log.source.settings();
        let plan = plan(file, &settings, &now, reader).map_err(io)?;
        // Halving what is compressed would decode it over and over: it is read forward.
        if content.archive().is_some() {
            let stop = span.until.map_or(Ok(None), |until| seek::stop_at_once(reader, &plan, until))?;
            return Ok(Self { stop, ..Self::WHOLE });
        }
        let start = span.since.map_or(Ok(Offset::ZERO), |since| seek::start_for(reader, &plan, since))?;
        let stop = span.until.map_or(Ok(None), |until| seek::stop_for(reader, &plan, until))?;
        Ok(Self { start, stop: stop.map(|stop| stop.max(start)) })
    }
}

fn plan<'s>(file: &LogFile, settings: &'s Settings, now: &Published, reader: &Content) -> std::io::Result<Plan<'s>> {
    Ok(Plan {
        start: Offset::ZERO,
        head: now.head,
        beginning: file.beginning(reader, now, now.head)?,
        rules: &settings.rules,
        line_max: settings.line_max,
        mtime: now.mtime,
    })
}

/// When a stream that follows is over by the clock.
pub enum Closing {
    /// Never.
    Never,
    /// Once the clock has passed this; looked at again when the timer is due.
    At(Nanos, Pin<Box<Sleep>>),
    /// The clock has passed it: the files are looked at for what was written before.
    Looking(JoinHandle<()>),
    /// What was written before is known.
    Over,
}

/// What a stream that has read its files is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Read on: the files were looked at for a last time.
    ReadOn,
    /// End.
    End,
}

impl Closing {
    /// The end of a stream of `span`, if it has one.
    pub fn of(span: Span) -> Self {
        match span.until {
            None => Self::Never,
            Some(until) => Self::At(until, Box::pin(tokio::time::sleep(time_to(until)))),
        }
    }

    /// What to do now that everything known of `files` has been read.
    pub fn poll(&mut self, context: &mut Context<'_>, files: impl Fn() -> Vec<Arc<LogFile>>) -> Poll<Close> {
        loop {
            match self {
                Self::Never => return Poll::Pending,
                Self::Over => return Poll::Ready(Close::End),
                Self::At(until, timer) => {
                    let left = time_to(*until);
                    if left.is_zero() {
                        let files = files();
                        let look = move || files.iter().for_each(look);
                        *self = Self::Looking(tokio::task::spawn_blocking(look));
                    } else if timer.as_mut().poll(context).is_ready() {
                        timer.as_mut().reset(tokio::time::Instant::now() + left);
                    } else {
                        return Poll::Pending;
                    }
                }
                Self::Looking(job) => {
                    return Pin::new(job).poll(context).map(|_| {
                        *self = Self::Over;
                        Close::ReadOn
                    });
                }
            }
        }
    }
}

fn look(file: &Arc<LogFile>) {
    if let Err(error) = file.check_blocking() {
        tracing::debug!(path = %file.path().display(), %error, "cannot look at a file for the last time");
    }
}

/// How long to wait for the clock to pass `until`; not for longer than it may be set meanwhile.
fn time_to(until: Nanos) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i128;
    let left = u64::try_from(i128::from(until.0) - now).unwrap_or(0);
    Duration::from_nanos(left).min(CLOCK_LOOK_EVERY)
}
