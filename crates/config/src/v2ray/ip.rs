use std::net::IpAddr;

use ipnet::IpNet;
use waypost_net::canonical_ip;

use super::domain::split_file;
use crate::{
    Spanned,
    model::{IpEntry, IpSet},
    report::{Report, quote},
};

const DEFAULT_FILE: &str = "geoip.dat";

const FORMS: &str = "expected an address, a prefix such as `10.0.0.0/8`, `geoip:CODE` or `ext:FILE:CODE`";

/// Reads one entry of a list of addresses. Each `!` turns the meaning round, before the entry and
/// before the code of a list.
pub(super) fn read(text: Spanned<&str>, report: &mut Report<'_>) -> Option<IpEntry> {
    let (outer, value) = strip_bangs(text.value.trim());
    let (inner, set) = if let Some(code) = value.strip_prefix("geoip:") {
        read_list(DEFAULT_FILE, code, text, report)?
    } else if let Some((prefix, value)) =
        value.split_once(':').filter(|(word, _)| matches!(*word, "ext" | "ext-ip"))
    {
        let (file, code) = split_file(prefix, value, text, report)?;
        read_list(file, code, text, report)?
    } else {
        (0, IpSet::Net(read_net(value, text, report)?))
    };
    Some(IpEntry { inverse: (outer + inner) % 2 == 1, set })
}

/// Counts the `!` at the beginning and removes them.
fn strip_bangs(text: &str) -> (usize, &str) {
    let rest = text.trim_start_matches('!');
    (text.len() - rest.len(), rest)
}

fn read_list(file: &str, code: &str, text: Spanned<&str>, report: &mut Report<'_>) -> Option<(usize, IpSet)> {
    let (bangs, code) = strip_bangs(code);
    if code.is_empty() {
        report.error(text.span, format!("the code of a list is missing: {}", quote(text.value)));
        return None;
    }
    Some((bangs, IpSet::List { file: file.into(), code: code.into() }))
}

fn read_net(value: &str, text: Spanned<&str>, report: &mut Report<'_>) -> Option<IpNet> {
    let (address, length) = match value.split_once('/') {
        Some((address, length)) => (address, Some(length).filter(|length| !length.is_empty())),
        None => (value, None),
    };
    let unbracketed = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let Ok(written) = unbracketed.unwrap_or(address).parse::<IpAddr>() else {
        report_address(value, text, report);
        return None;
    };
    // V2Ray turns mapped addresses into IPv4 before it looks at the length of the prefix.
    let address = canonical_ip(written);
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => Some(longest),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<u8>().ok(),
        Some(_) => None,
    };
    let net = length.and_then(|length| IpNet::new(address, length).ok());
    if net.is_none() {
        let message = format!("expected a prefix length from 0 to {longest}, found {}", quote(text.value));
        report.error(text.span, message);
        if address != written {
            report.help(format!("`{written}` is the IPv4 address `{address}`"));
        } else if value.matches('.').count() > 3 {
            report.help("write the number of leading one bits instead of a mask");
        }
    }
    net.map(|net| net.trunc())
}

/// Says what a text that is no address may have been meant to be.
fn report_address(value: &str, text: Spanned<&str>, report: &mut Report<'_>) {
    let shown = quote(text.value);
    if value.is_empty() {
        report.error(text.span, "an empty entry is not an address");
        report.help("remove it; a comma at the end of the list makes one");
        return;
    }
    report.error(text.span, format!("not an address: {shown}"));
    let prefix = value.split_once(':').map(|(prefix, _)| prefix.to_ascii_lowercase());
    let numeric = |part: &str| part.parse::<IpAddr>().is_ok();
    let help = match prefix.as_deref() {
        Some(word @ ("geoip" | "ext" | "ext-ip")) => format!("prefixes are in lower case: `{word}:`"),
        Some("geosite" | "domain" | "full" | "keyword" | "regexp") => "names are in `domain`".to_owned(),
        _ if value.split_once('-').is_some_and(|(first, last)| numeric(first) && numeric(last)) => {
            "write a range as prefixes, such as `10.0.0.0/24`".to_owned()
        }
        _ if value.contains('%') => "leave the zone behind `%` away".to_owned(),
        _ if has_leading_zero(value) => {
            "remove the leading zeros, some programs read them as octal".to_owned()
        }
        _ if waypost_net::DomainName::new(value).is_ok()
            && value.contains(|c: char| c.is_ascii_alphabetic()) =>
        {
            "names are in `domain`".to_owned()
        }
        _ => FORMS.to_owned(),
    };
    report.help(help);
}

fn has_leading_zero(value: &str) -> bool {
    let address = value.split_once('/').map_or(value, |(address, _)| address);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    address.split('.').all(digits) && address.split('.').any(|part| part.len() > 1 && part.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Source, Span};

    fn read_text(text: &str) -> Result<String, Vec<String>> {
        let source = Source::new("x", text).unwrap();
        let options = Options::default();
        let mut report = Report::new(&source, &options);
        let written = Spanned::new(text, Span { start: 0, end: text.len() });
        let entry = read(written, &mut report);
        entry
            .map(|entry| {
                let set = match entry.set {
                    IpSet::Net(net) => net.to_string(),
                    IpSet::NotPublic => "private".to_owned(),
                    IpSet::List { file, code } => format!("{file} {code}"),
                };
                format!("{}{set}", if entry.inverse { "!" } else { "" })
            })
            .ok_or_else(|| report.finish().into_iter().filter_map(|found| found.help).collect())
    }

    #[test]
    fn addresses_and_prefixes_are_normalised() {
        for (text, expected) in [
            ("10.1.2.3", "10.1.2.3/32"),
            ("91.108.4.0/16", "91.108.0.0/16"),
            ("10.0.0.0/", "10.0.0.0/32"),
            ("10.0.0.0/08", "10.0.0.0/8"),
            (" [::1] ", "::1/128"),
            ("::ffff:1.2.3.4", "1.2.3.4/32"),
            ("fe80::1/64", "fe80::/64"),
            ("!!!10.0.0.0/8", "!10.0.0.0/8"),
            ("!geoip:!cn", "geoip.dat cn"),
            ("geoip:!CN", "!geoip.dat CN"),
            ("ext-ip:a/b.dat:!x", "!a/b.dat x"),
        ] {
            assert_eq!(read_text(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn every_usual_slip_has_its_own_help() {
        for (text, help) in [
            ("GeoIP:cn", "prefixes are in lower case: `geoip:`"),
            ("geosite:cn", "names are in `domain`"),
            ("example.com", "names are in `domain`"),
            ("10.0.0.1-10.0.0.9", "write a range as prefixes, such as `10.0.0.0/24`"),
            ("fe80::1%eth0", "leave the zone behind `%` away"),
            ("010.0.0.1", "remove the leading zeros, some programs read them as octal"),
            ("10.0.0.0/255.0.0.0", "write the number of leading one bits instead of a mask"),
            ("::ffff:1.2.3.4/128", "`::ffff:1.2.3.4` is the IPv4 address `1.2.3.4`"),
            ("", "remove it; a comma at the end of the list makes one"),
            ("1.2.3", FORMS),
        ] {
            assert_eq!(read_text(text), Err(vec![help.to_owned()]), "{text}");
        }
        for text in ["10.0.0.0/33", "::/129", "geoip:", "geoip:!", "10.0.0.0/+8", "10.0.0.0/999999"] {
            assert!(read_text(text).is_err(), "{text}");
        }
    }
}
