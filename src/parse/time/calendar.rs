//! The Gregorian calendar in integers: civil dates to days, and back to years.

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// Days from 1970-01-01 to this date, if it exists (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
#[inline(always)]
pub fn days(year: u32, month: u32, day: u32) -> Option<i64> {
    if !(1970..=9999).contains(&year) || month.wrapping_sub(1) > 11 || day.wrapping_sub(1) >= month_days(year, month) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let century = year / 400;
    let year_of_century = year - century * 400;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_century = year_of_century * 365 + year_of_century / 4 - year_of_century / 100 + day_of_year;
    Some(i64::from(century) * 146_097 + i64::from(day_of_century) - 719_468)
}

/// Days of the month in the year.
#[inline]
fn month_days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 30 + ((month ^ (month >> 3)) & 1),
    }
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
