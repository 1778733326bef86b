//! Which inputs are worth keeping.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::path::PathBuf;

/// A corpus is in the repository, and is replayed with every run of the tests.
const MAX_INPUTS: usize = 150;
/// As above.
const MAX_BYTES: u64 = 200 * 1024;

/// An input with what it reaches.
#[derive(Debug)]
struct Input {
    file: PathBuf,
    n_bytes: u64,
    /// Edges, each with how often it was taken: an edge has eight features.
    features: Vec<u64>,
}

/// Chooses inputs by what the fuzzer has written of each one while it merged: those that take all edges,
/// and then those that take them most differently. `None` if it makes no sense.
pub(super) fn choose(control: &str) -> Option<Vec<PathBuf>> {
    let mut left = read(control)?;
    let mut chosen = Vec::new();
    let mut budget = MAX_BYTES;
    for n_features in [8, 1] {
        // Edges first, and then features.
        let of = |input: &Input| -> HashSet<u64> {
            input.features.iter().map(|feature| feature / n_features).collect()
        };
        let mut reached: HashSet<u64> = chosen.iter().flat_map(of).collect();
        let mut news: Vec<HashSet<u64>> = left.iter().map(of).collect();
        while chosen.len() < MAX_INPUTS {
            news.iter_mut().for_each(|news| news.retain(|one| !reached.contains(one)));
            // The most that is new and, for as much, the shortest.
            let fits = left.iter().zip(&news).enumerate().filter(|(_, (input, _))| input.n_bytes <= budget);
            let best = fits.map(|(place, (input, news))| (news.len(), Reverse(input.n_bytes), place)).max();
            let Some((1.., _, place)) = best else { break };
            let input = left.swap_remove(place);
            reached.extend(news.swap_remove(place));
            budget -= input.n_bytes;
            chosen.push(input);
        }
    }
    let mut files: Vec<PathBuf> = chosen.into_iter().map(|input| input.file).collect();
    files.sort();
    Some(files)
}

/// Reads the control file of libFuzzer: the number of files, of those that were there before, their paths,
/// and then for each one a line with its number and length, one with its features and one with its edges.
fn read(control: &str) -> Option<Vec<Input>> {
    let mut lines = control.lines();
    let n_files: usize = lines.next()?.parse().ok()?;
    let _n_before: usize = lines.next()?.parse().ok()?;
    let mut inputs: Vec<Input> = Vec::new();
    for _ in 0..n_files {
        inputs.push(Input { file: lines.next()?.into(), n_bytes: 0, features: Vec::new() });
    }
    for line in lines {
        let (kind, rest) = line.split_once(' ')?;
        let mut numbers = rest.split_whitespace().map(str::parse::<u64>);
        let place = usize::try_from(numbers.next()?.ok()?).ok()?;
        let input = inputs.get_mut(place)?;
        let numbers = numbers.collect::<Result<Vec<_>, _>>().ok()?;
        match kind {
            "STARTED" => input.n_bytes = *numbers.first()?,
            "FT" => input.features.extend(numbers),
            // Only those that no input before it took.
            "COV" => {}
            _ => return None,
        }
    }
    Some(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: &str = "4\n1\na\nb\nc\nd\n\
        STARTED 0 9\nFT 0 8 16\nCOV 0 1 2\n\
        STARTED 1 5\nFT 1 8 16\nCOV 1\n\
        STARTED 2 7\nFT 2 24\nCOV 2 3\n\
        STARTED 3 300000\nFT 3 32\nCOV 3 4\n";

    #[test]
    fn the_shortest_inputs_that_take_all_edges_are_kept() {
        assert_eq!(choose(CONTROL), Some(vec!["b".into(), "c".into()]));
    }

    #[test]
    fn what_takes_no_new_edge_is_kept_if_it_takes_them_otherwise() {
        let more = CONTROL.replace("FT 0 8 16", "FT 0 8 17");
        assert_eq!(choose(&more), Some(vec!["a".into(), "b".into(), "c".into()]));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "1\n0\n", "1\n0\na\nFT 1 1\n", "1\n0\na\nSTARTED 0\n", "1\n0\na\nMORE 0 1\n"] {
            assert_eq!(choose(text), None, "{text}");
        }
    }
}
