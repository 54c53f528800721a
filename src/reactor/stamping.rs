//! Reads that come with the kernel's receive time stamp, where that was asked for.
//!
//! A loop without stamps has none of this. This module touches `sys::timestamps`. Invariant: a wait that is told belongs to
//! the latest read of this loop.

use std::io;
use std::time::Duration;

use crate::reactor::histogram::Lengths;
use crate::reactor::{Handle, Reactor};
use crate::sys::{Acceptor, Stream, timestamps};

/// How long what was read had been in the kernel.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    pub(crate) waits: Lengths,
    /// Of the latest read: whose it was.
    latest: Option<(Handle, Duration)>,
}

impl Stamps {
    /// One read of `socket`. A connection that nobody asked for stamps yet has none this time.
    pub(super) fn read(&mut self, socket: Handle, stream: &Stream, buffer: &mut [u8]) -> io::Result<usize> {
        self.latest = None;
        let read = stream.read_stamped(buffer)?;
        match read.waited {
            Some(waited) => {
                self.waits.add(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX));
                self.latest = Some((socket, waited));
            }
            // Adopted perhaps. Where it does not help there are none, and nothing is lost by asking again.
            None if read.count > 0 => ask(stream),
            None => {}
        }
        Ok(read.count)
    }

    pub(crate) fn latest_of(&self, socket: Handle) -> Option<Duration> {
        self.latest.filter(|(whose, _)| *whose == socket).map(|(_, waited)| waited)
    }
}

impl Reactor {
    /// Stamps are wanted from now on. Where the system has none there are none.
    pub(crate) fn stamp_what_is_received(&mut self) {
        self.stamps = timestamps::SUPPORTED.then(Box::default);
    }

    pub(crate) fn stamps(&self) -> Option<&Stamps> {
        self.stamps.as_deref()
    }

    /// This is about to accept what will receive.
    pub(super) fn ask_for_stamps(&self, acceptor: &Acceptor) {
        if self.stamps.is_some() {
            let _ = acceptor.stamp();
        }
    }
}

/// A socket that cannot have stamps has none: that is no failure of its connection.
pub(super) fn ask(stream: &Stream) {
    let _ = stream.stamp();
}
