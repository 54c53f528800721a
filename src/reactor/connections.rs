//! The connections of a loop, by slot, and which of them will do the usual thing next.
//!
//! Nearly every read goes straight to one `data` listener, and nearly every write is taken whole by the kernel with nothing
//! before it and nothing to follow. Whether a connection is in that state depends on a dozen of its fields. It is found out
//! once and remembered in two flags; every other access to the connection goes through [`Connections::get_mut`] or an
//! index, which forget it. So the answer is never older than the last change.
//!
//! This module touches nothing. Invariant: `known_to_read_plainly` or `known_to_write_plainly` is set only while
//! [`Connection::reads_plainly`] or [`Connection::writes_plainly`] holds, the former for the token that is the handle.

use std::ops::{Index, IndexMut};

use slab::Slab;

use crate::reactor::connection::Connection;
use crate::reactor::handle::{Handle, Token};
use crate::reactor::ready::Announced;

/// The bytes of a slot: with the place for its listeners and its idle timer a connection costs little beside what the
/// kernel has for it, however many there are. What only some connections have belongs into the rare box.
const MOST_BYTES: usize = if cfg!(feature = "simulation") { 128 } else { 80 };

const _: () = assert!(size_of::<Connection>() <= MOST_BYTES);

#[derive(Default)]
pub(crate) struct Connections {
    slots: Slab<Connection>,
    /// Every write is to be looked at: the loop has a cap for what waits.
    looks_at_writes: bool,
}

impl Connections {
    /// No output goes the usual way from now on.
    pub(crate) fn look_at_writes(&mut self) {
        self.looks_at_writes = true;
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().map(|(_, connection)| connection)
    }

    /// Where the next one will be put.
    pub(crate) fn next_index(&self) -> usize {
        self.slots.vacant_key()
    }

    pub(crate) fn insert(&mut self, connection: Connection) -> usize {
        self.slots.insert(connection)
    }

    pub(crate) fn remove(&mut self, index: usize) -> Connection {
        self.slots.remove(index)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Connection> {
        let connection = self.slots.get_mut(index)?;
        connection.forget_what_is_usual();
        Some(connection)
    }

    /// What is known of what `token` names, which none of the usual ways depends on.
    #[inline]
    pub(crate) fn announced_of(&mut self, token: u64) -> Option<&mut Announced> {
        let connection = self.slots.get_mut(Token::index(token))?;
        if connection.known_to_read(token) { Some(&mut connection.announced) } else { connection.announced_of(token) }
    }

    /// The connection that `token` names, if its input goes the usual way. The caller leaves that as it is.
    #[inline]
    pub(crate) fn plain_reader(&mut self, token: u64) -> Option<&mut Connection> {
        let connection = self.slots.get_mut(Token::index(token))?;
        if !connection.known_to_read(token) {
            if !connection.reads_plainly(token) {
                return None;
            }
            // A second descriptor has a token of its own, and is looked at anew each time.
            connection.set_known_to_read_plainly(connection.handle.is(token));
        }
        debug_assert!(connection.reads_plainly(token));
        Some(connection)
    }

    /// The connection of `socket`, if its output goes the usual way. The caller leaves that as it is.
    #[inline]
    pub(crate) fn plain_writer(&mut self, socket: Handle) -> Option<&mut Connection> {
        let connection = self.slots.get_mut(socket.index())?;
        if connection.handle != socket {
            return None;
        }
        if !connection.known_to_write_plainly() {
            if self.looks_at_writes || !connection.writes_plainly() {
                return None;
            }
            connection.set_known_to_write_plainly(true);
        }
        debug_assert!(connection.writes_plainly());
        Some(connection)
    }

    /// The connection of `socket`, if its output would go the usual way but for a cap. The caller leaves that as it is.
    pub(crate) fn capped_writer(&mut self, socket: Handle) -> Option<&mut Connection> {
        let connection = self.slots.get_mut(socket.index())?;
        let capped = self.looks_at_writes || connection.max_buffered().is_some();
        if connection.handle == socket && capped && connection.is_ready_to_write() { Some(connection) } else { None }
    }

    /// Whether nobody had hold of this connection since it was read the usual way.
    #[inline]
    pub(crate) fn is_untouched(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(Connection::known_to_read_plainly)
    }
}

impl Connection {
    #[inline]
    fn known_to_read(&self, token: u64) -> bool {
        self.handle.is(token) && self.known_to_read_plainly()
    }

    #[inline]
    fn forget_what_is_usual(&mut self) {
        self.set_known_to_read_plainly(false);
        self.set_known_to_write_plainly(false);
    }
}

impl Index<usize> for Connections {
    type Output = Connection;

    fn index(&self, index: usize) -> &Connection {
        &self.slots[index]
    }
}

impl IndexMut<usize> for Connections {
    fn index_mut(&mut self, index: usize) -> &mut Connection {
        let connection = &mut self.slots[index];
        connection.forget_what_is_usual();
        connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `slab` makes of a slot: whether it is taken must be told within the bytes of the connection.
    #[allow(dead_code)]
    enum Slot {
        Vacant(usize),
        Occupied(Connection),
    }

    #[test]
    fn a_slot_is_as_large_as_its_connection() {
        assert_eq!(size_of::<Slot>(), size_of::<Connection>());
    }
}
