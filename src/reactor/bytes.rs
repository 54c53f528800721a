//! Outgoing bytes: what a write lends, what a connection keeps when the kernel does not take it all, and who waits for it.
//!
//! This module touches nothing. Invariant: what users gave us to own is never dropped here; it travels to the graveyard
//! ([`super::Reactor::drain_graveyard`]), because a drop may run user code.

use crate::reactor::CallbackId;
use crate::reactor::text_decoder::Encoding;

/// Bytes that are about to be written: looked at first, kept only if the kernel refuses some of them.
pub(crate) trait Outgoing {
    /// Whether it is text in UTF-8, whose bytes Node counts once the kernel or the queue has them (rule F12).
    fn is_text(&self) -> bool;
    /// Text becomes the bytes of this encoding; what is bytes already stays as it is.
    fn encode(&mut self, encoding: Encoding);
    fn as_slice(&self) -> &[u8];
    /// What is kept of it when the kernel has taken this many bytes: all of what is owned, of what is lent a copy of the
    /// rest. It is handed back if there is no memory for that.
    fn into_queued(self, taken: usize) -> Result<QueuedBytes, Self>
    where
        Self: Sized;
}

/// Bytes that wait in a write queue.
pub(crate) enum QueuedBytes {
    Owned(Vec<u8>),
    Static(&'static [u8]),
    /// Short writes one after the other, in a buffer of the loop's ([`super::batching`]).
    Collected(Vec<u8>),
    /// Shared with other owners, or of a type that users brought.
    Shared(Box<dyn AsRef<[u8]>>),
}

impl QueuedBytes {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            QueuedBytes::Owned(bytes) | QueuedBytes::Collected(bytes) => bytes,
            QueuedBytes::Static(bytes) => bytes,
            QueuedBytes::Shared(bytes) => (**bytes).as_ref(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }
}

impl Outgoing for QueuedBytes {
    fn is_text(&self) -> bool {
        false
    }

    fn encode(&mut self, _: Encoding) {}

    fn as_slice(&self) -> &[u8] {
        QueuedBytes::as_slice(self)
    }

    fn into_queued(self, _: usize) -> Result<QueuedBytes, QueuedBytes> {
        Ok(self)
    }
}

/// What is kept of a chunk. None if there is no memory for it; then it stays where it is.
pub(super) fn take_queued<C: Outgoing>(chunk: &mut Option<C>, taken: usize) -> Option<QueuedBytes> {
    let Some(whole) = chunk.take() else { return Some(QueuedBytes::Static(&[])) };
    whole.into_queued(taken).map_err(|whole| *chunk = Some(whole)).ok()
}

/// One `write()` that waits for its turn.
pub(crate) struct WriteRequest {
    pub(super) bytes: QueuedBytes,
    pub(super) callback: Option<CallbackId>,
    /// See [`Outgoing::is_text`].
    pub(super) is_text: bool,
}

/// The bytes of one write that waits: usually one chunk, which then needs no memory besides its own.
pub(crate) enum Chunks {
    One([QueuedBytes; 1]),
    Several(Vec<QueuedBytes>),
}

impl Chunks {
    pub(crate) fn one(bytes: QueuedBytes) -> Chunks {
        Chunks::One([bytes])
    }

    pub(crate) fn as_slice(&self) -> &[QueuedBytes] {
        match self {
            Chunks::One(one) => one,
            Chunks::Several(several) => several,
        }
    }

    pub(crate) fn into_each(self) -> impl Iterator<Item = QueuedBytes> {
        let (one, several) = match self {
            Chunks::One([one]) => (Some(one), Vec::new()),
            Chunks::Several(several) => (None, several),
        };
        one.into_iter().chain(several)
    }
}

/// Who waits for a write: one `write()`, or all that went out in one gathered write.
#[derive(Default)]
pub(crate) enum Completion {
    #[default]
    Nobody,
    One(CallbackId),
    Group(Vec<CallbackId>),
}

impl Completion {
    pub(crate) fn one(callback: Option<CallbackId>) -> Completion {
        match callback {
            Some(callback) => Completion::One(callback),
            None => Completion::Nobody,
        }
    }

    pub(crate) fn is_nobody(&self) -> bool {
        matches!(self, Completion::Nobody)
    }
}
