//! How messages show numbers and shapes. The standard library writes every digit that a number
//! has, and lists of anything, by more code than a browser should load for a message.

use std::fmt::{self, Display, Formatter};

/// Digits that are shown: those that single precision has.
const DIGITS: i32 = 7;

/// Numbers are written without an exponent from this power of ten on, up to [`DIGITS`].
const LOWEST: i32 = -5;

/// A number of any size, rounded to seven digits.
pub struct Number(f64);

/// To be shown in a message.
pub fn number(value: impl Into<f64>) -> Number {
    Number(value.into())
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if self.0.is_sign_negative() && !self.0.is_nan() {
            f.write_str("-")?;
        }
        if !size.is_finite() {
            return f.write_str(if size.is_nan() { "NaN" } else { "inf" });
        }
        let (digits, power) = digits(size);
        if (LOWEST..DIGITS).contains(&power) {
            return write_decimal(f, digits, power);
        }
        write_decimal(f, digits, 0)?;
        write!(f, "e{power}")
    }
}

/// The first digits of a finite number, as a whole number of [`DIGITS`] digits, and the power of
/// ten of the first of them. Zero has zeros.
fn digits(size: f64) -> (u32, i32) {
    let (least, end) = (10f64.powi(DIGITS - 1), 10f64.powi(DIGITS));
    let (mut scaled, mut power) = (size, DIGITS - 1);
    while scaled > 0.0 && scaled < least - 0.05 {
        scaled *= 10.0;
        power -= 1;
    }
    while scaled.round() >= end {
        scaled /= 10.0;
        power += 1;
    }
    if size == 0.0 { (0, 0) } else { (scaled.round() as u32, power) }
}

/// Writes digits of which the first is of this power of ten, without zeros at the end.
fn write_decimal(f: &mut Formatter<'_>, digits: u32, power: i32) -> fmt::Result {
    // In units of the last place.
    let places = (DIGITS - 1 - power) as u32;
    let unit = 10u64.pow(places);
    let (whole, mut rest) = (u64::from(digits) / unit, u64::from(digits) % unit);
    write!(f, "{whole}")?;
    if rest == 0 {
        return Ok(());
    }
    f.write_str(".")?;
    let mut place = unit / 10;
    while rest > 0 {
        write!(f, "{}", rest / place)?;
        rest %= place;
        place /= 10;
    }
    Ok(())
}

/// The lengths of axes, as in `[2, 3]`.
pub struct Shape<'a>(pub &'a [usize]);

impl Display for Shape<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, size) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            write!(f, "{size}")?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_by_their_first_digits() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (0.1, "0.1"),
            (f64::from(0.1f32), "0.1"),
            (0.99999999, "1"),
            (9.9999999, "10"),
            (1234567.4, "1234567"),
            (9999999.4, "9999999"),
            (9999999.6, "1e7"),
            (12345678.0, "1.234568e7"),
            (0.00001, "0.00001"),
            (0.0000123, "0.0000123"),
            (0.0000099999999, "0.00001"),
            (0.00000123, "1.23e-6"),
            (1e300, "1e300"),
            (-2.5e-300, "-2.5e-300"),
            (f64::MAX, "1.797693e308"),
            (5e-324, "4.940656e-324"),
            (f64::NAN, "NaN"),
            (-f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(number(value).to_string(), text, "{value:e}");
        }
    }

    #[test]
    fn what_is_shown_is_near() {
        for step in 0..20_000 {
            let value = 1.0007f64.powi(step - 10_000) * 1.2345;
            let shown: f64 = number(value).to_string().parse().unwrap();
            assert!((shown / value - 1.0).abs() < 5.1e-7, "{value:e} as {shown:e}");
        }
    }

    #[test]
    fn shapes_are_shown_as_lists() {
        let text = |shape| Shape(shape).to_string();
        assert_eq!([text(&[]), text(&[7]), text(&[2, 30])], ["[]", "[7]", "[2, 30]"]);
    }
}
