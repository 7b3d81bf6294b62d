//! Decimal numbers of JSON. The standard library's reader is exact for every number by a
//! table of ten kilobytes, which would be a tenth of the engine in a browser.

/// The largest power of five in 64 bits.
const LARGEST: u32 = 27;

/// The number that a text of JSON's form is: the nearest of double precision where there are
/// up to 19 digits and the power of ten is up to 27 from zero, and within a few units in the
/// last place otherwise. Infinite where it is too large.
pub(super) fn number(text: &str) -> f64 {
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (mut mantissa, mut power) = (0u64, 0i32);
    let mut fraction = false;
    for byte in digits.bytes() {
        match byte {
            b'.' => fraction = true,
            b'0'..=b'9' if mantissa < u64::MAX / 10 => {
                mantissa = 10 * mantissa + u64::from(byte - b'0');
                power -= i32::from(fraction);
            }
            // No more of them fit.
            b'0'..=b'9' => power += i32::from(!fraction),
            _ => (),
        }
    }
    let mut tens = 0;
    for digit in exponent.bytes().filter(u8::is_ascii_digit) {
        // More are as good as infinitely many.
        tens = (10 * tens + i32::from(digit - b'0')).min(100_000);
    }
    power = power.saturating_add(if exponent.starts_with('-') { -tens } else { tens });
    let size = scaled(mantissa, power);
    if digits.starts_with('-') { -size } else { size }
}

fn scaled(mantissa: u64, power: i32) -> f64 {
    if mantissa == 0 || power < -400 {
        return 0.0;
    }
    if power > 400 {
        return f64::INFINITY;
    }
    let near = power.clamp(-(LARGEST as i32), LARGEST as i32);
    let five = 5u64.pow(near.unsigned_abs());
    let mantissa = u128::from(mantissa);
    let mut value = if near < 0 {
        // A quotient of more bits than a double, of which the last says whether there is a rest.
        let shift = mantissa.leading_zeros();
        let (quotient, rest) = divided(mantissa << shift, five);
        (quotient | u128::from(rest > 0)) as f64 * power_of_two(near - shift as i32)
    } else {
        (mantissa * u128::from(five)) as f64 * power_of_two(near)
    };
    for _ in LARGEST..power.unsigned_abs() {
        value = if power < 0 { value / 10.0 } else { value * 10.0 };
    }
    value
}

/// Quotient and rest by a divisor of less than 64 bits, bit by bit: dividing 128 bits at once is
/// a thousand bytes of code, which nothing else needs.
fn divided(dividend: u128, divisor: u64) -> (u128, u64) {
    let (mut quotient, mut rest) = (0, 0u64);
    for bit in (0..128).rev() {
        rest = rest << 1 | (dividend >> bit) as u64 & 1;
        let fits = rest >= divisor;
        rest -= if fits { divisor } else { 0 };
        quotient = quotient << 1 | u128::from(fits);
    }
    (quotient, rest)
}

/// 2ⁿ, for n of some hundred at most.
fn power_of_two(n: i32) -> f64 {
    f64::from_bits(((1023 + n) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::number;
    use crate::kernel::random::Random;

    #[test]
    fn numbers_are_those_of_the_standard_library() {
        let mut random = Random::new(5, 0);
        let mut texts: Vec<String> = [
            "0",
            "-0",
            "0.1",
            "-2.5e-3",
            "1E+9",
            "9007199254740993",
            "0.35",
            "1e22",
            "1e23",
            "18446744073709551615",
            "0.30000000000000004",
            "123456789012345678e-27",
            "5e-7",
        ]
        .map(String::from)
        .into();
        for _ in 0..20_000 {
            let bits = random.next();
            // Between 1e-9 and 1e9, with every number of digits.
            let exponent = 1023 - 30 + bits % 60;
            let value = f64::from_bits(exponent << 52 | random.next() >> 12);
            texts.push(value.to_string());
            texts.push(format!("{:.*e}", (bits >> 32) as usize % 17, value));
        }
        for text in texts {
            let exact: f64 = text.parse().unwrap();
            assert_eq!(number(&text).to_bits(), exact.to_bits(), "{text}");
        }
    }

    #[test]
    fn far_powers_of_ten_are_close_and_none_is_too_far() {
        for text in ["1e300", "1.7976931348623157e308", "2.5e-300", "3e-40", "0.1e99"] {
            let exact: f64 = text.parse().unwrap();
            assert!((number(text) / exact - 1.0).abs() < 1e-14, "{text}");
        }
        let zeros = "0".repeat(400);
        for (text, expected) in [
            ("1e309", f64::INFINITY),
            ("-1e99999999999", f64::NEG_INFINITY),
            ("1e-99999999999", 0.0),
            ("0e99999999999", 0.0),
            (&format!("1{zeros}"), f64::INFINITY),
            (&format!("1{zeros}e-400"), 1.0),
            (&format!("0.{zeros}1e401"), 1.0),
        ] {
            let found = number(text);
            assert!(found == expected || (found - expected).abs() < 1e-13, "{text}: {found}");
        }
    }
}
