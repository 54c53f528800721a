//! What a connection seldom has: kept apart from its slot, in a box that is there only while something is in it.
//!
//! An idle connection with the default options has no such box. Reading what is absent gives its default
//! ([`Connection::rare`]), so the state machines need not know whether it is there.
//!
//! This module touches nothing but `sys::Stream`, which it may own. Invariant: whoever empties a part of the box calls
//! [`Connection::release_rare`] afterwards, so after a burst a connection is as small as before it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::addresses::BlockList;
use crate::error::Error;
use crate::reactor::Generation;
use crate::reactor::bounds::Bounded;
use crate::reactor::connection::{
    Attempt, Connection, ConnectionOptions, DEFAULT_HIGH_WATER_MARK, Link, PathAttempt, WriteQueue,
};
use crate::reactor::peer::Peer;
use crate::reactor::selecting::Outbound;
use crate::reactor::text_decoder::{Encoding, TextDecoder};
use crate::sys::{BoundName, Stream};

pub(crate) struct Rare {
    /// What was read and nobody has taken yet.
    pub(super) incoming: Incoming,
    /// What waits to be written. Made by the first write that the kernel does not take, released when nothing waits.
    pub(super) queue: Option<Box<WriteQueue>>,
    settings: Option<Box<Settings>>,
    pub(super) errored: Option<Error>,
    /// Lookups and the choice among several addresses.
    pub(super) outbound: Option<Box<Outbound>>,
    /// The name that a unix socket was bound to here. It stands before the streams because it goes before them: while there
    /// is a name there is somebody behind it.
    pub(super) name: Option<Box<BoundName>>,
    /// Of [`Link::Connecting`].
    pub(super) attempt: Option<Box<Attempt>>,
    /// Of [`Link::ConnectingPath`].
    pub(super) path_attempt: Option<Box<PathAttempt>>,
    /// The generation of the open descriptor, if it is not that of the handle: the socket had another one before.
    pub(super) descriptor: Option<Generation>,
    /// Bound already, for the first `connect()`: an adopted `BoundSocket`.
    pub(super) bound: Option<Stream>,
    /// Where it is connected to, if that is not told in one word.
    pub(super) peer: Option<SocketAddr>,
    /// What `setTimeout()` was last given, where the timer has another duration or is gone.
    pub(super) timeout: Option<Duration>,
    /// What bounds it, where anything does.
    pub(super) bounded: Option<Box<Bounded>>,
    /// How many times it connected again.
    pub(super) reconnects: u32,
    /// How many `close` events are to come beside the one that a flag tells of.
    pub(super) more_closes_owed: u32,
}

/// Options that differ from the defaults.
pub(crate) struct Settings {
    pub(super) readable_high_water_mark: usize,
    pub(super) writable_high_water_mark: usize,
    /// Whole seconds, as the kernel wants them.
    pub(super) keep_alive_delay: u64,
    /// Whole seconds too; `None` and no count are libuv's own.
    pub(super) keep_alive_interval: Option<u32>,
    pub(super) keep_alive_count: Option<u32>,
    /// Asked for, and set when the connection is established.
    pub(super) type_of_service: Option<u8>,
    /// `TCP_USER_TIMEOUT`; zero is the system's own.
    pub(super) user_timeout: Duration,
    /// `setDefaultEncoding()`: what text becomes that does not say its encoding itself.
    pub(super) default_encoding: Encoding,
    /// Where it must not connect to (rule C30).
    pub(super) block_list: Option<BlockList>,
}

impl Default for Rare {
    fn default() -> Rare {
        Rare::NOTHING
    }
}

impl Rare {
    const NOTHING: Rare = Rare {
        incoming: Incoming { length: 0, chunks: VecDeque::new(), decoder: None },
        queue: None,
        settings: None,
        errored: None,
        outbound: None,
        name: None,
        attempt: None,
        path_attempt: None,
        descriptor: None,
        bound: None,
        peer: None,
        timeout: None,
        bounded: None,
        reconnects: 0,
        more_closes_owed: 0,
    };

    fn is_nothing(&self) -> bool {
        self.incoming.is_nothing()
            && self.queue.is_none()
            && self.settings.is_none()
            && self.errored.is_none()
            && self.outbound.is_none()
            && self.name.is_none()
            && self.attempt.is_none()
            && self.path_attempt.is_none()
            && self.descriptor.is_none()
            && self.bound.is_none()
            && self.peer.is_none()
            && self.timeout.is_none()
            && self.bounded.is_none()
            && self.reconnects == 0
            && self.more_closes_owed == 0
    }
}

impl Settings {
    const DEFAULT: Settings = Settings {
        readable_high_water_mark: DEFAULT_HIGH_WATER_MARK,
        writable_high_water_mark: DEFAULT_HIGH_WATER_MARK,
        keep_alive_delay: 0,
        keep_alive_interval: None,
        keep_alive_count: None,
        type_of_service: None,
        user_timeout: Duration::ZERO,
        default_encoding: Encoding::Utf8,
        block_list: None,
    };

    /// Those among `options` that are not bits of the connection itself.
    pub(super) fn of(options: &ConnectionOptions) -> Settings {
        Settings {
            readable_high_water_mark: options.readable_high_water_mark,
            writable_high_water_mark: options.writable_high_water_mark,
            keep_alive_delay: options.keep_alive_initial_delay.as_secs(),
            type_of_service: options.type_of_service,
            user_timeout: options.user_timeout,
            block_list: options.block_list.clone(),
            ..Settings::DEFAULT
        }
    }

    pub(super) fn are_default(&self) -> bool {
        self.readable_high_water_mark == DEFAULT_HIGH_WATER_MARK
            && self.writable_high_water_mark == DEFAULT_HIGH_WATER_MARK
            && self.keep_alive_delay == 0
            && self.keep_alive_interval.is_none()
            && self.keep_alive_count.is_none()
            && self.type_of_service.is_none()
            && self.user_timeout.is_zero()
            && self.default_encoding == Encoding::Utf8
            && self.block_list.is_none()
    }
}

/// Node's read buffer: chunks that were read and not taken, and what makes text of them.
pub(crate) struct Incoming {
    length: usize,
    chunks: VecDeque<Box<[u8]>>,
    /// `setEncoding()`: what is buffered and emitted is the UTF-8 of the decoded text.
    pub(super) decoder: Option<Box<TextDecoder>>,
}

impl Incoming {
    /// The bytes of all chunks.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The bytes of the next chunk.
    pub(super) fn first_length(&self) -> usize {
        self.chunks.front().map_or(0, |chunk| chunk.len())
    }

    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.iter().copied())
    }

    pub(super) fn push_back(&mut self, chunk: Box<[u8]>) {
        self.length += chunk.len();
        self.chunks.push_back(chunk);
    }

    pub(super) fn push_front(&mut self, chunk: Box<[u8]>) {
        self.length += chunk.len();
        self.chunks.push_front(chunk);
    }

    /// At the end of the stream, what the decoder held back becomes a last chunk.
    pub(super) fn push_held_text(&mut self) {
        let Some(decoder) = &mut self.decoder else { return };
        let mut text = String::new();
        decoder.end(&mut text);
        if !text.is_empty() {
            self.push_back(text.into_bytes().into_boxed_slice());
        }
    }

    /// All chunks; none is left.
    pub(super) fn take_all(&mut self) -> VecDeque<Box<[u8]>> {
        self.length = 0;
        std::mem::take(&mut self.chunks)
    }

    /// Takes exactly `count` bytes, which it has; `None` for none.
    pub(super) fn take(&mut self, count: usize) -> Option<Box<[u8]>> {
        if count == 0 {
            return None;
        }
        self.length -= count;
        match self.chunks.front_mut() {
            Some(first) if first.len() == count => self.chunks.pop_front(),
            Some(_) | None => {
                let mut taken = Vec::with_capacity(count);
                // Bounded by the buffer: each round takes a chunk off it, or is the last.
                while let Some(first) = self.chunks.pop_front() {
                    let missing = count - taken.len();
                    if first.len() > missing {
                        taken.extend_from_slice(&first[..missing]);
                        self.chunks.push_front(first[missing..].into());
                        break;
                    }
                    taken.extend_from_slice(&first);
                    if taken.len() == count {
                        break;
                    }
                }
                Some(taken.into_boxed_slice())
            }
        }
    }

    /// Gives the memory of the chunks back if there are none.
    fn shrink(&mut self) {
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }

    fn is_nothing(&self) -> bool {
        self.chunks.is_empty() && self.decoder.is_none()
    }
}

impl Connection {
    /// What it seldom has, or the defaults of that.
    #[inline]
    pub(super) fn rare(&self) -> &Rare {
        const NOTHING: &Rare = &Rare::NOTHING;
        self.rare.as_deref().unwrap_or(NOTHING)
    }

    /// The same, to put something there.
    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| Box::new(Rare::NOTHING))
    }

    /// Gives the box back when nothing is in it.
    pub(super) fn release_rare(&mut self) {
        drop(self.take_empty_rare());
    }

    /// The box, when nothing is in it.
    pub(super) fn take_empty_rare(&mut self) -> Option<Box<Rare>> {
        let rare = self.rare.as_mut()?;
        rare.incoming.shrink();
        rare.settings.take_if(|settings| settings.are_default());
        self.rare.take_if(|rare| rare.is_nothing())
    }

    /// Counts the connections of one socket: a tick of an earlier one does nothing to a later one.
    pub(super) fn epoch(&self) -> u32 {
        self.rare().reconnects.wrapping_add(u32::from(self.has_connected()))
    }

    pub(super) fn next_epoch(&mut self) {
        if self.has_connected() {
            let rare = self.rare_mut();
            rare.reconnects = rare.reconnects.wrapping_add(1);
        } else {
            self.set_has_connected(true);
        }
    }

    /// One more `close` is to come.
    pub(super) fn owe_close(&mut self) {
        if self.close_owed() {
            self.rare_mut().more_closes_owed += 1;
        } else {
            self.set_close_owed(true);
        }
    }

    /// One `close` came.
    pub(super) fn pay_close(&mut self) {
        match &mut self.rare {
            Some(rare) if rare.more_closes_owed > 0 => {
                rare.more_closes_owed -= 1;
                self.release_rare();
            }
            Some(_) | None => self.set_close_owed(false),
        }
    }

    /// The first error is the one that counts.
    pub(super) fn set_errored(&mut self, error: &Error) {
        self.rare_mut().errored.get_or_insert_with(|| error.clone());
    }

    pub(super) fn forget_errored(&mut self) {
        if self.errored().is_some() {
            self.rare_mut().errored = None;
            self.release_rare();
        }
    }

    pub(super) fn set_peer(&mut self, peer: Option<SocketAddr>) {
        self.peer = Peer::of(peer);
        let apart = peer.filter(|_| self.peer == Peer::Apart);
        if self.rare().peer != apart {
            self.rare_mut().peer = apart;
            self.release_rare();
        }
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer.address().or(self.rare().peer)
    }

    pub(super) fn bound(&self) -> Option<&Stream> {
        self.rare().bound.as_ref()
    }

    pub(super) fn take_bound(&mut self) -> Option<Stream> {
        let bound = self.rare.as_mut()?.bound.take()?;
        self.release_rare();
        Some(bound)
    }

    pub(super) fn take_name(&mut self) -> Option<Box<BoundName>> {
        let name = self.rare.as_mut()?.name.take()?;
        self.release_rare();
        Some(name)
    }

    pub(super) fn set_name(&mut self, name: Option<Box<BoundName>>) {
        if name.is_some() {
            self.rare_mut().name = name;
        }
    }

    /// Whether it is connecting to an internet address.
    pub(super) fn connects_to_internet(&self) -> bool {
        matches!(self.link, Link::Connecting)
    }

    pub(super) fn take_attempt(&mut self) -> Option<Box<Attempt>> {
        let attempt = self.rare.as_mut()?.attempt.take()?;
        self.release_rare();
        Some(attempt)
    }

    pub(super) fn take_path_attempt(&mut self) -> Option<Box<PathAttempt>> {
        let attempt = self.rare.as_mut()?.path_attempt.take()?;
        self.release_rare();
        Some(attempt)
    }

    /// Whether several addresses are tried.
    pub(super) fn is_selecting(&self) -> bool {
        self.rare().outbound.as_ref().is_some_and(|outbound| outbound.selection.is_some())
    }

    pub(super) fn outbound_mut(&mut self) -> Option<&mut Outbound> {
        self.rare.as_mut()?.outbound.as_deref_mut()
    }

    pub(super) fn settings(&self) -> &Settings {
        const DEFAULT: &Settings = &Settings::DEFAULT;
        self.rare().settings.as_deref().unwrap_or(DEFAULT)
    }

    /// The settings, to change one.
    pub(super) fn settings_mut(&mut self) -> &mut Settings {
        self.rare_mut().settings.get_or_insert_with(|| Box::new(Settings::DEFAULT))
    }

    pub(super) fn queue(&self) -> Option<&WriteQueue> {
        self.rare.as_ref()?.queue.as_deref()
    }

    /// The queue, if something waits in it.
    pub(super) fn queue_mut(&mut self) -> Option<&mut WriteQueue> {
        self.rare.as_mut()?.queue.as_deref_mut()
    }

    /// Bytes that waited to be written do not any more.
    pub(super) fn waits_less(&mut self, length: usize) {
        if let Some(queue) = self.queue_mut() {
            queue.length -= length;
        }
    }

    pub(super) fn is_writing(&self) -> bool {
        self.queue().is_some_and(|queue| queue.current.is_some())
    }

    pub(super) fn has_buffered(&self) -> bool {
        self.queue().is_some_and(|queue| !queue.buffered.is_empty())
    }

    /// `howMuchToRead`
    pub(super) fn how_much(&self, size: Option<usize>) -> usize {
        let incoming = &self.rare().incoming;
        match size {
            None if self.read.is_flowing() || incoming.decoder.is_none() => incoming.first_length(),
            None => incoming.length(),
            Some(size) if size <= incoming.length() => size,
            Some(_) if self.read.ended() => incoming.length(),
            Some(_) => 0,
        }
    }

    /// Takes exactly `count` bytes off the buffer, which has them; `None` for none.
    pub(super) fn take_incoming(&mut self, count: usize) -> Option<Box<[u8]>> {
        let chunk = self.rare.as_mut()?.incoming.take(count);
        self.release_rare();
        chunk
    }

    /// All that is buffered is given up.
    pub(super) fn clear_incoming(&mut self) -> VecDeque<Box<[u8]>> {
        let Some(rare) = &mut self.rare else { return VecDeque::new() };
        let chunks = rare.incoming.take_all();
        self.release_rare();
        chunks
    }

    /// See [`Incoming::push_held_text`].
    pub(super) fn push_held_text(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.incoming.push_held_text();
        }
    }

    /// Whether a chunk that comes now goes to the `data` listeners without being buffered.
    pub(super) fn emits_at_once(&self) -> bool {
        self.read.is_flowing() && self.read.data_listening() && self.readable_length() == 0
    }

    /// What `push()` answers: whether the transport may go on.
    pub(super) fn can_push_more(&self) -> bool {
        let length = self.readable_length();
        !self.read.ended() && (length < self.readable_high_water_mark() || length == 0)
    }
}
