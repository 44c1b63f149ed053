//! Logs of large machines: Blue Gene/L and the clusters logged like it (an alert label and the epoch first), and the
//! event logs of HPC clusters.

use super::{
    time::{self, epoch},
    words,
};
use crate::entry::{Nanos, Severity};

/// A line of such a log, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterLine<'l> {
    /// When it was written; the format states it absolutely.
    pub time: Option<Nanos>,
    /// The node it is from.
    pub node: &'l [u8],
    /// The severity, where the format has one.
    pub severity: Option<Severity>,
    /// The syslog line inside, after its time; empty where the format has none.
    pub syslog: &'l [u8],
}

/// Reads `LABEL 1117838570 2005.06.03 NODE …`: Blue Gene/L goes on with `2005-06-03-15.42.50.675872 NODE RAS KERNEL
/// INFO`, Thunderbird, Spirit and Liberty with a syslog line.
#[inline]
pub fn labelled(line: &[u8]) -> Option<ClusterLine<'_>> {
    let rest = match line {
        [b'-', b' ', rest @ ..] => rest,
        [b'A'..=b'Z', ..] => {
            let len = line.iter().take(24).position(|&byte| byte == b' ')?;
            &line[len + 1..]
        }
        _ => return None,
    };
    let [d1, _, _, _, _, _, _, _, _, _, b' ', y1, _, _, _, b'.', _, _, b'.', _, _, b' ', ..] = *rest else {
        return None;
    };
    if !d1.is_ascii_digit() || !y1.is_ascii_digit() {
        return None;
    }
    let time = epoch::read(&rest[..10])?;
    let rest = &rest[22..];
    let space = memchr::memchr(b' ', rest)?;
    let (node, rest) = (&rest[..space], &rest[space + 1..]);
    if let Some((_, len)) = time::named::read(rest) {
        return Some(ClusterLine { time: Some(time), node, severity: None, syslog: &rest[len..] });
    }
    let (_, len) = time::iso::read(rest)?;
    // The node again, the kind of event, the component, and then the severity.
    let severity =
        rest[len..].trim_ascii_start().split(|&byte| byte == b' ').skip(1).take(4).find_map(|word| match word {
            b"FAILURE" => Some(Severity::Error),
            _ if word.iter().all(u8::is_ascii_uppercase) => words::severity(word),
            _ => None,
        });
    Some(ClusterLine { time: Some(time), node, severity, syslog: &[] })
}

/// Reads `134681 node-246 unix.hw state_change.unavailable 1077804742 1 Component State Change: …`: a number, node,
/// component, state, the epoch, a flag.
pub fn numbered(line: &[u8]) -> Option<ClusterLine<'_>> {
    let mut words = line.splitn(7, |&byte| byte == b' ');
    let id = words.next()?;
    if id.len() > 9 || !id.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (node, _, _, stamp, flag) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    if !matches!(node.first()?, b'a'..=b'z' | b'A'..=b'Z' | 0x80..)
        || !matches!(flag, [b'0'..=b'9'])
        || !(9..=10).contains(&stamp.len())
    {
        return None;
    }
    Some(ClusterLine { time: Some(epoch::read(stamp)?), node, severity: None, syslog: &[] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labelled_lines_are_taken_apart() {
        let blue =
            b"- 1117838571 2005.06.03 R01-M0 2005-06-03-15.42.51.675872 R01-M0 RAS KERNEL FATAL data storage interrupt";
        let found = labelled(blue).expect("a line of Blue Gene/L");
        assert_eq!((found.time, found.severity), (Some(Nanos(1_117_838_571_000_000_000)), Some(Severity::Fatal)));
        let bird = b"VAPI 1131566461 2005.11.09 tbird-1 Nov 9 12:01:01 local@tbird-1 kernel: x";
        let found = labelled(bird).expect("a line of a cluster");
        assert_eq!((found.node, found.syslog), (&b"tbird-1"[..], &b" local@tbird-1 kernel: x"[..]));
        for line in ["- 1117838571 2005.06.03", "- x", "ERROR 1117838571 is no epoch here", "-", "A"] {
            assert_eq!(labelled(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn numbered_lines_are_taken_apart() {
        let found = numbered(b"3134 node-7 boot_cmd new 1074123498 1 Targeting").expect("a line of a cluster");
        assert_eq!((found.time, found.node), (Some(Nanos(1_074_123_498_000_000_000)), &b"node-7"[..]));
        for line in ["1 2 3 4 1074123498 1 x", "a b c d 1074123498 1", "1 a b c d 1", "1 a b c 1074123498 12"] {
            assert_eq!(numbered(line.as_bytes()), None, "{line}");
        }
    }
}
