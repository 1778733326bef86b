use std::net::Ipv4Addr;

use waypost_net::DomainName;

/// The registrable domain of `name`: its public suffix and one label more, such as `example.co.uk`.
///
/// The Public Suffix List (publicsuffix.org) decides, with its private section and its default rule
/// `*`, so that an unknown top level counts as a suffix. What has no registrable domain is returned
/// unchanged: a single label, a public suffix itself, a name with an empty label, and an IPv4 address
/// in the place of a name. The list is built in; a newer one may give other names.
///
/// ```
/// use waypost_balance::etld_plus_one;
/// use waypost_net::DomainName;
///
/// assert_eq!(etld_plus_one(&DomainName::new("www.example.co.uk")?), "example.co.uk");
/// assert_eq!(etld_plus_one(&DomainName::new("co.uk")?), "co.uk");
/// assert_eq!(etld_plus_one(&DomainName::new("localhost")?), "localhost");
/// # Ok::<(), waypost_net::DomainError>(())
/// ```
#[must_use]
pub fn etld_plus_one(name: &DomainName) -> &str {
    let whole = name.as_str();
    // The list would take the empty label of `a..com` for the registered one.
    if whole.split('.').any(str::is_empty) || is_address(name) {
        return whole;
    }
    psl::domain_str(whole).unwrap_or(whole)
}

/// Whether `name` is an IPv4 address in the place of a name, as an HTTP `Host` may hold one.
pub(crate) fn is_address(name: &DomainName) -> bool {
    name.as_str().parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(etld_plus_one(&DomainName::new(name).unwrap()), expected);
    }

    #[test]
    fn one_label_before_the_public_suffix_is_kept() {
        check("a.b.example.com", "example.com");
        check("example.com", "example.com");
        check("a.b.example.co.uk", "example.co.uk");
        check("bücher.example.com.", "example.com");
    }

    #[test]
    fn private_wildcard_exception_and_international_suffixes_count() {
        check("a.foo.github.io", "foo.github.io");
        check("a.b.anything.ck", "b.anything.ck");
        check("anything.ck", "anything.ck");
        check("a.www.ck", "www.ck");
        check("a.example.公司.cn", "example.xn--55qx5d.cn");
        check("公司.cn", "xn--55qx5d.cn");
    }

    #[test]
    fn an_unknown_top_level_is_a_suffix() {
        check("a.b.unknowntld", "b.unknowntld");
        check("b.unknowntld", "b.unknowntld");
        check("unknowntld", "unknowntld");
    }

    #[test]
    fn what_has_no_registrable_domain_stays_as_it_is() {
        for name in ["com", "co.uk", "github.io", "localhost", "192.0.2.1"] {
            check(name, name);
        }
        for name in ["a..com", ".com", ".a.com", "a.b..com", "..com"] {
            check(name, name);
        }
        check("a.com..", "a.com");
    }
}
