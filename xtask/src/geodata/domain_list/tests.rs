use super::*;

fn build_lists(lists: &[(&str, &str)]) -> Result<Built> {
    let mut sources = Sources::new();
    for (name, text) in lists {
        add_source(&mut sources, name, text, &format!("data/{name}"))?;
    }
    build(&sources)
}

/// Builds the lists and compares the list `A` in its plain form.
#[track_caller]
fn check(lists: &[(&str, &str)], expected: &[&str]) {
    let built = build_lists(lists).unwrap();
    let list = built.entries.into_iter().find(|entry| entry.code == "A").unwrap();
    let plain = list
        .domains
        .into_iter()
        .map(|domain| Rule { kind: domain.kind, value: domain.value, attributes: domain.attributes }.plain());
    assert_eq!(plain.collect::<Vec<_>>(), expected);
}

#[track_caller]
fn check_error(lists: &[(&str, &str)], expected: &str) {
    assert_eq!(format!("{:#}", build_lists(lists).unwrap_err()), expected);
}

#[test]
fn reads_every_kind_of_rule() {
    let text = "# comment\nExample.ORG # trailing\nfull:a.b\nKEYWORD:Goo\nregexp:^A[0-9]\\.x$\n\n";
    check(&[("A", text)], &["domain:example.org", "full:a.b", "keyword:goo", "regexp:^A[0-9]\\.x$"]);
}

#[test]
fn sorts_attributes_and_removes_duplicates() {
    check(&[("A", "a.b @cn @ADS @cn")], &["domain:a.b:@ads,@cn"]);
}

#[test]
fn sorts_by_type_then_value_then_attributes() {
    let text = "full:z\nkeyword:b\ndomain:c @x\ndomain:c\ndomain:b";
    check(&[("A", text)], &["domain:b", "domain:c", "domain:c:@x", "full:z", "keyword:b"]);
}

#[test]
fn an_affiliation_adds_the_rule_to_a_list_with_or_without_a_file() {
    let lists = [("B", "x.y &a @cn &new"), ("A", "a.b")];
    check(&lists, &["domain:a.b", "domain:x.y:@cn"]);
    let codes: Vec<String> =
        build_lists(&lists).unwrap().entries.into_iter().map(|entry| entry.code).collect();
    assert_eq!(codes, ["A", "B", "NEW"]);
}

#[test]
fn an_inclusion_is_recursive() {
    check(&[("A", "include:b"), ("B", "include:c\nb.b"), ("C", "c.c")], &["domain:b.b", "domain:c.c"]);
}

#[test]
fn an_inclusion_with_attributes_is_a_filter() {
    let b = "x.x\ny.y @cn\nz.z @cn @ads\nw.w @ads";
    check(&[("A", "include:b @cn"), ("B", b)], &["domain:y.y:@cn", "domain:z.z:@ads,@cn"]);
    check(&[("A", "include:b @-ads"), ("B", b)], &["domain:x.x", "domain:y.y:@cn"]);
    check(&[("A", "include:b @cn @-ads"), ("B", b)], &["domain:y.y:@cn"]);
}

#[test]
fn a_filter_sees_what_is_redundant_in_the_included_list() {
    // In B itself the sub-domain is redundant; in A its parent is filtered out.
    let lists = [("A", "include:b @-ads"), ("B", "example.org @ads\nwww.example.org")];
    check(&lists, &["domain:www.example.org"]);
    let b = &build_lists(&lists).unwrap().entries[1];
    assert_eq!(b.domains.len(), 1);
}

#[test]
fn a_parent_domain_removes_sub_domains_and_full_names() {
    check(&[("A", "b.c\na.b.c\nfull:b.c\nfull:x.y.b.c\nfull:ab.c")], &["domain:b.c", "full:ab.c"]);
}

#[test]
fn a_full_name_removes_nothing() {
    check(&[("A", "full:b.c\na.b.c\nb.c.d")], &["domain:a.b.c", "domain:b.c.d", "full:b.c"]);
}

#[test]
fn a_parent_with_attributes_removes_only_rules_without_or_with_the_same() {
    let text = "b.c @cn\na.b.c\nd.b.c @cn\ne.b.c @ads\nfull:b.c @cn\nfull:b.c @ads";
    check(&[("A", text)], &["domain:b.c:@cn", "domain:e.b.c:@ads", "full:b.c:@ads"]);
}

#[test]
fn a_parent_without_attributes_keeps_rules_that_have_some() {
    check(&[("A", "b.c\na.b.c @cn")], &["domain:a.b.c:@cn", "domain:b.c"]);
}

#[test]
fn keywords_and_regexps_are_never_redundant() {
    check(&[("A", "b.c\nkeyword:b.c\nregexp:a.b.c")], &["domain:b.c", "keyword:b.c", "regexp:a.b.c"]);
}

#[test]
fn an_empty_list_is_left_out_and_named() {
    let built = build_lists(&[("A", "# nothing"), ("B", "b.b")]).unwrap();
    assert_eq!((built.entries.len(), built.empty), (1, vec!["A".to_owned()]));
}

#[test]
fn a_list_that_includes_itself_is_an_error() {
    let expected = "list `A` includes `B`: list `B` includes `A`: list `A` includes itself";
    check_error(&[("A", "include:b"), ("B", "include:a")], expected);
}

#[test]
fn including_an_unknown_list_is_an_error() {
    check_error(&[("A", "include:b")], "list `A` includes `B`: no list `B`");
}

#[test]
fn errors_name_file_and_line() {
    check_error(&[("A", "a.b\n\nfoo:b")], "data/A:3: unknown type of rule: `foo`");
    check_error(&[("A", "example..com")], "data/A:1: invalid domain: `example..com`");
    check_error(&[("A", "-a.com")], "data/A:1: invalid domain: `-a.com`");
    check_error(&[("A", "keyword:a_b")], "data/A:1: invalid keyword: `a_b`");
    check_error(&[("A", "a.b @x-y")], "data/A:1: invalid attribute: `x-y`");
    check_error(&[("A", "a.b &x_y")], "data/A:1: invalid name of a list: `X_Y`");
    check_error(&[("A", "a.b c.d")], "data/A:1: expected `@attribute` or `&list`, found `c.d`");
    check_error(&[("A", "include:b &c")], "data/A:1: expected `@attribute` or `@-attribute`, found `&c`");
    check_error(&[("A", "full:")], "data/A:1: a rule without a value");
    check_error(&[("A", "include: # b")], "data/A:1: `include:` without a list");
    let error = format!("{:#}", build_lists(&[("A", "regexp:a(")]).unwrap_err());
    assert!(error.starts_with("data/A:1: invalid regular expression: `a(`: "), "{error}");
}
