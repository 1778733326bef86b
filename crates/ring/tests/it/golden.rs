use std::num::NonZeroU16;

use waypost_ring::{Algorithm, DEFAULT_VIRTUAL_NODES, Member, Placement, PlacementSpec};

const GOLDEN: &str = include_str!("../../../../testdata/ring/golden.txt");

struct Golden<'a> {
    placement: Placement,
    /// What the file calls each member.
    labels: Vec<String>,
    cases: Vec<(&'a str, Vec<&'a str>)>,
}

/// The first line of a paragraph: the algorithm and its settings.
fn spec(line: &str) -> PlacementSpec<'_> {
    let (algorithm, settings) = line.split_once(' ').unwrap();
    let algorithm = Algorithm::ALL.into_iter().find(|known| known.as_str() == algorithm).unwrap();
    let mut spec = PlacementSpec { algorithm, ..PlacementSpec::default() };
    for setting in settings.split(' ') {
        match setting.split_once('=').unwrap() {
            ("virtual_nodes", value) => spec.virtual_nodes = value.parse().unwrap(),
            ("probes", value) => spec.probes = value.parse().unwrap(),
            ("salt", value) => spec.salt = value.as_bytes(),
            (name, _) => assert_eq!(name, "a known setting"),
        }
    }
    spec
}

/// One paragraph of the file: the settings, the members, and pairs of key and order.
fn parse(paragraph: &str) -> Golden<'_> {
    let mut lines = paragraph.lines();
    let spec = spec(lines.next().unwrap());
    let (mut members, mut labels, mut cases) = (Vec::<(&str, NonZeroU16)>::new(), Vec::new(), Vec::new());
    while let Some(line) = lines.next() {
        if let Some(member) = line.strip_prefix("member ") {
            let (weight, name) = member.split_once(' ').unwrap();
            labels.push(match members.iter().filter(|(known, _)| *known == name).count() {
                0 => name.to_owned(),
                occurrence => format!("{name}#{occurrence}"),
            });
            members.push((name, weight.parse().unwrap()));
        } else {
            let key = line.strip_prefix("key ").unwrap();
            let order = lines.next().and_then(|line| line.strip_prefix("  order ")).unwrap();
            cases.push((key, order.split(' ').collect()));
        }
    }
    let members = members.into_iter().map(|(name, weight)| Member::new(name).with_weight(weight));
    Golden { placement: Placement::try_new(members, &spec).unwrap(), labels, cases }
}

#[test]
fn placement_is_the_committed_one() {
    let mut n_cases = [0; 3];
    for paragraph in GOLDEN.split("\n\n").skip(1) {
        let Golden { placement, labels, cases } = parse(paragraph);
        for (key, expected) in cases {
            let order: Vec<&str> =
                placement.walk(key.as_bytes()).map(|member| labels[member.get()].as_str()).collect();
            assert_eq!(order, expected, "{placement:?} {key}");
            let owner = placement.owner(key.as_bytes()).map(|member| labels[member.get()].as_str());
            assert_eq!(owner, Some(expected[0]));
            n_cases[placement.algorithm() as usize] += 1;
        }
    }
    assert_eq!(n_cases, [120, 60, 60], "cases were added or lost: adjust the numbers");
}

#[test]
fn the_default_number_of_virtual_nodes_is_the_documented_one() {
    assert_eq!(DEFAULT_VIRTUAL_NODES.get(), 10);
}
