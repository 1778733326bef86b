//! The distributed hash table, whose messages are bencoded (BEP 5, BEP 3).

/// Nobody's messages are deeper; those of BEP 5 have two levels.
const MAX_DEPTH: usize = 8;
const NODE_ID_BYTES: usize = 20;
/// A length has no more digits than one of a datagram.
const MAX_DIGITS: usize = 5;

/// Whether a datagram is one query, answer or error.
pub(super) fn is_message(datagram: &[u8]) -> bool {
    message(datagram).unwrap_or(false)
}

/// `None` if it is not bencoded.
fn message(datagram: &[u8]) -> Option<bool> {
    let entries = datagram.strip_prefix(b"d")?.strip_suffix(b"e")?;
    // Few datagrams get beyond this, because keys are in order, and `a`, `e`, `ip` or `r` is the first.
    let (mut has_transaction, mut kind, mut has_id) = (false, None, false);
    let mut rest = entries;
    while !rest.is_empty() {
        let (key, behind) = text(rest)?;
        let (value, behind) = behind.split_at_checked(value_bytes(behind)?)?;
        match key {
            b"t" => has_transaction = text(value).is_some(),
            b"y" => kind = text(value).map(|(kind, _)| kind),
            b"a" | b"r" => has_id |= has_node_id(value),
            b"e" => has_id |= value.starts_with(b"l"),
            _ => {}
        }
        rest = behind;
    }
    Some(has_transaction && has_id && matches!(kind, Some(b"q" | b"r" | b"e")))
}

/// Whether a dictionary has the id of a node.
fn has_node_id(value: &[u8]) -> bool {
    let Some(mut rest) = value.strip_prefix(b"d") else { return false };
    while let Some((key, behind)) = text(rest) {
        if key == b"id" {
            return text(behind).is_some_and(|(id, _)| id.len() == NODE_ID_BYTES);
        }
        let Some(behind) = value_bytes(behind).and_then(|length| behind.get(length..)) else { return false };
        rest = behind;
    }
    false
}

/// Takes a text off the front.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = bytes.iter().take(MAX_DIGITS + 1).position(|&byte| byte == b':')?;
    let (digits, rest) = (bytes.get(..colon)?, bytes.get(colon + 1..)?);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = digits.iter().fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    rest.split_at_checked(length)
}

/// How long the value at the front is, with everything in it.
fn value_bytes(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0);
    loop {
        let rest = bytes.get(at..)?;
        at += match rest.first()? {
            b'd' | b'l' => {
                depth += 1;
                1
            }
            b'e' => {
                depth = usize::checked_sub(depth, 1)?;
                1
            }
            b'i' => rest.iter().take(24).position(|&byte| byte == b'e')? + 1,
            _ => {
                let (_, behind) = text(rest)?;
                rest.len() - behind.len()
            }
        };
        match depth {
            0 => return Some(at),
            1..=MAX_DEPTH => {}
            _ => return None,
        }
    }
}
