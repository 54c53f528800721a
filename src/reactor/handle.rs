//! Handles, tokens and the counter that makes them unique.
//!
//! A *handle* names a slot and the generation that lives in it; users hold handles. A *token* names a slot and the
//! generation of one descriptor; the kernel holds tokens. They are two things because one socket may own several
//! descriptors in its life. Both fit 64 bits: an index and 39 bits of generation; the bit on top tells what kind of slot a
//! token names. A 32-bit generation would wrap in two days at 25,000 connections a second; 39 bits last more than half a
//! year at that rate, and then only a handle kept for the whole of it could be mistaken.
//!
//! The first descriptor of a connection has the generation of its handle, so that its token and its handle are the same
//! number: nearly all connections have one descriptor, and the slot need not hold both.
//!
//! This module touches nothing. Invariant: a generation is never zero, so `Option<Handle>` needs no extra word.

use std::num::NonZeroU64;

/// Sixteen million slots: each costs the kernel kilobytes, so memory ends first.
const INDEX_BITS: u32 = 24;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const GENERATION_BITS: u32 = 39;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;

/// A slot and the generation that lives in it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Handle(NonZeroU64);

impl Handle {
    pub(crate) fn new(index: usize, generation: Generation) -> Handle {
        let index = index as u64 & INDEX_MASK;
        Handle(generation.0.saturating_mul(SHIFT).saturating_add(index))
    }

    pub(crate) fn index(self) -> usize {
        (self.0.get() & INDEX_MASK) as usize
    }

    /// Whether `packed` is the token of the first descriptor of this connection.
    #[inline]
    pub(crate) fn is(self, packed: u64) -> bool {
        self.0.get() == packed
    }

    /// The generation as it is packed here, with something else in the place of the index: for who keeps something by
    /// slot, and has to know whose it is.
    pub(crate) fn with_index(self, index: usize) -> u64 {
        self.0.get() & !INDEX_MASK | index as u64 & INDEX_MASK
    }

    /// Whether `packed` has this handle's generation.
    #[inline]
    pub(crate) fn has_generation_of(self, packed: u64) -> bool {
        (self.0.get() ^ packed) >> INDEX_BITS == 0
    }

    /// What stands in the place of the index.
    #[inline]
    pub(crate) fn index_of(packed: u64) -> usize {
        (packed & INDEX_MASK) as usize
    }

    pub(crate) fn generation(self) -> Generation {
        let generation = self.0.get() >> INDEX_BITS;
        Generation(NonZeroU64::new(generation).unwrap_or(NonZeroU64::MIN))
    }
}

const SHIFT: NonZeroU64 = NonZeroU64::new(1 << INDEX_BITS).unwrap();

/// One value of the growing counter: unique on its thread, through all the loops that live there one after the other.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Generation(NonZeroU64);

impl Generation {
    pub(crate) fn get(self) -> u64 {
        self.0.get()
    }
}

/// The counter itself.
pub(crate) struct Generations {
    last: u64,
}

impl Generations {
    /// Continues after `last`, the value at which the thread's previous loop stopped: handles of that loop stay inert.
    pub(crate) fn after(last: u64) -> Generations {
        Generations { last }
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    pub(crate) fn next(&mut self) -> Generation {
        self.last = (self.last + 1) & GENERATION_MASK;
        let next = NonZeroU64::new(self.last).unwrap_or(NonZeroU64::MIN);
        self.last = next.get();
        Generation(next)
    }
}

/// What a registration carries through the kernel: the kind of slot, its index, and the descriptor's generation.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    Connection {
        index: usize,
        descriptor: Generation,
    },
    Server {
        index: usize,
        descriptor: Generation,
    },
    /// A foreign descriptor, which has one generation for its slot and for itself.
    Watch {
        index: usize,
        generation: Generation,
    },
}

/// By how much the packed tokens of a loop are larger that began after `last_generation` instead of after none.
#[cfg(feature = "simulation")]
pub(crate) fn token_offset(last_generation: u64) -> u64 {
    last_generation << INDEX_BITS
}

/// The highest bit of a packed token tells servers from connections.
const SERVER_BIT: u64 = 1 << 63;

/// The highest bit of a server's index tells watches from servers, of which there are never eight million. So connections,
/// whose tokens are looked at most, are told from all others by one bit.
const WATCH_BIT: u64 = 1 << (INDEX_BITS - 1);

impl Token {
    /// The kind goes on top, then the generation, then the index.
    pub(crate) fn pack(self) -> u64 {
        let (index, descriptor, kind) = match self {
            Token::Connection { index, descriptor } => (index, descriptor, 0),
            Token::Server { index, descriptor } => (index, descriptor, SERVER_BIT),
            Token::Watch { index, generation } => (index | WATCH_BIT as usize, generation, SERVER_BIT),
        };
        kind | (descriptor.get() << INDEX_BITS) | (index as u64 & INDEX_MASK)
    }

    /// Whether `descriptor` is the generation that `packed` carries.
    pub(crate) fn matches(packed: u64, descriptor: Generation) -> bool {
        (packed & !SERVER_BIT) >> INDEX_BITS == descriptor.get()
    }

    pub(crate) fn index(packed: u64) -> usize {
        (packed & INDEX_MASK) as usize
    }

    /// Of a token that [`Token::is_server`] takes for a server's: whether it is a watch's.
    pub(crate) fn is_watch(packed: u64) -> bool {
        packed & WATCH_BIT != 0
    }

    pub(crate) fn watch_index(packed: u64) -> usize {
        Token::index(packed & !WATCH_BIT)
    }

    /// False for connections only.
    pub(crate) fn is_server(packed: u64) -> bool {
        packed & SERVER_BIT != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_descriptor_s_token_is_the_handle() {
        let mut generations = Generations::after(GENERATION_MASK - 1);
        let generation = generations.next();
        let handle = Handle::new(7, generation);
        assert!(handle.is(Token::Connection { index: 7, descriptor: generation }.pack()));
        assert!(!handle.is(Token::Server { index: 7, descriptor: generation }.pack()));
        assert!(!handle.is(Token::Connection { index: 7, descriptor: generations.next() }.pack()));
    }

    #[test]
    fn a_handle_gives_back_its_parts() {
        let mut generations = Generations::after(41);
        let generation = generations.next();
        let handle = Handle::new(16_777_215, generation);
        assert_eq!(handle.index(), 16_777_215);
        assert_eq!(handle.generation(), generation);
        assert_eq!(generation.get(), 42);
        assert_eq!(size_of::<Option<Handle>>(), 8);
    }

    #[test]
    fn something_else_can_stand_in_the_place_of_the_index() {
        let mut generations = Generations::after(GENERATION_MASK - 1);
        let handle = Handle::new(7, generations.next());
        let packed = handle.with_index(16_777_215);
        assert_eq!(Handle::index_of(packed), 16_777_215);
        assert!(handle.has_generation_of(packed));
        assert!(Handle::new(8, handle.generation()).has_generation_of(packed));
        assert!(!Handle::new(7, generations.next()).has_generation_of(packed));
        assert!(!handle.has_generation_of(0));
    }

    #[test]
    fn the_counter_wraps_past_zero() {
        let mut generations = Generations::after(GENERATION_MASK);
        assert_eq!(generations.next().get(), 1);
    }

    #[test]
    fn a_token_matches_its_own_descriptor_only() {
        let mut generations = Generations::after(GENERATION_MASK - 2);
        let first = generations.next();
        let second = generations.next();
        let packed = Token::Server { index: 7, descriptor: first }.pack();
        assert!(Token::is_server(packed));
        assert_eq!(Token::index(packed), 7);
        assert!(Token::matches(packed, first));
        assert!(!Token::matches(packed, second));
        assert!(!Token::is_watch(packed));

        let packed = Token::Watch { index: 7, generation: first }.pack();
        assert!(Token::is_server(packed) && Token::is_watch(packed));
        assert_eq!(Token::watch_index(packed), 7);
        assert!(Token::matches(packed, first) && !Token::matches(packed, second));
    }
}
