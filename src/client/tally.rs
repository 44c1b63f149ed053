//! What came of a stream, counted here, beside what the daemon says it sent.

use tonic::metadata::MetadataMap;

use super::wire::Batch;

/// What one stream brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries that came.
    pub entries: u64,
    /// Bytes of their messages, without terminators.
    pub message_bytes: u64,
    /// CRC-32 over each message and a line feed, when it was asked for.
    pub crc32: Option<u32>,
    /// What the daemon says; `None` when the stream broke off.
    pub stated: Option<Stated>,
}

/// What the daemon says it sent, in the stream's trailers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// `logtap-entries`.
    pub entries: u64,
    /// `logtap-message-bytes`.
    pub message_bytes: u64,
    /// `logtap-crc32`.
    pub crc32: u32,
    /// `logtap-gaps`.
    pub gaps: u64,
}

impl Stated {
    /// Reads the trailers; `None` when one is missing or no number.
    pub fn read(trailers: &MetadataMap) -> Option<Self> {
        let text = |name: &str| trailers.get(name)?.to_str().ok();
        let number = |name: &str| text(name)?.parse().ok();
        Some(Self {
            entries: number("logtap-entries")?,
            message_bytes: number("logtap-message-bytes")?,
            crc32: u32::from_str_radix(text("logtap-crc32")?, 16).ok()?,
            gaps: number("logtap-gaps").unwrap_or(0),
        })
    }
}

impl Tally {
    /// Whether what came is what was sent; `None` when that cannot be told.
    pub fn verdict(&self) -> Option<bool> {
        let (stated, crc32) = (self.stated.as_ref()?, self.crc32?);
        Some(stated.entries == self.entries && stated.message_bytes == self.message_bytes && stated.crc32 == crc32)
    }
}

/// Counts a stream while it comes.
#[derive(Debug)]
pub(super) struct Counter {
    entries: u64,
    message_bytes: u64,
    crc32: Option<crc32fast::Hasher>,
}

impl Counter {
    /// A counter that also computes the checksum when `verify`.
    pub(super) fn new(verify: bool) -> Self {
        Self { entries: 0, message_bytes: 0, crc32: verify.then(crc32fast::Hasher::new) }
    }

    /// Counts `batch`.
    pub(super) fn add(&mut self, batch: &Batch) {
        self.entries += batch.entries.len() as u64;
        for entry in &batch.entries {
            self.message_bytes += entry.message.len() as u64;
            if let Some(crc32) = &mut self.crc32 {
                crc32.update(&entry.message);
                crc32.update(b"\n");
            }
        }
    }

    /// The result, with what the daemon stated.
    pub(super) fn finish(self, stated: Option<Stated>) -> Tally {
        Tally {
            entries: self.entries,
            message_bytes: self.message_bytes,
            crc32: self.crc32.map(crc32fast::Hasher::finalize),
            stated,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::client::wire::Entry;

    #[test]
    fn a_stream_is_held_against_its_trailers() {
        let entry = |text: &'static str| Entry { message: Bytes::from_static(text.as_bytes()), ..Entry::default() };
        let mut counter = Counter::new(true);
        counter.add(&Batch { entries: vec![entry("123456789"), entry("")], ..Batch::default() });
        let mut trailers = MetadataMap::new();
        for (name, value) in [("logtap-entries", "2"), ("logtap-message-bytes", "9")] {
            trailers.insert(name, value.parse().expect("ascii"));
        }
        assert_eq!(Stated::read(&trailers), None);
        let crc32 = crc32fast::hash(b"123456789\n\n");
        trailers.insert("logtap-crc32", format!("{crc32:08x}").parse().expect("ascii"));
        let stated = Stated::read(&trailers);
        assert_eq!(stated, Some(Stated { entries: 2, message_bytes: 9, crc32, gaps: 0 }));
        let tally = counter.finish(stated);
        assert_eq!(tally.verdict(), Some(true));
        assert_eq!(Tally { entries: 1, ..tally.clone() }.verdict(), Some(false));
        assert_eq!(Tally { crc32: Some(0), ..tally.clone() }.verdict(), Some(false));
        assert_eq!(Tally { stated: None, ..tally }.verdict(), None);
    }
}
