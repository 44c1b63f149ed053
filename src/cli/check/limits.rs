//! The limits as `check` prints them.

use std::{fmt, time::Duration};

/// A limit of the program.
pub(super) struct Limit {
    name: &'static str,
    value: Value,
    about: &'static str,
}

/// What a limit counts, as far as its type tells.
enum Value {
    /// Bytes or pieces: the name says which.
    Count(u64),
    /// Time.
    Time(Duration),
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl Limit {
    fn new(name: &'static str, value: impl Into<Value>, about: &'static str) -> Self {
        Self { name, value: value.into(), about }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match &self.value {
            Value::Time(time) => format!("{time:?}"),
            Value::Count(count) if self.name.contains("BYTES") => bytes(*count),
            Value::Count(count) => count.to_string(),
        };
        write!(f, "{:<32} {value:>9}  {}", self.name, self.about)
    }
}

/// A number of bytes in the largest binary unit that divides it.
fn bytes(count: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.into_iter().find(|(_, size)| count > 0 && count.is_multiple_of(*size));
    unit.map_or_else(|| format!("{count} B"), |(name, size)| format!("{} {name}", count / size))
}

/// Every limit, in the order in which `limits` has them.
pub(super) fn all() -> Vec<Limit> {
    include!(concat!(env!("OUT_DIR"), "/limits.rs")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_shown_with_what_it_is_for() {
        let all = all();
        assert!(all.iter().any(|limit| limit.name == "SEGMENT_BYTES"));
        for limit in &all {
            assert!(!limit.about.is_empty(), "{} says nothing", limit.name);
        }
    }

    #[test]
    fn a_limit_has_its_unit() {
        let shown = |limit: Limit| limit.to_string();
        assert!(shown(Limit::new("A_BYTES_MAX", 65_536_u64, "a")).ends_with("   64 KiB  a"));
        assert!(shown(Limit::new("A_BYTES_MAX", 1000_u32, "a")).ends_with("   1000 B  a"));
        assert!(shown(Limit::new("A_COUNT_MAX", 65_536_usize, "a")).ends_with("    65536  a"));
        assert!(shown(Limit::new("A_EVERY", Duration::from_millis(250), "a")).ends_with("    250ms  a"));
    }
}
