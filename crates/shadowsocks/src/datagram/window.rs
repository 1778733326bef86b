//! Which numbers of a session have been seen (RFC 6479).

const WORDS: usize = 32;
/// How far behind the newest number one may be.
const SPAN: u64 = (WORDS as u64 - 1) * 64;

/// Lets each number in once, and none that is far behind the newest.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    newest: u64,
    words: [u64; WORDS],
}

impl Window {
    pub(crate) fn new() -> Self {
        Self { newest: 0, words: [0; WORDS] }
    }

    /// Remembers a number, and says whether it is new.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        if number > self.newest {
            let steps = (number / 64 - self.newest / 64).min(WORDS as u64);
            for step in 1..=steps {
                if let Some(word) = self.word((self.newest / 64).wrapping_add(step)) {
                    *word = 0;
                }
            }
            self.newest = number;
        } else if self.newest - number > SPAN {
            return false;
        }
        let bit = 1 << (number % 64);
        let Some(word) = self.word(number / 64) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn word(&mut self, block: u64) -> Option<&mut u64> {
        let index = usize::try_from(block % WORDS as u64).ok()?;
        self.words.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_number_is_let_in_once() {
        let mut window = Window::new();
        for number in [0, 1, 5, 3, 2, 4, 2000, 1990, 100_000, 99_999, u64::MAX, u64::MAX - 1] {
            assert!(window.insert(number), "{number}");
            assert!(!window.insert(number), "{number}");
        }
        assert!(!window.insert(7));
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(numbers in prop::collection::vec(0..6000u64, 1..400)) {
            let (mut window, mut seen, mut newest) = (Window::new(), HashSet::new(), 0);
            for number in numbers {
                newest = newest.max(number);
                let expected = newest - number <= SPAN && seen.insert(number);
                prop_assert_eq!(window.insert(number), expected);
            }
        }
    }
}
