//! What remains of a write, offered to the kernel.
//!
//! This module touches `sys::Stream` for its writes. Invariant: what the kernel took is noted before anybody else learns
//! of it.

use std::io::{self, IoSlice};

use crate::error::Error;
use crate::reactor::connection::CurrentWrite;
use crate::sys::Stream;
use crate::sys::errno::Errno;

/// How many slices one gathered write offers: what Linux and the BSDs accept at most (IOV_MAX).
const MAX_SLICES: usize = 1024;

/// How an attempt ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Transmitted {
    /// The kernel has everything, or as much as there was room for; then it will announce more.
    AsMuchAsFits,
    /// It had no buffers, which nobody will announce the end of.
    UntilWantOfBuffers,
}

/// Offers the kernel what remains of a write, and notes what it took.
///
/// One attempt, except where a gathered write has more slices than one call carries: a call that was taken whole makes
/// no edge, so the next must follow at once. Each round disposes of `MAX_SLICES` slices, which bounds the loop.
pub(super) fn transmit(stream: &Stream, current: &mut CurrentWrite) -> Result<Transmitted, Error> {
    loop {
        let offered;
        let left = &current.chunks.as_slice()[current.first..];
        let outcome = if let [bytes] = left {
            let rest = &bytes.as_slice()[current.offset..];
            offered = rest.len();
            stream.write(rest)
        } else {
            let mut offset = current.offset;
            let slices: Vec<IoSlice<'_>> = left
                .iter()
                .take(MAX_SLICES)
                .map(|bytes| IoSlice::new(&bytes.as_slice()[std::mem::take(&mut offset)..]))
                .collect();
            offered = slices.iter().map(|slice| slice.len()).sum();
            stream.write_vectored(&slices)
        };
        let taken = match outcome {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Transmitted::AsMuchAsFits),
            Err(error) => {
                let errno = Errno::from_io(&error);
                if errno.is_want_of_buffers() {
                    return Ok(Transmitted::UntilWantOfBuffers);
                }
                return Err(Error::exception(errno, "write"));
            }
        };
        current.remaining -= taken;
        advance(current, taken);
        if current.remaining == 0 || taken < offered {
            return Ok(Transmitted::AsMuchAsFits);
        }
    }
}

/// Steps over the chunks that the kernel has whole. The last one stays current: a write always has one to offer.
fn advance(current: &mut CurrentWrite, taken: usize) {
    current.offset += taken;
    // Bounded by the chunks of this write.
    let chunks = current.chunks.as_slice();
    while current.first + 1 < chunks.len() && current.offset >= chunks[current.first].len() {
        current.offset -= chunks[current.first].len();
        current.first += 1;
    }
}
