//! Counts durations in classes a few percent wide, so that any number of them costs the same memory.

/// Classes between a power of two and the next.
const STEPS: u64 = 32;
/// What [`STEPS`] is a power of.
const STEP_BITS: u32 = STEPS.ilog2();

/// How often which duration was met, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    classes: Vec<u64>,
    count: u64,
    greatest: u64,
}

impl Histogram {
    /// Without any.
    pub fn new() -> Self {
        let classes = usize::try_from(STEPS).unwrap_or(0) * (65 - STEP_BITS as usize);
        Self { classes: vec![0; classes], count: 0, greatest: 0 }
    }

    /// Counts one.
    pub fn add(&mut self, nanoseconds: u64) {
        self.classes[class(nanoseconds)] += 1;
        self.count += 1;
        self.greatest = self.greatest.max(nanoseconds);
    }

    /// The greatest, exactly; 0 when there is none.
    pub const fn greatest(&self) -> u64 {
        self.greatest
    }

    /// What `share` (0 to 1) of all do not exceed, within a class; 0 when there is none.
    pub fn quantile(&self, share: f64) -> u64 {
        // So many are counted that a share of them is no whole number anyway.
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut passed = 0;
        for (class, count) in self.classes.iter().enumerate() {
            passed += count;
            if passed >= wanted {
                return upper_end(class as u64).min(self.greatest);
            }
        }
        self.greatest
    }
}

/// The class of a number: those below [`STEPS`] have one each, above every power of two has [`STEPS`].
fn class(number: u64) -> usize {
    let power = number.checked_ilog2().unwrap_or(0).saturating_sub(STEP_BITS);
    let class = u64::from(power) * STEPS + (number >> power);
    usize::try_from(class).unwrap_or(usize::MAX)
}

/// The greatest number of a class.
const fn upper_end(class: u64) -> u64 {
    if class < 2 * STEPS {
        return class;
    }
    let power = class / STEPS - 1;
    let step = class - power * STEPS;
    (((step as u128 + 1) << power) - 1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_class_and_the_class_is_narrow() {
        let mut before = 0;
        for number in (0..1000).chain((10..64).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1])) {
            let class = class(number);
            assert!(before <= class && class < Histogram::new().classes.len(), "{number}");
            before = class;
            let end = upper_end(class as u64);
            assert!(number <= end && end - number <= number / (STEPS - 1), "{number} {end}");
        }
        assert_eq!(upper_end(class(u64::MAX) as u64), u64::MAX);
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let mut histogram = Histogram::new();
        assert_eq!((histogram.quantile(0.5), histogram.greatest()), (0, 0));
        (1..=1000).for_each(|number| histogram.add(number * 1000));
        for (share, expected) in [(0.0, 1000), (0.5, 500_000), (0.99, 990_000), (1.0, 1_000_000)] {
            let found = histogram.quantile(share);
            assert!(expected <= found && found <= expected + expected / 31, "{share}: {found}");
        }
        assert_eq!(histogram.greatest(), 1_000_000);
    }
}
