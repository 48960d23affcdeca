//! Exact percentages, in the digits in which they were written, and the counts behind them.

use std::cmp::Ordering;
use std::fmt;

use serde::{Serialize, Serializer};

/// Digits after the decimal point in comparisons; 100 at this scale fits into 64 bits.
const SCALE_DIGITS: usize = 12;
const SCALE: u64 = 10u64.pow(SCALE_DIGITS as u32);

/// Digits of a percentage of Covered's own after the decimal point.
const SHOWN_DIGITS: usize = 2;

/// A number from 0 to 100. Keeps its digits as written, and compares exactly.
#[derive(Clone, PartialEq, Eq)]
pub struct Percent {
    text: String,
    scaled: u64,
}

impl Percent {
    /// Plain decimal digits from 0 to 100, such as `87.42`; no sign, no exponent.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || whole.len() > 3 || fraction.len() > SCALE_DIGITS {
            return None;
        }
        let scaled: u64 = format!("{whole}{fraction:0<SCALE_DIGITS$}").parse().ok()?;
        (scaled <= 100 * SCALE).then(|| Self { text: text.to_owned(), scaled })
    }

    /// From a tool's floating-point number, rounded to `digits` digits.
    pub fn from_float(number: f64, digits: usize) -> Option<Self> {
        let scaled = (0.0..=100.0).contains(&number).then_some((number * SCALE as f64) as u64)?;
        Some(Self::rounded(scaled, digits, number == 0.0, number == 100.0))
    }

    /// From a rate such as `0.8744`, rounded to `digits` digits of the percentage.
    pub fn from_rate(text: &str, digits: usize) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let kept = fraction.get(..SCALE_DIGITS + 2).unwrap_or(fraction);
        if !is_digits(fraction) || !matches!(whole, "0" | "1") {
            return None;
        }
        let scaled: u64 = format!("{whole}{kept:0<width$}", width = SCALE_DIGITS + 2).parse().ok()?;
        let is_none = fraction.bytes().all(|byte| byte == b'0') && whole == "0";
        (scaled <= 100 * SCALE).then(|| Self::rounded(scaled, digits, is_none, scaled == 100 * SCALE))
    }

    /// Rounds to the nearest, but never onto 0 or 100: only exact values are shown as such.
    fn rounded(scaled: u64, digits: usize, is_none: bool, is_all: bool) -> Self {
        let unit = 10u64.pow(SCALE_DIGITS.saturating_sub(digits) as u32);
        let units = scaled.saturating_add(unit / 2) / unit;
        let all = 100 * SCALE / unit;
        let units = match (is_none, is_all) {
            (true, _) => 0,
            (_, true) => all,
            _ => units.clamp(1, all - 1),
        };
        let per_whole = SCALE / unit;
        let fraction = format!(".{:0digits$}", units % per_whole);
        let text = format!("{}{}", units / per_whole, if digits == 0 { "" } else { &fraction });
        Self { text, scaled: units * unit }
    }

    pub fn is_zero(&self) -> bool {
        self.scaled == 0
    }

    /// Whether this is at least `threshold`, to the last digit.
    pub fn reaches(&self, threshold: &Self) -> bool {
        self.scaled >= threshold.scaled
    }

    /// The difference to an earlier value, as in `+0.31%`, exact in the digits shown.
    pub fn change_since(&self, before: &Self) -> String {
        let sign = match self.scaled.cmp(&before.scaled) {
            Ordering::Greater => '+',
            Ordering::Less => '-',
            Ordering::Equal => '±',
        };
        let change = self.scaled.abs_diff(before.scaled);
        let number = format!("{}.{:0SCALE_DIGITS$}", change / SCALE, change % SCALE);
        format!("{sign}{}%", number.trim_end_matches('0').trim_end_matches('.'))
    }

    /// Whether both can be the same number, in the digits that both have.
    pub fn is_near(&self, other: &Self) -> bool {
        self.scaled.abs_diff(other.scaled) <= self.unit().max(other.unit())
    }

    /// One in the last digit.
    fn unit(&self) -> u64 {
        let digits = self.text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        10u64.pow(SCALE_DIGITS.saturating_sub(digits) as u32)
    }

    /// Whether this can be the rounded percentage of `counts`: tools round up, down or to the nearest.
    pub fn shows(&self, counts: Counts) -> bool {
        self.scaled.abs_diff(counts.scaled()) <= self.unit()
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.text)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.scaled as f64 / SCALE as f64)
    }
}

/// Covered and total; the total is never 0, and never less than covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub covered: u64,
    pub total: u64,
}

impl Counts {
    pub fn new(covered: u64, total: u64) -> Option<Self> {
        (total > 0 && covered <= total).then_some(Self { covered, total })
    }

    /// The percentage, truncated to the scale.
    fn scaled(self) -> u64 {
        let scaled = u128::from(self.covered) * u128::from(100 * SCALE) / u128::from(self.total);
        scaled.try_into().unwrap_or(100 * SCALE)
    }

    pub fn percent(self, digits: usize) -> Percent {
        Percent::rounded(self.scaled(), digits, self.covered == 0, self.covered == self.total)
    }

    /// The whole percentage if that is exact, else with two digits.
    pub fn shown(self) -> Percent {
        let whole = self.percent(0);
        if self.equals(&whole) { whole } else { self.percent(SHOWN_DIGITS) }
    }

    /// The percentage, truncated to so many digits.
    pub fn truncated(self, digits: usize) -> Percent {
        let unit = 10u64.pow(SCALE_DIGITS.saturating_sub(digits) as u32);
        let scaled = self.scaled() / unit * unit;
        Percent { text: format!("{}.{:0digits$}", scaled / SCALE, scaled % SCALE / unit), scaled }
    }

    /// The percentage as `79.6` if that is exact, and as `84.6153…` if it is truncated.
    pub fn exact(self, digits: usize) -> String {
        let cut = self.truncated(digits);
        if self.equals(&cut) {
            cut.text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            cut.text + "…"
        }
    }

    /// Whether this is exactly the percentage.
    pub fn equals(self, percent: &Percent) -> bool {
        u128::from(self.covered) * u128::from(100 * SCALE) == u128::from(percent.scaled) * u128::from(self.total)
    }

    /// Whether the exact percentage is at least `threshold`.
    pub fn reaches(self, threshold: &Percent) -> bool {
        u128::from(self.covered) * u128::from(100 * SCALE) >= u128::from(threshold.scaled) * u128::from(self.total)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.covered, self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(text: &str) -> Percent {
        Percent::parse(text).unwrap()
    }

    #[test]
    fn a_percent_keeps_its_digits() {
        for text in ["0", "0.00", "7", "87.42", "99.995", "100", "100.00"] {
            assert_eq!(percent(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_percent_is_refused() {
        for text in [
            "",
            ".",
            "5.",
            ".5",
            "-1",
            "+1",
            "100.01",
            "101",
            "1000",
            "1e999",
            "1e1",
            "NaN",
            "inf",
            "87,42",
            "8 7",
            "0.1234567890123",
            "٣",
        ] {
            assert_eq!(Percent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn percents_are_compared_to_the_last_digit() {
        assert!(percent("87.42").reaches(&percent("87.42")));
        assert!(percent("90").reaches(&percent("90.000")));
        assert!(!percent("99.996").reaches(&percent("100")));
        assert!(!percent("0.1").reaches(&percent("0.100000000001")));
    }

    #[test]
    fn a_change_has_no_noise() {
        let change = |now, before| percent(now).change_since(&percent(before));
        assert_eq!(change("87.42", "87.11"), "+0.31%");
        assert_eq!(change("80.1", "81.3"), "-1.2%");
        assert_eq!(change("87.40", "87.4"), "±0%");
        assert_eq!([change("100", "0"), change("0", "100.00")], ["+100%", "-100%"]);
        assert_eq!(change("0.3", "0.1"), "+0.2%");
        assert_eq!(change("84.615384615384", "84.62"), "-0.004615384616%");
    }

    #[test]
    fn a_percent_is_a_number_in_json() {
        let json = |text| serde_json::to_string(&percent(text)).unwrap();
        assert_eq!(json("87.42"), "87.42");
        assert_eq!(json("100.00"), "100.0");
        assert_eq!(json("99.996"), "99.996");
    }

    #[test]
    fn only_all_is_a_hundred_and_only_none_is_zero() {
        let shown = |covered, total, digits| Counts::new(covered, total).unwrap().percent(digits).to_string();
        assert_eq!(shown(277, 316, 1), "87.7");
        assert_eq!(shown(155, 188, 2), "82.45");
        assert_eq!(shown(1, 3, 0), "33");
        assert_eq!(shown(99_999, 100_000, 2), "99.99");
        assert_eq!(shown(1, 100_000, 2), "0.01");
        assert_eq!(shown(9, 9, 2), "100.00");
        assert_eq!(shown(0, 9, 2), "0.00");
        assert_eq!(shown(u64::MAX - 1, u64::MAX, 1), "99.9");
    }

    #[test]
    fn a_floating_point_number_is_shown_the_same_way() {
        let shown = |number| Percent::from_float(number, 2).map(|percent| percent.to_string());
        assert_eq!(shown(82.4468085106383).unwrap(), "82.45");
        assert_eq!(shown(99.9999999).unwrap(), "99.99");
        assert_eq!([shown(100.0).unwrap(), shown(0.0).unwrap()], ["100.00", "0.00"]);
        for number in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(shown(number), None);
        }
    }

    #[test]
    fn a_share_of_one_is_a_percent() {
        let shown = |rate| Percent::from_rate(rate, 2).map(|percent| percent.to_string());
        let rates = ["0.8744", "1", "1.0", "0", "0.0", "0.99996", "0.8210999999999999", "0.00000000000000001"];
        let percents = ["87.44", "100.00", "100.00", "0.00", "0.00", "99.99", "82.11", "0.01"];
        assert_eq!(rates.map(|rate| shown(rate).unwrap()), percents);
        for rate in ["", "1.01", "2", "-0.5", "1e-5", "NaN", "0.", ".5", "0.5x", "0.٣٣٣٣٣٣٣٣٣٣"] {
            assert_eq!(shown(rate), None, "{rate}");
        }
    }

    #[test]
    fn none_of_none_and_more_than_all_are_no_counts() {
        assert_eq!(Counts::new(0, 0), None);
        assert_eq!(Counts::new(2, 1), None);
    }

    #[test]
    fn the_exact_number_is_cut_off_with_a_mark() {
        let exact = |covered, total| Counts::new(covered, total).unwrap().exact(4);
        assert_eq!([exact(11, 13), exact(796, 1000), exact(1, 1), exact(0, 1)], ["84.6153…", "79.6", "100", "0"]);
        assert_eq!(exact(999_999_999, 1_000_000_000), "99.9999…");
    }

    #[test]
    fn counts_are_compared_exactly() {
        let counts = |covered, total| Counts::new(covered, total).unwrap();
        assert!(counts(4, 5).reaches(&percent("80")));
        assert!(!counts(796, 1000).reaches(&percent("80")));
        assert!(!counts(u64::MAX - 1, u64::MAX).reaches(&percent("100")));
        assert!(percent("87").shows(counts(8799, 10000)) && percent("88").shows(counts(8799, 10000)));
        assert!(!percent("89").shows(counts(8799, 10000)));
    }
}
