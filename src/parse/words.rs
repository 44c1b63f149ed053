//! Words and numbers that programs use for severities.

use crate::entry::Severity;

/// The longest word known here, in bytes.
const LONGEST: usize = 13;

/// The severity that `word` stands for, in any case, wherever a word stands where severities are written.
#[inline]
pub fn severity(word: &[u8]) -> Option<Severity> {
    if word.len() < 3 || word.len() > LONGEST {
        return None;
    }
    Some(match key(word) {
        WORD_TRACE | WORD_TRC | WORD_VERBOSE | WORD_VRB | WORD_FINEST | WORD_FINER => Severity::Trace,
        WORD_DEBUG | WORD_DBG | WORD_DBUG | WORD_DEBG => Severity::Debug,
        WORD_INFO | WORD_INF => Severity::Info,
        WORD_NOTICE => Severity::Notice,
        WORD_WARN | WORD_WARNING | WORD_WRN => Severity::Warn,
        WORD_ERROR | WORD_ERR | WORD_EROR | WORD_SEVERE => Severity::Error,
        WORD_CRITICAL if word.len() == 8 => Severity::Critical,
        WORD_CRIT | WORD_CRT => Severity::Critical,
        WORD_ALERT => Severity::Alert,
        WORD_FATAL | WORD_FTL | WORD_EMERG | WORD_PANIC | WORD_DPANIC => Severity::Fatal,
        WORD_EMERGENC if word.eq_ignore_ascii_case(b"emergency") => Severity::Fatal,
        WORD_INFORMAT if word.eq_ignore_ascii_case(b"information") || word.eq_ignore_ascii_case(b"informational") => {
            Severity::Info
        }
        _ => return None,
    })
}

/// The severity that `word` stands for where nothing but a severity can stand: the value of a level key, a bracket of
/// its own. Longer lists than [`severity`]'s are safe there, and single letters.
pub fn stated(word: &[u8]) -> Option<Severity> {
    if let [letter] = word {
        return letter_of(*letter);
    }
    if let Some(found) = severity(without_distance(word)) {
        return Some(found);
    }
    if word.len() > LONGEST {
        return None;
    }
    Some(match word.to_ascii_lowercase().as_slice() {
        b"note" | b"system" | b"log" | b"ok" | b"normal" | b"default" => Severity::Info,
        b"fine" | b"config" | b"debugging" => Severity::Debug,
        b"fail" | b"failure" | b"failed" | b"errors" | b"exception" => Severity::Error,
        b"silly" | b"all" => Severity::Trace,
        b"http" => Severity::Debug,
        b"wrng" | b"caution" => Severity::Warn,
        b"disaster" | b"emergent" => Severity::Fatal,
        _ => return None,
    })
}

/// `word` without what Go's slog adds to a level between its own, `INFO+2`.
fn without_distance(word: &[u8]) -> &[u8] {
    match word {
        [level @ .., b'+' | b'-', b'0'..=b'9'] => level,
        _ => word,
    }
}

/// The severity of a single letter, as glog, logcat, MongoDB and Ruby write them.
pub fn letter_of(letter: u8) -> Option<Severity> {
    Some(match letter.to_ascii_uppercase() {
        b'V' | b'T' => Severity::Trace,
        b'D' => Severity::Debug,
        b'I' => Severity::Info,
        b'N' => Severity::Notice,
        b'W' => Severity::Warn,
        b'E' => Severity::Error,
        b'C' => Severity::Critical,
        b'A' => Severity::Alert,
        b'F' => Severity::Fatal,
        _ => return None,
    })
}

/// The severity of a syslog number, 0 to 7.
pub fn syslog(number: u32) -> Option<Severity> {
    Some(match number {
        0 => Severity::Fatal,
        1 => Severity::Alert,
        2 => Severity::Critical,
        3 => Severity::Error,
        4 => Severity::Warn,
        5 => Severity::Notice,
        6 => Severity::Info,
        7 => Severity::Debug,
        _ => return None,
    })
}

/// The severity of a number under a level key: syslog's 0 to 7, pino's and bunyan's tens, Monolog's hundreds,
/// logback's ten thousands.
pub fn level_number(number: u32) -> Option<Severity> {
    Some(match number {
        0..=7 => return syslog(number),
        10..=19 | 5_000 => Severity::Trace,
        20..=29 | 100..=199 | 10_000 => Severity::Debug,
        30..=39 | 200..=249 | 20_000 => Severity::Info,
        250..=299 => Severity::Notice,
        40..=49 | 300..=399 | 30_000 => Severity::Warn,
        50..=59 | 400..=499 | 40_000 => Severity::Error,
        500..=549 => Severity::Critical,
        550..=599 => Severity::Alert,
        60..=69 | 600..=699 | 50_000 => Severity::Fatal,
        _ => return None,
    })
}

/// The severity of OpenTelemetry's SeverityNumber, 1 to 24.
pub fn otel(number: u32) -> Option<Severity> {
    Some(match number {
        1..=4 => Severity::Trace,
        5..=8 => Severity::Debug,
        9 => Severity::Info,
        10..=12 => Severity::Notice,
        13..=16 => Severity::Warn,
        17 => Severity::Error,
        18 => Severity::Critical,
        19 | 20 => Severity::Alert,
        21..=24 => Severity::Fatal,
        _ => return None,
    })
}

/// Level words that, written as here and without any mark, begin sentences as often as they are levels.
pub fn often_begins_prose(word: &[u8]) -> bool {
    matches!(word, b"Debug" | b"Trace" | b"Notice" | b"Alert" | b"Panic" | b"Verbose" | b"Emergency")
}

/// Words that begin a sentence rather than name a thing.
pub fn begins_prose(word: &[u8]) -> bool {
    matches!(
        word,
        b"no"
            | b"not"
            | b"a"
            | b"an"
            | b"the"
            | b"this"
            | b"that"
            | b"with"
            | b"without"
            | b"found"
            | b"got"
            | b"any"
            | b"last"
            | b"in"
            | b"on"
            | b"of"
            | b"to"
            | b"for"
            | b"from"
            | b"and"
            | b"or"
            | b"is"
            | b"was"
            | b"has"
            | b"if"
            | b"when"
            | b"then"
            | b"send"
            | b"sent"
            | b"sending"
            | b"receive"
            | b"received"
            | b"return"
            | b"returned"
            | b"returns"
            | b"set"
            | b"setting"
            | b"saw"
            | b"raise"
            | b"raised"
            | b"new"
            | b"next"
            | b"at"
            | b"by"
            | b"as"
            | b"it"
            | b"all"
            | b"some"
            | b"clear"
            | b"cleared"
            | b"ignoring"
            | b"unknown"
    )
}

/// The first eight bytes in lower case as a number; words of different length have different numbers.
#[inline]
const fn key(word: &[u8]) -> u64 {
    let mut value = 0u64;
    let mut at = 0;
    while at < word.len() && at < 8 {
        value = value << 8 | (word[at] | 0x20) as u64;
        at += 1;
    }
    value
}

const WORD_TRACE: u64 = key(b"trace");
const WORD_TRC: u64 = key(b"trc");
const WORD_VERBOSE: u64 = key(b"verbose");
const WORD_VRB: u64 = key(b"vrb");
const WORD_FINEST: u64 = key(b"finest");
const WORD_FINER: u64 = key(b"finer");
const WORD_DEBUG: u64 = key(b"debug");
const WORD_DBG: u64 = key(b"dbg");
const WORD_DBUG: u64 = key(b"dbug");
const WORD_DEBG: u64 = key(b"debg");
const WORD_INFO: u64 = key(b"info");
const WORD_INF: u64 = key(b"inf");
const WORD_NOTICE: u64 = key(b"notice");
const WORD_WARN: u64 = key(b"warn");
const WORD_WARNING: u64 = key(b"warning");
const WORD_WRN: u64 = key(b"wrn");
const WORD_ERROR: u64 = key(b"error");
const WORD_ERR: u64 = key(b"err");
const WORD_EROR: u64 = key(b"eror");
const WORD_SEVERE: u64 = key(b"severe");
const WORD_CRITICAL: u64 = key(b"critical");
const WORD_CRIT: u64 = key(b"crit");
const WORD_CRT: u64 = key(b"crt");
const WORD_ALERT: u64 = key(b"alert");
const WORD_FATAL: u64 = key(b"fatal");
const WORD_FTL: u64 = key(b"ftl");
const WORD_EMERG: u64 = key(b"emerg");
const WORD_PANIC: u64 = key(b"panic");
const WORD_DPANIC: u64 = key(b"dpanic");
const WORD_EMERGENC: u64 = key(b"emergenc");
const WORD_INFORMAT: u64 = key(b"informat");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_in_any_case_and_only_whole() {
        for (word, expected) in [
            ("ERROR", Some(Severity::Error)),
            ("Warning", Some(Severity::Warn)),
            ("information", Some(Severity::Info)),
            ("INFORMATIONAL", Some(Severity::Info)),
            ("emergency", Some(Severity::Fatal)),
            ("critical", Some(Severity::Critical)),
            ("criticality", None),
            ("errors", None),
            ("erro", None),
            ("informat", None),
            ("emergencies", None),
            ("", None),
            ("e", None),
        ] {
            assert_eq!(severity(word.as_bytes()), expected, "{word}");
        }
    }

    #[test]
    fn numbers_are_read_by_their_scale() {
        assert_eq!(level_number(3), Some(Severity::Error));
        assert_eq!(level_number(30), Some(Severity::Info));
        assert_eq!(level_number(35), Some(Severity::Info));
        assert_eq!(level_number(300), Some(Severity::Warn));
        assert_eq!(level_number(40_000), Some(Severity::Error));
        assert_eq!(level_number(8), None);
        assert_eq!(otel(17), Some(Severity::Error));
        assert_eq!(otel(25), None);
    }
}
