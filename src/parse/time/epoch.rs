//! Moments as plain numbers: seconds, milliseconds, microseconds or nanoseconds since the epoch.

use super::moment;
use crate::entry::Nanos;

/// Digits of which a number is read; more could not change a nanosecond.
const DIGITS_MAX: usize = 24;

/// Reads all of `text` as a number since the epoch, such as `1795168800`, `1795168800.5`, `1795168800123` or
/// `1.795168800123e9`. Its size tells its unit: whole seconds have at most eleven digits, milliseconds fourteen,
/// microseconds seventeen.
#[inline]
pub fn read(text: &[u8]) -> Option<Nanos> {
    whole(text).or_else(|| any(text))
}

/// Reads the common lengths of a whole number.
#[inline]
pub fn whole(text: &[u8]) -> Option<Nanos> {
    let unit = match (text.len(), text.first()?) {
        (_, b'0') => return None,
        (10, _) => 1_000_000_000,
        (13, _) => 1_000_000,
        (16, _) => 1_000,
        (19, _) => 1,
        _ => return None,
    };
    let mut value = 0u64;
    let mut wrong = false;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        wrong |= digit > 9;
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    // Ten digits of any unit but the last stay below 1e19, which a u64 holds.
    let value = i64::try_from(value).ok().filter(|_| !wrong)?.checked_mul(unit)?;
    Some(Nanos(value))
}

/// Reads a number of any form.
fn any(text: &[u8]) -> Option<Nanos> {
    // The digits of the number and where its decimal point stands among them.
    let mut digits = [0u8; DIGITS_MAX];
    let mut count = 0usize;
    let mut point: Option<i32> = None;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'0'..=b'9' if count < DIGITS_MAX => {
                digits[count] = byte - b'0';
                count += 1;
            }
            b'0'..=b'9' if point.is_some() => {}
            b'.' if point.is_none() && count > 0 => point = Some(count as i32),
            b'e' | b'E' => break,
            _ => return None,
        }
        at += 1;
    }
    let mut point = point.unwrap_or(count as i32);
    if at < text.len() {
        point += exponent(&text[at + 1..])?;
    }
    // Below 1e8 (1973) it is rather a duration, a counter or a time since boot.
    let nanos_per_unit_exponent = match point {
        9..=11 => 9,
        12..=14 => 6,
        15..=17 => 3,
        18..=19 => 0,
        _ => return None,
    };
    if digits[0] == 0 {
        return None;
    }
    let mut value: i128 = 0;
    for &digit in digits.iter().take((point + nanos_per_unit_exponent) as usize) {
        value = value * 10 + i128::from(digit);
    }
    let value = i64::try_from(value).ok()?;
    moment(value / 1_000_000_000, (value % 1_000_000_000) as u32)
}

/// Reads a TAI64N label, `@4000000067a1b2c31234567f`, as multilog and svlogd write it: the moment and the label's length.
/// Their TAI is ten seconds ahead of Unix time, since they take no account of leap seconds.
pub fn tai64n(bytes: &[u8]) -> Option<(Nanos, usize)> {
    const LEN: usize = 25;
    const EPOCH: u64 = (1 << 62) + 10;
    let digits = bytes.strip_prefix(b"@4")?.get(..LEN - 2)?;
    let (seconds, nanos) = digits.split_at(15);
    let hex = |digits: &[u8]| {
        digits.iter().try_fold(0u64, |value, &digit| Some(value << 4 | u64::from(char::from(digit).to_digit(16)?)))
    };
    let second = (hex(seconds)? | 4 << 60).checked_sub(EPOCH)?;
    let nanos = u32::try_from(hex(nanos)?).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some((moment(i64::try_from(second).ok()?, nanos)?, LEN))
}

fn exponent(text: &[u8]) -> Option<i32> {
    let digits = match text {
        [b'+', rest @ ..] => rest,
        _ => text,
    };
    match super::number_up_to(digits, 2)? {
        (value, len) if len == digits.len() => Some(value as i32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_tai_are_moments() {
        let (moment, len) = tai64n(b"@400000006b0001ea075bcd15 x").expect("a label");
        assert_eq!((moment, len), (Nanos(1_795_162_592_123_456_789), 25));
        for text in ["@400000006b0001ea075bcd1", "@500000006b0001ea075bcd15", "@400000006b0001eaffffffff", "@", "4000"]
        {
            assert_eq!(tai64n(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_size_of_a_number_tells_its_unit() {
        for (text, expected) in [
            ("1795168800", Some(1_795_168_800_000_000_000)),
            ("1795168800.5", Some(1_795_168_800_500_000_000)),
            ("1795168800.123456789123", Some(1_795_168_800_123_456_789)),
            ("1795168800123", Some(1_795_168_800_123_000_000)),
            ("1795168800123.25", Some(1_795_168_800_123_250_000)),
            ("1795168800123456", Some(1_795_168_800_123_456_000)),
            ("1795168800123456789", Some(1_795_168_800_123_456_789)),
            ("1.7951688001234567e+09", Some(1_795_168_800_123_456_700)),
            ("1.7951688e9", Some(1_795_168_800_000_000_000)),
            ("0", None),
            ("12", None),
            ("", None),
            (".", None),
            ("1e99", None),
            ("1795168800x", None),
            ("0001795168800", None),
            ("99999999999999999999999999999999", None),
            ("9999999999999999999", None),
        ] {
            assert_eq!(read(text.as_bytes()), expected.map(Nanos), "{text}");
        }
    }
}
