/// Words longer than this are not compared: nobody mistypes them, and the comparison takes the
/// product of both lengths.
const MAX_CHARS: usize = 64;

/// The shortest word that counts as meant where it is a part of a candidate, or the reverse.
const MIN_PART: usize = 4;

/// The candidate that `word` was most probably meant to be, if one is close enough: at most one
/// edit for every three characters, where swapping two neighbours is one edit, or one word being
/// a part of the other. Letter case does not count. Of several at the same distance the first is
/// taken.
///
/// ```
/// use waypost_config::nearest;
///
/// assert_eq!(nearest("oubtoundTag", ["inboundTag", "outboundTag"]), Some("outboundTag"));
/// assert_eq!(nearest("zebra", ["inboundTag", "outboundTag"]), None);
/// ```
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = fold(word)?;
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let Some(folded) = fold(candidate) else { continue };
        let longest = word.len().max(folded.len());
        let part = contains(&word, &folded) || contains(&folded, &word);
        let distance = distance(&word, &folded);
        let close = part || distance <= (longest / 3).max(1) && distance < longest;
        if close && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn contains(whole: &[char], part: &[char]) -> bool {
    part.len() >= MIN_PART && whole.windows(part.len()).any(|window| window == part)
}

fn fold(word: &str) -> Option<Vec<char>> {
    let folded: Vec<char> = word.chars().take(MAX_CHARS + 1).map(|c| c.to_ascii_lowercase()).collect();
    (1..=MAX_CHARS).contains(&folded.len()).then_some(folded)
}

/// Optimal string alignment distance (Damerau's edits, no part edited twice).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, &a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &b) in right.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&last, column) + usize::from(a != b);
            let removed = at(&last, column + 1) + 1;
            let inserted = at(&current, column) + 1;
            let mut cost = replaced.min(removed).min(inserted);
            let swapped =
                row > 0 && column > 0 && left.get(row - 1) == Some(&b) && right.get(column - 1) == Some(&a);
            if swapped {
                cost = cost.min(at(&before_last, column - 1) + 1);
            }
            current.push(cost);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_usual_slips() {
        let keys = ["inboundTag", "outboundTag", "balancerTag", "domain", "domains", "port"];
        for (word, expected) in [
            ("outboundtag", Some("outboundTag")),
            ("oubtoundTag", Some("outboundTag")),
            ("outbound", Some("outboundTag")),
            ("domian", Some("domain")),
            ("prot", Some("port")),
            ("tag", None),
            ("balancer", Some("balancerTag")),
            ("x", None),
            ("", None),
            ("completely different", None),
        ] {
            assert_eq!(nearest(word, keys), expected, "{word}");
        }
    }

    #[test]
    fn one_letter_is_never_near_to_another() {
        assert_eq!(nearest("a", ["b"]), None);
    }

    #[test]
    fn very_long_words_are_not_compared() {
        let long = "a".repeat(MAX_CHARS + 1);
        assert_eq!(nearest(&long, [long.as_str()]), None);
    }
}
