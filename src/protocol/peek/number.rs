//! A JSON number as a non-negative integer.
//!
//! Invariant: exact, without floats; `1e3` and `1.0` are integers (providers take them for such), `1.5`, `-1` and whatever
//! does not fit are not.

/// The value of a number token (RFC 8259 section 6); `None` when it is no non-negative integer below 2^64, or no number.
pub fn integral(token: &[u8]) -> Option<u64> {
    let (mantissa, exponent) = match token.iter().position(|byte| byte | 0x20 == b'e') {
        Some(at) => (&token[..at], std::str::from_utf8(&token[at + 1..]).ok()?.parse::<i64>().ok()?),
        None => (token, 0),
    };
    let mut value = 0u64;
    // Decimal places of `value` that are not applied yet; trailing zeros wait here, so that 100e-2 and 1.00 are exact.
    let mut zeros = 0i64;
    let mut places = 0i64;
    let mut point = false;
    for &byte in mantissa {
        match byte {
            b'0' => zeros += 1,
            b'1'..=b'9' => {
                value = scale(value, zeros + 1)?.checked_add(u64::from(byte - b'0'))?;
                zeros = 0;
            }
            b'.' if !point => point = true,
            _ => return None,
        }
        if point && byte != b'.' {
            places += 1;
        }
    }
    if value == 0 {
        return (!mantissa.is_empty()).then_some(0);
    }
    scale(value, exponent.checked_add(zeros)?.checked_sub(places)?)
}

fn scale(value: u64, power: i64) -> Option<u64> {
    if value == 0 {
        return Some(0);
    }
    value.checked_mul(10u64.checked_pow(u32::try_from(power).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn row(token: &str, want: Option<u64>) {
        assert_eq!(integral(token.as_bytes()), want, "{token}");
    }

    #[test]
    fn integral_values() {
        row("0", Some(0));
        row("7", Some(7));
        row("128000", Some(128_000));
        row("18446744073709551615", Some(u64::MAX));
        row("18446744073709551616", None);
        row("1.0", Some(1));
        row("1.50e1", Some(15));
        row("1e3", Some(1000));
        row("1E+3", Some(1000));
        row("1000e-3", Some(1));
        row("1001e-3", None);
        row("1.5", None);
        row("0.0", Some(0));
        row("0e999999999999", Some(0));
        row("10.0e-1", Some(1));
        row("1e20", None);
        row("1e9223372036854775807", None);
        row("1e99999999999999999999", None);
        row("-1", None);
        row("-0", None);
        row("true", None);
        row("\"5\"", None);
        row("{}", None);
        row("", None);
    }
}
