//! As much of DER (X.690) as it takes to find how long a certificate is valid (RFC 5280 §4.1).

const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The first and the last second, since 1970, in which a certificate in DER is valid (RFC 5280 §4.1.2.5);
/// `None` if it is broken. Nothing else of it is looked at, its signature neither.
#[must_use]
pub fn certificate_validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let (outer, _rest) = element(certificate, SEQUENCE)?;
    let (mut fields, _rest) = element(outer, SEQUENCE)?;
    if let Some((_version, rest)) = element(fields, EXPLICIT_VERSION) {
        fields = rest;
    }
    // The serial number, the algorithm and the issuer come first.
    for _field in 0..3 {
        fields = any_element(fields)?.rest;
    }
    let (validity, _rest) = element(fields, SEQUENCE)?;
    let not_before = any_element(validity)?;
    let not_after = any_element(not_before.rest)?;
    Some((time(&not_before)?, time(&not_after)?))
}

struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    any_element(bytes).filter(|element| element.tag == tag).map(|element| (element.content, element.rest))
}

fn any_element(bytes: &[u8]) -> Option<Element<'_>> {
    let (&tag, bytes) = bytes.split_first()?;
    let (&short, mut bytes) = bytes.split_first()?;
    let mut length = usize::from(short);
    if short >= 0x80 {
        let digits = usize::from(short & 0x7f);
        if digits == 0 || digits > 3 {
            return None;
        }
        let (long, rest) = bytes.split_at_checked(digits)?;
        length = long.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
        bytes = rest;
    }
    let (content, rest) = bytes.split_at_checked(length)?;
    Some(Element { tag, content, rest })
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`, in seconds since 1970; nothing before then.
fn time(element: &Element<'_>) -> Option<u64> {
    let digits = element.content.strip_suffix(b"Z")?;
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = digits.get(range)?;
        let is_number = digits.iter().all(u8::is_ascii_digit);
        is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    };
    let (year, at) = match (element.tag, digits.len()) {
        // RFC 5280 §4.1.2.5.1.
        (UTC_TIME, 12) => match number(0..2)? {
            year @ 50.. => (1900 + year, 2),
            year => (2000 + year, 2),
        },
        (GENERALIZED_TIME, 14) => (number(0..4)?, 4),
        _ => return None,
    };
    let (month, day) = (number(at..at + 2)?, number(at + 2..at + 4)?);
    let (hour, minute, second) = (number(at + 4..at + 6)?, number(at + 6..at + 8)?, number(at + 8..at + 10)?);
    let is_time =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !is_time {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(u64::try_from(seconds).unwrap_or(0))
}

/// Days of the Gregorian calendar, in years that begin in March so that the odd day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719 468 days lie between March 1 of year 0 and January 1 of 1970.
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[track_caller]
    fn check(from: (i32, u8, u8), to: (i32, u8, u8), expected: (u64, u64)) {
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(certificate_validity(certificate.der()), Some(expected));
        for end in 0..certificate.der().len() {
            assert_eq!(certificate_validity(&certificate.der()[..end]), None, "cut after {end} bytes");
        }
    }

    #[test]
    fn times_are_read_in_both_forms() {
        check((1975, 1, 1), (4096, 1, 1), (157_766_400, 67_090_118_400));
        check((2000, 2, 29), (2049, 12, 31), (951_782_400, 2_524_521_600));
        check((2024, 3, 1), (2050, 1, 1), (1_709_251_200, 2_524_608_000));
    }
}
