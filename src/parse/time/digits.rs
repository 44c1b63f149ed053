//! Digits to numbers, the common lengths without a step for each of them.

use super::calendar;

/// `0` in each byte.
const ZEROS: u64 = 0x3030_3030_3030_3030;
/// Added to the value of a digit in each byte, it reaches the upper half of the byte for all that is no digit.
const SIXES: u64 = 0x0606_0606_0606_0606;
/// The upper half of each byte.
const UPPERS: u64 = 0xf0f0_f0f0_f0f0_f0f0;

/// The number that `digits` write; none when one of them is no digit. At most nine digits are ever asked for.
#[inline(always)]
pub fn number<const N: usize>(digits: [u8; N]) -> Option<u32> {
    let mut value = 0u32;
    let mut wrong = false;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        wrong |= digit > 9;
        value = value.wrapping_mul(10).wrapping_add(u32::from(digit));
    }
    (!wrong).then_some(value)
}

/// The unsigned number at the beginning of `bytes`, of 1 to `most` digits (at most nine), and its length; none when
/// more digits follow.
#[inline]
pub fn number_up_to(bytes: &[u8], most: usize) -> Option<(u32, usize)> {
    let mut value = 0u32;
    let mut len = 0;
    while let Some(digit) = bytes.get(len).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit <= 9) {
        if len == most {
            return None;
        }
        value = value * 10 + u32::from(digit);
        len += 1;
    }
    (len > 0).then_some((value, len))
}

/// The values of eight digits, among which the bytes of `marks` are not zero and have to be there as they are; then the
/// value of each two neighbours, in the place of the first.
#[inline(always)]
const fn pairs(text: u64, marks: u64) -> Option<u64> {
    // Where a mark is expected, its difference from itself is zero.
    let has_mark = mark_bytes(marks);
    let values = text ^ (ZEROS & !has_mark | marks);
    if (values | values.wrapping_add(SIXES)) & UPPERS != 0 || values & has_mark != 0 {
        return None;
    }
    Some(values * 10 + (values >> 8))
}

/// All bits of each byte of `marks` that is not zero; marks are ASCII.
#[inline(always)]
const fn mark_bytes(marks: u64) -> u64 {
    let low = 0x7f7f_7f7f_7f7f_7f7f;
    ((marks + low) & !low) / 0x80 * 0xff
}

/// Year and month of `2026-11-`, with `separator` in both places.
#[inline(always)]
pub fn year_month(text: [u8; 8], separator: u8) -> Option<(u32, u32)> {
    let separator = separator as u64;
    let values = pairs(u64::from_le_bytes(text), separator << 32 | separator << 56)?;
    let two = |at: u32| (values >> (8 * at)) as u32 & 0xff;
    Some((two(0) * 100 + two(2), two(5)))
}

/// Seconds of the day of `10:00:00`. A leap second is the first second of the next minute.
#[inline(always)]
pub fn seconds_of_clock(text: [u8; 8]) -> Option<u32> {
    let values = pairs(u64::from_le_bytes(text), (b':' as u64) << 16 | (b':' as u64) << 40)?;
    let two = |at: u32| (values >> (8 * at)) as u32 & 0xff;
    calendar::seconds_of_day(two(0), two(3), two(6))
}

/// The number that the first `len` of eight digits write, as though zeros followed; they must be digits.
#[inline(always)]
const fn padded(text: u64, len: u32) -> u32 {
    let values = (text ^ ZEROS) & if len >= 8 { u64::MAX } else { (1 << (8 * len)) - 1 };
    let twos = (values * 10 + (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos * 100 + (twos >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) as u32
}

/// How many digits `text` begins with.
#[inline(always)]
const fn digits(text: u64) -> u32 {
    let values = text ^ ZEROS;
    // A carry out of a byte that is no digit spoils only what lies behind it.
    let others = (values | values.wrapping_add(SIXES)) & UPPERS;
    if others == 0 { 8 } else { others.trailing_zeros() / 8 }
}

/// Reads a fraction of a second, `.` or `,` and digits: nanoseconds (further digits are dropped) and its length, both 0
/// when there is none.
#[inline(always)]
pub fn fraction(bytes: &[u8]) -> (u32, usize) {
    let [b'.' | b',', rest @ ..] = bytes else { return (0, 0) };
    match rest.first_chunk::<8>() {
        Some(text) => fraction_of(u64::from_le_bytes(*text), rest),
        None => fraction_at_end(rest),
    }
}

/// Reads a fraction like [`fraction`] that stands behind the first eight of `bytes`, a clock.
#[inline(always)]
pub fn fraction_behind(bytes: &[u8]) -> (u32, usize) {
    let [_, _, _, _, _, _, _, _, b'.' | b',', rest @ ..] = bytes else { return (0, 0) };
    let text = match (rest.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(text), _) => u64::from_le_bytes(*text),
        // At the end of a text, the last eight bytes without those of the clock: zeros are no digits.
        (None, Some(last)) => u64::from_le_bytes(*last).checked_shr(64 - 8 * rest.len() as u32).unwrap_or(0),
        (None, None) => 0,
    };
    fraction_of(text, rest)
}

/// Reads the digits of a fraction that begin `rest`, the first eight bytes of which are `text`.
#[inline(always)]
fn fraction_of(text: u64, rest: &[u8]) -> (u32, usize) {
    match digits(text) {
        0 => (0, 0),
        8 => {
            let ninth = rest.get(8).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit <= 9);
            let len = 8 + rest[8..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            (padded(text, 8) * 10 + u32::from(ninth.unwrap_or(0)), 1 + len)
        }
        len => (padded(text, len) * 10, 1 + len as usize),
    }
}

/// Reads the digits of a fraction at the end of a line.
#[cold]
fn fraction_at_end(digits: &[u8]) -> (u32, usize) {
    let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut text = [b'0'; 8];
    text[..len].copy_from_slice(&digits[..len]);
    if len == 0 { (0, 0) } else { (padded(u64::from_le_bytes(text), 8) * 10, 1 + len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_and_dates_are_digits_with_their_marks() {
        assert_eq!(seconds_of_clock(*b"23:59:58"), Some(86_398));
        assert_eq!(seconds_of_clock(*b"00:00:00"), Some(0));
        assert_eq!(year_month(*b"2026-11-", b'-'), Some((2026, 11)));
        assert_eq!(year_month(*b"2026/11/", b'/'), Some((2026, 11)));
        assert_eq!(year_month(*b"2026-11/", b'-'), None);
        for at in 0..8 {
            for byte in 0..=255u8 {
                let mut clock = *b"12:34:56";
                clock[at] = byte;
                let expected = [0, 1, 3, 4, 6, 7].iter().all(|&at| clock[at].is_ascii_digit())
                    && clock[2] == b':'
                    && clock[5] == b':';
                let number = |at: usize| u32::from(clock[at] - b'0') * 10 + u32::from(clock[at + 1] - b'0');
                let expected = if expected { calendar::seconds_of_day(number(0), number(3), number(6)) } else { None };
                assert_eq!(seconds_of_clock(clock), expected, "{clock:?}");
            }
        }
    }

    #[test]
    fn fractions_end_where_their_digits_do() {
        let digits = b"123456789123";
        for len in 0..=12 {
            for after in [&b""[..], b"Z", b" and more", b"Z and more", &[0xff; 9], b"/23456789", b":23456789"] {
                let text = [b".", &digits[..len], after].concat();
                let nanos = [&digits[..len.min(9)], &b"000000000"[len.min(9)..]].concat();
                let expected = number(<[u8; 9]>::try_from(nanos).expect("nine digits")).expect("digits");
                let expected = if len == 0 { (0, 0) } else { (expected, 1 + len) };
                assert_eq!(fraction(&text), expected, "{text:?}");
                assert_eq!(fraction_behind(&[b"10:00:00", &text[..]].concat()), expected, "{text:?}");
            }
        }
    }
}
