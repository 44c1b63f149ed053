//! One `StreamBatches` of the small daemon: from where a request starts to where it ends, or is cut.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use hyper::body::Frame;
use logtap::proto::v1::{
    CaughtUp, Event, LogEntry, LogRequest, StreamBatchesRequest, StreamBatchesResponse, event::Kind,
};
use tokio::sync::mpsc;

use super::{Plan, State, framed, ok};

/// One `StreamBatches`.
pub struct Stream {
    state: Arc<State>,
    request: LogRequest,
    follow: bool,
    batch: usize,
    plan: Plan,
    frames: mpsc::Sender<Frame<Bytes>>,
    cut: mpsc::Sender<()>,
    /// Lines of each log that lie behind.
    position: Vec<usize>,
    batches: usize,
    entries: u64,
    bytes: u64,
    crc32: crc32fast::Hasher,
}

/// The client has gone, or is to be left.
struct Over;

impl Stream {
    pub fn new(
        state: Arc<State>,
        request: StreamBatchesRequest,
        plan: Plan,
        frames: mpsc::Sender<Frame<Bytes>>,
        cut: mpsc::Sender<()>,
    ) -> Self {
        let logs = state.counts().1;
        let batch = if request.max_bytes == 1 { 1 } else { plan.batch };
        Self {
            follow: !request.no_follow,
            request: request.request.unwrap_or_default(),
            batch,
            plan,
            frames,
            cut,
            position: vec![0; logs],
            state,
            batches: 0,
            entries: 0,
            bytes: 0,
            crc32: crc32fast::Hasher::new(),
        }
    }

    pub async fn run(mut self) {
        let _: Result<(), Over> = self.play().await;
    }

    async fn play(&mut self) -> Result<(), Over> {
        let mut changed = self.state.changed.subscribe();
        self.seek();
        let events = std::mem::take(&mut self.plan.events);
        self.send(Vec::new(), events).await?;
        while self.state.plan.lock().unwrap().hold {
            changed.changed().await.map_err(|_| Over)?;
        }
        changed.mark_unchanged();
        let backlog = self.state.lines_after(&self.position);
        self.send_all(backlog, Vec::new()).await?;
        let mut events = vec![Event { kind: Some(Kind::CaughtUp(CaughtUp {})) }];
        while self.follow && !self.is_complete() && !self.plan.ends_early {
            let lines = self.state.lines_after(&self.position);
            if !events.is_empty() || !lines.is_empty() {
                self.send_all(lines, std::mem::take(&mut events)).await?;
                continue;
            }
            tokio::select! {
                changed = changed.changed() => changed.map_err(|_| Over)?,
                () = self.frames.closed() => return Err(Over),
            }
        }
        let trailers = if self.plan.ends_early { HeaderMap::new() } else { self.trailers() };
        self.frames.send(Frame::trailers(ok(trailers))).await.map_err(|_| Over)
    }

    /// Goes to where the request starts.
    fn seek(&mut self) {
        let mut positions = HashMap::new();
        for cursor in &self.request.resume {
            for pair in std::str::from_utf8(cursor).expect("text").split(',').filter(|pair| !pair.is_empty()) {
                let (log, lines) = pair.split_once('=').expect("a pair");
                positions.insert(log.parse::<usize>().expect("a log"), lines.parse::<usize>().expect("lines"));
            }
        }
        if !self.request.resume.is_empty() {
            for (log, position) in self.position.iter_mut().enumerate() {
                *position = positions.get(&log).copied().unwrap_or(0);
            }
            return;
        }
        let lines = self.state.lines_after(&self.position);
        let tail = self.request.tail.unwrap_or(if self.follow { 0 } else { u64::MAX });
        let skipped = lines.len() - lines.len().min(usize::try_from(tail).unwrap_or(usize::MAX));
        for (log, line, _) in &lines[..skipped] {
            self.position[*log] = self.position[*log].max(line + 1);
        }
    }

    fn is_complete(&self) -> bool {
        self.request.limit > 0 && self.entries >= self.request.limit
    }

    async fn send_all(&mut self, mut lines: Vec<(usize, usize, LogEntry)>, mut events: Vec<Event>) -> Result<(), Over> {
        if self.request.limit > 0 {
            lines.truncate(usize::try_from(self.request.limit - self.entries).expect("few"));
        }
        let mut lines = lines.into_iter().peekable();
        while lines.peek().is_some() || !events.is_empty() {
            let batch = lines.by_ref().take(self.batch).collect();
            self.send(batch, std::mem::take(&mut events)).await?;
        }
        Ok(())
    }

    async fn send(&mut self, lines: Vec<(usize, usize, LogEntry)>, events: Vec<Event>) -> Result<(), Over> {
        let start = self.cursor(0..self.position.len());
        let mut entries: Vec<(usize, LogEntry)> = Vec::with_capacity(lines.len());
        for (log, line, mut entry) in lines {
            if entry.flags & 16 == 0 {
                self.position[log] = line + 1;
            }
            // Only the last entry of each file has a cursor.
            entry.cursor = self.cursor(log..log + 1);
            for (_, before) in entries.iter_mut().filter(|(of, _)| *of == log) {
                before.cursor = Bytes::new();
            }
            entries.push((log, entry));
        }
        let whole = self.batches.is_multiple_of(self.plan.whole_every);
        let mut moved: Vec<usize> = entries.iter().map(|(log, _)| *log).collect();
        moved.sort_unstable();
        moved.dedup();
        let batch = StreamBatchesResponse {
            cursor: if whole { self.cursor(0..self.position.len()) } else { self.cursor(moved) },
            start: if self.batches == 0 { start } else { Bytes::new() },
            cursor_is_delta: !whole,
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            events,
        };
        self.batches += 1;
        for entry in &batch.entries {
            self.entries += 1;
            self.bytes += entry.message.len() as u64;
            self.crc32.update(entry.message.as_bytes());
            self.crc32.update(b"\n");
        }
        let mut frame = framed(&batch);
        let cut = self.plan.cut_after.is_some_and(|after| self.entries > after);
        if cut {
            frame.truncate(frame.len() / 2);
        }
        self.frames.send(Frame::data(frame)).await.map_err(|_| Over)?;
        if cut {
            // The frame is on its way once there is room for another.
            let _room = self.frames.reserve().await.map_err(|_| Over)?;
            let _ = self.cut.send(()).await;
            return Err(Over);
        }
        Ok(())
    }

    fn cursor(&self, logs: impl IntoIterator<Item = usize>) -> Bytes {
        let pairs: Vec<String> = logs.into_iter().map(|log| format!("{log}={}", self.position[log])).collect();
        // A cursor that names nothing is one all the same.
        Bytes::from(if pairs.is_empty() { ",".to_owned() } else { pairs.join(",") })
    }

    fn trailers(&self) -> HeaderMap {
        let crc32 = self.crc32.clone().finalize() ^ u32::from(self.plan.wrong_checksum);
        let mut trailers = HeaderMap::new();
        trailers.insert("logtap-entries", self.entries.into());
        trailers.insert("logtap-message-bytes", self.bytes.into());
        trailers.insert("logtap-crc32", format!("{crc32:08x}").parse().expect("a header"));
        trailers.insert("logtap-gaps", HeaderValue::from_static("0"));
        trailers
    }
}
