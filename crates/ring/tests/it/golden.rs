use std::num::NonZeroU16;

use waypost_ring::{Member, Ring};

const GOLDEN: &str = include_str!("../../../../testdata/ring/golden.txt");

struct Golden<'a> {
    ring: Ring,
    names: Vec<&'a str>,
    cases: Vec<(&'a str, Vec<&'a str>)>,
}

/// One paragraph of the file: the line of the ring, its members, and pairs of key and order.
fn parse(paragraph: &str) -> Golden<'_> {
    let mut lines = paragraph.lines();
    let settings = lines.next().and_then(|line| line.strip_prefix("ring virtual_nodes=")).unwrap();
    let (virtual_nodes, salt) = settings.split_once(" salt=").unwrap();
    let (mut members, mut cases) = (Vec::new(), Vec::new());
    while let Some(line) = lines.next() {
        if let Some(member) = line.strip_prefix("member ") {
            let (weight, name) = member.split_once(' ').unwrap();
            members.push((name, weight.parse::<NonZeroU16>().unwrap()));
        } else {
            let key = line.strip_prefix("key ").unwrap();
            let order = lines.next().and_then(|line| line.strip_prefix("  order ")).unwrap();
            cases.push((key, order.split(' ').collect()));
        }
    }
    let names = members.iter().map(|(name, _)| *name).collect();
    let members = members.into_iter().map(|(name, weight)| Member::new(name).with_weight(weight));
    let ring = Ring::try_new(members, virtual_nodes.parse().unwrap(), salt.as_bytes()).unwrap();
    Golden { ring, names, cases }
}

#[test]
fn placement_is_the_committed_one() {
    let mut n_cases = 0;
    for paragraph in GOLDEN.split("\n\n").skip(1) {
        let Golden { ring, names, cases } = parse(paragraph);
        for (key, expected) in cases {
            let order: Vec<&str> = ring.walk(key.as_bytes()).map(|member| names[member.get()]).collect();
            assert_eq!(order, expected, "{ring:?} {key}");
            assert_eq!(ring.owner(key.as_bytes()).map(|member| names[member.get()]), Some(expected[0]));
            n_cases += 1;
        }
    }
    assert_eq!(n_cases, 84, "cases were added or lost: adjust the number");
}
