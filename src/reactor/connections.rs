//! The connections of a loop, by slot, and which of them will do the usual thing next.
//!
//! Nearly every read goes straight to one `data` listener, and nearly every write is taken whole by the kernel with nothing
//! before it and nothing to follow. Whether a connection is in that state depends on a dozen of its fields. It is found out
//! once and remembered as a token or a handle to compare with; every other access to the connection goes through
//! [`Connections::get_mut`] or an index, which forget it. So the answer is never older than the last change.
//!
//! This module touches nothing. Invariant: `reads` or `writes` is set only while [`Connection::reads_plainly`] or
//! [`Connection::writes_plainly`] holds.

use std::ops::{Index, IndexMut};

use slab::Slab;

use crate::reactor::connection::Connection;
use crate::reactor::handle::{Handle, Token};
use crate::reactor::ready::Announced;

#[derive(Default)]
pub(crate) struct Connections {
    slots: Slab<Slot>,
}

struct Slot {
    /// The token whose input is read the usual way; [`UNKNOWN`] until that was found out.
    reads: u64,
    /// The handle whose writes go the usual way, likewise.
    writes: u64,
    connection: Connection,
}

/// Neither a token nor a handle: both hold a generation, which is never zero.
const UNKNOWN: u64 = 0;

impl Connections {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Where the next one will be put.
    pub(crate) fn next_index(&self) -> usize {
        self.slots.vacant_key()
    }

    pub(crate) fn insert(&mut self, connection: Connection) -> usize {
        self.slots.insert(Slot { reads: UNKNOWN, writes: UNKNOWN, connection })
    }

    pub(crate) fn remove(&mut self, index: usize) -> Connection {
        self.slots.remove(index).connection
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(index)?;
        slot.forget();
        Some(&mut slot.connection)
    }

    /// What is known of what `token` names, which none of the usual ways depends on.
    #[inline]
    pub(crate) fn announced_of(&mut self, token: u64) -> Option<&mut Announced> {
        let slot = self.slots.get_mut(Token::index(token))?;
        if slot.reads == token { Some(&mut slot.connection.announced) } else { slot.connection.announced_of(token) }
    }

    /// The connection that `token` names, if its input goes the usual way. The caller leaves that as it is.
    #[inline]
    pub(crate) fn plain_reader(&mut self, token: u64) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(Token::index(token))?;
        if slot.reads != token {
            if !slot.connection.reads_plainly(token) {
                return None;
            }
            slot.reads = token;
        }
        debug_assert!(slot.connection.reads_plainly(token));
        Some(&mut slot.connection)
    }

    /// The connection of `socket`, if its output goes the usual way. The caller leaves that as it is.
    #[inline]
    pub(crate) fn plain_writer(&mut self, socket: Handle) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(socket.index())?;
        if slot.writes != socket.bits() {
            if slot.connection.generation != socket.generation() || !slot.connection.writes_plainly() {
                return None;
            }
            slot.writes = socket.bits();
        }
        debug_assert!(slot.connection.writes_plainly());
        Some(&mut slot.connection)
    }

    /// Whether nobody had hold of this connection since it was read the usual way.
    #[inline]
    pub(crate) fn is_untouched(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(|slot| slot.reads != UNKNOWN)
    }
}

impl Slot {
    #[inline]
    fn forget(&mut self) {
        self.reads = UNKNOWN;
        self.writes = UNKNOWN;
    }
}

impl Index<usize> for Connections {
    type Output = Connection;

    fn index(&self, index: usize) -> &Connection {
        &self.slots[index].connection
    }
}

impl IndexMut<usize> for Connections {
    fn index_mut(&mut self, index: usize) -> &mut Connection {
        let slot = &mut self.slots[index];
        slot.forget();
        &mut slot.connection
    }
}
