//! The Gregorian calendar in integers: civil dates to days, and back to years.

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// Days of a common year before the month of this index.
const BEFORE: [u16; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
/// Days of the month of this index in a common year.
const LENGTHS: [u8; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/// Leap days from the year 1 to the end of 1969.
const LEAP_DAYS_BEFORE_1970: u32 = 1969 / 4 - 1969 / 100 + 1969 / 400;

/// Days from 1970-01-01 to this date, if it exists.
#[inline(always)]
pub fn days(year: u32, month: u32, day: u32) -> Option<i64> {
    let index = month.wrapping_sub(1) as usize;
    if !(1970..=9999).contains(&year) || index > 11 {
        return None;
    }
    let (leap, leap_days) = if year < 2100 {
        // From 1904 to 2096 every fourth year has a leap day.
        (year.is_multiple_of(4), (year - 1969) / 4)
    } else {
        let (before, centuries) = (year - 1, (year - 1) / 100);
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        (leap, before / 4 - centuries + centuries / 4 - LEAP_DAYS_BEFORE_1970)
    };
    if day.wrapping_sub(1) >= u32::from(LENGTHS[index]) + u32::from(leap && month == 2) {
        return None;
    }
    let leap_days = leap_days + u32::from(leap && month > 2);
    Some(i64::from((year - 1970) * 365 + leap_days + u32::from(BEFORE[index]) + day - 1))
}

/// Seconds of the day at this clock time, if it exists; second 60 is the leap second, one second after 59.
#[inline(always)]
pub fn seconds_of_day(hour: u32, minute: u32, second: u32) -> Option<u32> {
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// Whether a year has this day; the 29th of February counts.
#[inline]
pub fn exists(month: u32, day: u32) -> bool {
    days(2000, month, day).is_some()
}

/// The year in which the second `civil` of the epoch lies.
pub fn year(civil: i64) -> i64 {
    let days = civil.div_euclid(DAY) + 719_468;
    let century = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year_of_century = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_century + year_of_century / 4 - year_of_century / 100);
    let march_first = century * 400 + year_of_century;
    if day_of_year >= 306 { march_first + 1 } else { march_first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_up_by_one_through_four_centuries() {
        let mut expected = 0;
        for year in 1970..2400 {
            for month in 1..=12 {
                for day in 1..=31 {
                    let Some(found) = days(year, month, day) else {
                        assert!(day > 28, "{year}-{month}-{day}");
                        continue;
                    };
                    assert_eq!(found, expected, "{year}-{month}-{day}");
                    assert_eq!(super::year(found * DAY + DAY - 1), i64::from(year), "{year}-{month}-{day}");
                    expected += 1;
                }
            }
        }
        assert_eq!(expected, 157_054);
    }

    #[test]
    fn dates_that_do_not_exist_are_none() {
        for (year, month, day) in
            [(2025, 2, 29), (2100, 2, 29), (2026, 4, 31), (2026, 0, 1), (2026, 13, 1), (2026, 1, 0)]
        {
            assert_eq!(days(year, month, day), None, "{year}-{month}-{day}");
        }
        assert!(days(2024, 2, 29).is_some() && days(2000, 2, 29).is_some());
        assert_eq!(seconds_of_day(24, 0, 0), None);
    }
}
