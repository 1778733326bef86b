use std::net::IpAddr;

use waypost_net::DomainName;

use super::host::NO_URL;
use crate::{
    Spanned,
    model::{DomainEntry, GeositeRef},
    nearest,
    report::{Report, all_of, quote},
};

/// What an entry without prefix is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    /// A part of the name, as in rules.
    Keyword,
    /// The whole name, as in `dns.hosts`.
    Full,
}

const DEFAULT_FILE: &str = "geosite.dat";

/// Every prefix, without the colon. They only count in lower case.
const PREFIXES: [&str; 9] =
    ["geosite", "ext", "ext-domain", "ext-site", "regexp", "domain", "full", "keyword", "dotless"];

/// Reads one entry of a list of names.
pub(super) fn read(text: Spanned<&str>, plain: Plain, report: &mut Report<'_>) -> Option<DomainEntry> {
    let Some((prefix, value)) = text.value.split_once(':').filter(|(prefix, _)| PREFIXES.contains(prefix))
    else {
        return match plain {
            Plain::Keyword => Some(read_plain(text, report)),
            Plain::Full => read_name("", text.value, text, report).map(DomainEntry::Full),
        };
    };
    // `dotless:` alone is every name without a dot.
    if value.is_empty() && prefix != "dotless" {
        report.error(text.span, format!("there is nothing behind `{prefix}:`"));
        return None;
    }
    match prefix {
        "geosite" => read_list(DEFAULT_FILE, value, text, report),
        "ext" | "ext-domain" | "ext-site" => {
            let (file, code) = split_file(prefix, value, text, report)?;
            read_list(file, code, text, report)
        }
        "regexp" => Some(DomainEntry::Regexp(value.into())),
        "domain" => read_name(prefix, value, text, report).map(DomainEntry::Suffix),
        "full" => read_name(prefix, value, text, report).map(DomainEntry::Full),
        "dotless" => read_dotless(value, text, report),
        _ => Some(read_keyword(value, text, report)),
    }
}

/// Splits `FILE:CODE` and checks that the file cannot lie outside the asset folder.
pub(super) fn split_file<'a>(
    prefix: &str,
    value: &'a str,
    text: Spanned<&str>,
    report: &mut Report<'_>,
) -> Option<(&'a str, &'a str)> {
    let Some((file, code)) =
        value.split_once(':').filter(|(file, code)| !file.is_empty() && !code.is_empty())
    else {
        let message = format!("expected `{prefix}:FILE:CODE`, found {}", quote(text.value));
        report.error(text.span, message);
        return None;
    };
    let outside = file.starts_with('/')
        || file.contains(['\\', '\0'])
        || file.split('/').any(|part| matches!(part, "" | "." | ".."));
    if outside {
        report
            .error(text.span, format!("not a file in the asset folder: {}", quote(file)))
            .help("write a path that starts in the asset folder, without `..`");
        return None;
    }
    Some((file, code))
}

fn read_list(file: &str, value: &str, text: Spanned<&str>, report: &mut Report<'_>) -> Option<DomainEntry> {
    let mut parts = value.split('@');
    let code = parts.next().unwrap_or_default();
    if code.is_empty() {
        report.error(text.span, format!("there is no list before the `@`: {}", quote(text.value)));
        return None;
    }
    let attributes: Vec<Box<str>> = parts.map(|part| part.to_ascii_lowercase().into()).collect();
    if attributes.iter().any(|attribute| attribute.is_empty()) {
        report
            .error(text.span, format!("there is nothing behind an `@`: {}", quote(text.value)))
            .help("remove the `@`, or write an attribute behind it, as in `geosite:google@ads`");
        return None;
    }
    Some(DomainEntry::List(GeositeRef { file: file.into(), code: code.into(), attributes }))
}

/// Normalises a name, so that it is compared as the names of connections are.
fn read_name(prefix: &str, value: &str, text: Spanned<&str>, report: &mut Report<'_>) -> Option<Box<str>> {
    match DomainName::new(value) {
        Ok(name) => {
            if name.as_str().starts_with('.') {
                let help = format!("write {} without the first dot", quote(value.trim_start_matches('.')));
                report
                    .warning(text.span, format!("{} never matches, no name begins with a dot", quote(value)))
                    .help(help);
            }
            Some(name.as_str().into())
        }
        Err(error) => {
            report.error(text.span, format!("not a domain name: {}", quote(value)));
            let wrong_prefix = value.split_once(':').and_then(|(word, _)| nearest(word, PREFIXES));
            let below = value.strip_prefix("*.").filter(|name| DomainName::new(name).is_ok());
            report.help(match (wrong_prefix.filter(|_| prefix.is_empty()), below) {
                (Some(known), _) => format!("did you mean the prefix `{known}:`, in lower case?"),
                (None, Some(name)) => format!("`domain:{name}` takes the name and everything below it"),
                (None, None) if value.contains('/') => NO_URL.to_owned(),
                (None, None) => error.to_string(),
            });
            None
        }
    }
}

fn read_dotless(value: &str, text: Spanned<&str>, report: &mut Report<'_>) -> Option<DomainEntry> {
    if value.contains('.') {
        report.error(
            text.span,
            format!("`dotless:` takes a part of a name without dots, found {}", quote(value)),
        );
        return None;
    }
    // The value goes in as it is, so that it can be an expression, as in Xray.
    Some(DomainEntry::Regexp(format!("^[^.]*{value}[^.]*$").into()))
}

fn read_keyword(value: &str, text: Spanned<&str>, report: &mut Report<'_>) -> DomainEntry {
    if !value.is_ascii() {
        report
            .warning(
                text.span,
                format!("{} never matches, names are compared in their ASCII form", quote(value)),
            )
            .help("use `domain:` or `full:`, which are converted to `xn--…`");
    } else if let Some(character) = value.chars().find(|&c| !is_in_names(c)) {
        let shown = if character == ' ' { "a space".to_owned() } else { format!("`{character}`") };
        report.warning(text.span, format!("{} never matches, no name has {shown}", quote(value)));
        if let Some(name) = value.strip_prefix("*.").filter(|name| DomainName::new(name).is_ok()) {
            report.help(format!("`domain:{name}` takes the name and everything below it"));
        } else if character == ':' {
            let prefixes: Vec<String> = PREFIXES.iter().map(|prefix| format!("{prefix}:")).collect();
            report.help(format!("the prefixes are {}", all_of(prefixes.iter().map(String::as_str))));
        }
    }
    DomainEntry::Keyword(value.to_lowercase().into())
}

/// Reads an entry without prefix, and warns of what was probably meant to have another one.
fn read_plain(text: Spanned<&str>, report: &mut Report<'_>) -> DomainEntry {
    let value = text.value;
    let keyword = DomainEntry::Keyword(value.to_lowercase().into());
    let trimmed = value.trim();
    let prefix = trimmed.split_once(':').map(|(prefix, _)| prefix);
    if value.is_empty() {
        report
            .warning(text.span, "an empty entry is a part of every name, so this matches every name")
            .help("remove it; a comma at the end of the list makes one");
    } else if trimmed != value {
        report
            .warning(text.span, format!("{} never matches, because of the space", quote(value)))
            .help("remove the space, V2Ray does not");
    } else if matches!(prefix, Some("geoip" | "ext-ip")) {
        report
            .warning(text.span, format!("{} never matches, it is read as a part of a name", quote(value)))
            .help("addresses are in `ip`");
    } else if let Some(prefix) = prefix
        && let Some(known) = nearest(prefix, PREFIXES)
    {
        report
            .warning(
                text.span,
                format!("{} never matches, `{prefix}:` is read as a part of the name", quote(value)),
            )
            .help(format!("did you mean `{known}:`?"));
    } else if is_address(value) {
        report
            .warning(text.span, format!("{} never matches an address, only a part of a name", quote(value)))
            .help("write it in `ip`");
    } else {
        return read_keyword(value, text, report);
    }
    keyword
}

fn is_address(value: &str) -> bool {
    let address = value.split_once('/').map_or(value, |(address, _)| address);
    address.parse::<IpAddr>().is_ok()
}

fn is_in_names(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Source, Span};

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "the cases read better without borrows")]
    fn check(text: &str, expected: Option<DomainEntry>, problems: &[&str]) {
        let source = Source::new("x", text).unwrap();
        let options = Options::default();
        let mut report = Report::new(&source, &options);
        let written = Spanned::new(text, Span { start: 0, end: text.len() });
        assert_eq!(read(written, Plain::Keyword, &mut report), expected, "{text}");
        let messages: Vec<String> = report.finish().into_iter().map(|found| found.message).collect();
        assert_eq!(messages, problems, "{text}");
    }

    #[test]
    fn prefixes_choose_the_kind() {
        let list = |file: &str, code: &str, attributes: &[&str]| {
            let attributes = attributes.iter().map(|&attribute| attribute.into()).collect();
            Some(DomainEntry::List(GeositeRef { file: file.into(), code: code.into(), attributes }))
        };
        check("Google", Some(DomainEntry::Keyword("google".into())), &[]);
        check("keyword:Goo", Some(DomainEntry::Keyword("goo".into())), &[]);
        check("domain:V2fly.公益.", Some(DomainEntry::Suffix("v2fly.xn--55qw42g".into())), &[]);
        check("full:a_b.c", Some(DomainEntry::Full("a_b.c".into())), &[]);
        check("regexp:^A:", Some(DomainEntry::Regexp("^A:".into())), &[]);
        check("dotless:pc-", Some(DomainEntry::Regexp("^[^.]*pc-[^.]*$".into())), &[]);
        check("dotless:", Some(DomainEntry::Regexp("^[^.]*[^.]*$".into())), &[]);
        check("geosite:CN@Ads@!cn", list("geosite.dat", "CN", &["ads", "!cn"]), &[]);
        check("ext:sub/my.dat:a@b", list("sub/my.dat", "a", &["b"]), &[]);
        check("ext-site:x:y:z", list("x", "y:z", &[]), &[]);
    }

    #[test]
    fn files_stay_in_the_asset_folder() {
        for file in ["/etc/passwd", "../x", "a/../b", "a\\b", "a//b", "./a"] {
            let problem = format!("not a file in the asset folder: `{file}`");
            check(&format!("ext:{file}:cn"), None, &[&problem]);
        }
    }

    #[test]
    fn what_cannot_match_is_kept_with_a_warning() {
        check(
            "Domain:a.com",
            Some(DomainEntry::Keyword("domain:a.com".into())),
            &["`Domain:a.com` never matches, `Domain:` is read as a part of the name"],
        );
        check(
            "10.0.0.0/8",
            Some(DomainEntry::Keyword("10.0.0.0/8".into())),
            &["`10.0.0.0/8` never matches an address, only a part of a name"],
        );
        check(
            "",
            Some(DomainEntry::Keyword("".into())),
            &["an empty entry is a part of every name, so this matches every name"],
        );
    }
}
