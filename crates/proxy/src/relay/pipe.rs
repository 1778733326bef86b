//! Pipes that bytes go through from one socket to another without being copied (splice(2)).

use std::{
    cell::RefCell,
    io,
    os::fd::{AsFd, OwnedFd},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice},
    unistd::pipe2,
};

/// As much as an unprivileged process may ask for (`/proc/sys/fs/pipe-max-size`).
const WANTED_BYTES: i32 = 1 << 20;
/// What the system gives when it has no more to give (pipe(7)).
const LEAST_BYTES: usize = 16 * 4096;
/// How many pipes a thread keeps for later: more transfers than these seldom move at the same moment.
const MAX_KEPT: usize = 8;

thread_local! {
    static KEPT: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// A pipe and what is in it.
#[derive(Debug)]
pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    /// How much it holds.
    capacity: usize,
    filled: usize,
}

impl Pipe {
    /// An empty pipe; `None` if the system has none.
    pub(super) fn take() -> Option<Self> {
        KEPT.with_borrow_mut(Vec::pop).or_else(|| Self::open().ok())
    }

    fn open() -> Result<Self, Errno> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        // A pipe of the usual size will do where there is no larger one.
        let capacity = fcntl(&write, FcntlArg::F_SETPIPE_SZ(WANTED_BYTES)).unwrap_or_default();
        let capacity = usize::try_from(capacity).unwrap_or_default().max(LEAST_BYTES);
        Ok(Self { read, write, capacity, filled: 0 })
    }

    /// Keeps the pipe for others. One with something in it is closed, with that.
    pub(super) fn give_back(self) {
        if self.filled > 0 {
            return;
        }
        KEPT.with_borrow_mut(|kept| {
            if kept.len() < MAX_KEPT {
                kept.push(self);
            }
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Takes what there is in `source`, which is not to be asked before the pipe is empty: a full pipe
    /// looks like a source with nothing in it. 0 is the end.
    pub(super) fn fill(&mut self, source: impl AsFd) -> io::Result<usize> {
        let moved = splice(source, None, &self.write, None, self.capacity, FLAGS)?;
        self.filled += moved;
        Ok(moved)
    }

    /// Gives `sink` what it takes.
    pub(super) fn drain(&mut self, sink: impl AsFd) -> io::Result<usize> {
        let moved = splice(&self.read, None, sink, None, self.filled, FLAGS)?;
        self.filled = self.filled.saturating_sub(moved);
        Ok(moved)
    }
}

const FLAGS: SpliceFFlags = SpliceFFlags::SPLICE_F_MOVE.union(SpliceFFlags::SPLICE_F_NONBLOCK);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_pipe_is_kept_and_a_full_one_is_not() {
        let pipe = Pipe::take().unwrap();
        let capacity = pipe.capacity;
        assert!(capacity >= LEAST_BYTES);
        pipe.give_back();
        assert_eq!(KEPT.with_borrow(Vec::len), 1);
        let mut pipe = Pipe::take().unwrap();
        assert_eq!(KEPT.with_borrow(Vec::len), 0);

        let (source, other) = std::os::unix::net::UnixStream::pair().unwrap();
        io::Write::write_all(&mut &other, b"left").unwrap();
        assert_eq!(pipe.fill(&source).unwrap(), 4);
        pipe.give_back();
        assert_eq!(KEPT.with_borrow(Vec::len), 0);
    }
}
