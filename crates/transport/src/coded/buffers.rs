//! Memory for bytes on their way: a stream holds some only while bytes are.

use std::cell::RefCell;

/// What is read or written at once: some of the largest pieces that a protocol has (16 KiB).
pub(super) const BUFFER_BYTES: usize = 64 * 1024;
/// Room for a piece that is not complete beside that.
const CAPACITY: usize = BUFFER_BYTES + 8 * 1024;
/// How many a thread keeps for later: more streams than these seldom move at the same moment.
const MAX_KEPT: usize = 8;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with room.
pub(super) fn take() -> Vec<u8> {
    KEPT.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(CAPACITY))
}

/// Keeps a buffer for others.
pub(super) fn give_back(mut buffer: Vec<u8>) {
    // One that had to grow is not for everybody, and one without room is of no use.
    if buffer.capacity() < CAPACITY || buffer.capacity() > 2 * CAPACITY {
        return;
    }
    buffer.clear();
    KEPT.with_borrow_mut(|kept| {
        if kept.len() < MAX_KEPT {
            kept.push(buffer);
        }
    });
}
