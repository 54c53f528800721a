//! The listener registry: who listens to what, in which order.
//!
//! A socket's or server's listeners are one immutable table, in the order of registration. An emission walks the table
//! as it was when it began: that is Node's snapshot rule (M1), for free. A change while the table is being walked copies
//! it first; a change in peace happens in place. Sockets that have the same listeners without captures, added in the same
//! order, share one table: an idle connection of a server then owns nothing here.
//!
//! This module touches nothing and calls nobody. Invariant: what is removed is handed back to the caller, who drops it
//! with nothing borrowed, because a drop may run user code.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use crate::event_loop::events::{Arguments, Event, SocketEvent};
use crate::event_loop::handles::Socket;
use crate::event_loop::pipes::Pipe;
use crate::event_loop::stateless::{DataListener, Stateless};
use crate::reactor::text_decoder::{Encoding, TextDecoder};
use crate::reactor::{Handle, Internal};

/// Names one registration: what `on_…` and `once_…` return, for `off` and `prepend`. Not in Node, where the function
/// itself is the name.
///
/// Unique within its event loop; another socket's id removes nothing.
///
/// ```
/// use halfclose::{EventLoop, net::ListenerId, net::Socket};
///
/// let event_loop = EventLoop::new()?;
/// let socket = Socket::new();
/// let listener: ListenerId = socket.on_connect(|_| unreachable!("it was removed"));
/// assert!(!Socket::new().off(listener));
/// assert!(socket.off(listener));
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct ListenerId {
    owner: Option<Handle>,
    /// Counts the registrations of the owner.
    number: u64,
}

/// A subscribed closure with captures. It is borrowed while it runs.
pub(crate) type Listener<F = dyn FnMut(&Arguments<'_>)> = RefCell<F>;

/// The buffer that a user gave, and who is told what came into it.
pub(crate) struct OwnBuffer {
    pub(crate) buffer: Vec<u8>,
    /// Is given how many bytes came. False stops the reading.
    pub(crate) call: Box<OwnBufferCall>,
}

pub(crate) type OwnBufferCall = dyn FnMut(Socket, &mut Vec<u8>, usize) -> bool;

/// How a listener takes part.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum ListenerKind {
    Lasting,
    /// Removed before it is called.
    Once,
    /// See [`Entry::bystander`].
    Bystander,
}

/// All listeners of one socket or server.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
    /// The number of the latest registration.
    last_number: u64,
    sole_data: SoleData,
    /// Whether somebody listens to text: what comes is to be decoded first, so that no listener is the only one.
    wants_text: bool,
    /// Whether other sockets may have this very table: it was made by adding lasting listeners without captures one
    /// after the other to the empty one.
    is_common: bool,
    /// The common tables with one listener more. A socket that adds it changes over to that table.
    longer: RefCell<Vec<Rc<Table>>>,
}

/// The one lasting listener to `data`, if there is one and nobody else listens: by far the most frequent emission then
/// needs no walk. With the number of its registration.
#[derive(Clone, Default)]
enum SoleData {
    #[default]
    None,
    Stateless(DataListener, u64),
    Captured(Rc<Listener>, u64),
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) event: Event,
    /// The entry's part of its [`ListenerId`].
    pub(crate) number: u64,
    pub(crate) once: bool,
    /// Counted and removable like any other, but an `error` that only such listeners heard is an unhandled one: `pipe`
    /// listens in order to let go, not to handle.
    pub(crate) bystander: bool,
    pub(crate) action: Action,
}

#[derive(Clone)]
pub(crate) enum Action {
    Stateless(Stateless),
    Captured(Rc<Listener>),
    /// One of the library's own, which has a place in the order but is not a listener: it is not counted and cannot be
    /// removed (rule L5).
    Internal {
        epoch: u32,
        internal: Internal,
    },
}

/// The listeners of one slot of the reactor.
pub(crate) struct Attachment {
    owner: Option<Handle>,
    table: Rc<Table>,
}

/// The bytes of that: every idle connection has one.
const _: () = assert!(size_of::<Attachment>() <= 16);

/// What an owner leaves behind when its slot is freed: to be dropped with nothing borrowed.
pub(crate) struct LeftBehind {
    _attachment: Attachment,
    _extras: Option<Box<Extras>>,
}

/// What users can attach to a socket besides listeners.
#[derive(Default)]
pub(crate) struct Extras {
    /// `set_data`: `None` as well while a `with_data` closure has it.
    pub(crate) data: Option<Box<dyn Any>>,
    /// `onread`; `None` as well while it runs.
    pub(crate) own_buffer: Option<Box<OwnBuffer>>,
    /// Somebody listens to text: what decodes it while no encoding is set, which leaves the bytes as they are.
    pub(crate) text: Option<Box<TextDecoder>>,
    /// The pipes that leave this socket, first one first.
    pub(crate) pipes: Vec<Rc<Pipe>>,
}

/// The attachments of all sockets, or of all servers, by slot.
#[derive(Default)]
pub(crate) struct Attachments {
    slots: Vec<Attachment>,
    /// What few sockets have, by slot as well: as long as the last of them needs. Where none has any it costs nothing.
    extras: Vec<Option<Box<Extras>>>,
    common: CommonTables,
}

/// The tables that many may share, as a tree: the empty one, and whatever was made of it.
struct CommonTables {
    empty: Rc<Table>,
    count: usize,
}

/// How many tables may be common. A program has a few kinds of sockets with a few listeners each; one that adds its
/// listeners in ever new orders gets a table for each socket, instead of a tree that grows for ever.
const MOST_COMMON_TABLES: usize = 256;

impl Default for CommonTables {
    fn default() -> CommonTables {
        CommonTables { empty: Rc::new(Table { is_common: true, ..Table::default() }), count: 1 }
    }
}

impl CommonTables {
    /// The common table that has `entry` behind all of `table`. None if that table is not common, or these are enough.
    fn longer(&mut self, table: &Table, entry: &Entry) -> Option<Rc<Table>> {
        let Action::Stateless(stateless) = entry.action else { return None };
        if !table.is_common || entry.once || entry.bystander {
            return None;
        }
        let mut longer = table.longer.borrow_mut();
        let known = longer.iter().find(|longer| match longer.entries.last() {
            Some(Entry { event, action: Action::Stateless(last), .. }) => *event == entry.event && last.is(stateless),
            Some(_) | None => false,
        });
        if let Some(known) = known {
            return Some(Rc::clone(known));
        }
        if self.count == MOST_COMMON_TABLES {
            return None;
        }
        self.count += 1;
        let mut made = Table { is_common: true, ..table.clone() };
        made.append(entry.clone());
        made.find_sole_data();
        let made = Rc::new(made);
        longer.push(Rc::clone(&made));
        Some(made)
    }
}

impl ListenerId {
    /// What a listener that was never registered gets: there is no loop. It names nothing.
    pub(crate) const NONE: ListenerId = ListenerId { owner: None, number: 0 };

    /// The number, if it is one of `owner`'s.
    pub(crate) fn number_of(self, owner: Handle) -> Option<u64> {
        if self.owner == Some(owner) { Some(self.number) } else { None }
    }
}

impl Attachments {
    /// A slot has a new owner; what the old one left behind is handed back.
    pub(crate) fn open(&mut self, owner: Handle) -> Option<LeftBehind> {
        let index = owner.index();
        let empty = &self.common.empty;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || Attachment { owner: None, table: Rc::clone(empty) });
        }
        let new = Attachment { owner: Some(owner), table: Rc::clone(empty) };
        let old = std::mem::replace(&mut self.slots[index], new);
        if old.owner.is_some() { Some(LeftBehind { _attachment: old, _extras: self.take_extras(index) }) } else { None }
    }

    /// The owner's slot was freed.
    pub(crate) fn close(&mut self, owner: Handle) -> Option<LeftBehind> {
        let empty = Attachment { owner: None, table: Rc::clone(&self.common.empty) };
        let old = std::mem::replace(self.get_mut(owner)?, empty);
        Some(LeftBehind { _attachment: old, _extras: self.take_extras(owner.index()) })
    }

    fn take_extras(&mut self, index: usize) -> Option<Box<Extras>> {
        self.extras.get_mut(index)?.take()
    }

    #[inline]
    pub(crate) fn get(&self, owner: Handle) -> Option<&Attachment> {
        let slot = self.slots.get(owner.index())?;
        if slot.owner == Some(owner) { Some(slot) } else { None }
    }

    pub(crate) fn get_mut(&mut self, owner: Handle) -> Option<&mut Attachment> {
        self.slots.get_mut(owner.index()).filter(|slot| slot.owner == Some(owner))
    }

    /// The extras, if there are any.
    pub(crate) fn extras(&self, owner: Handle) -> Option<&Extras> {
        self.get(owner)?;
        self.extras.get(owner.index())?.as_deref()
    }

    /// The same, to be changed.
    pub(crate) fn extras_if_any(&mut self, owner: Handle) -> Option<&mut Extras> {
        self.get(owner)?;
        self.extras.get_mut(owner.index())?.as_deref_mut()
    }

    /// The extras, with room for them from now on; none when the owner is gone.
    pub(crate) fn extras_mut(&mut self, owner: Handle) -> Option<&mut Extras> {
        self.get(owner)?;
        let index = owner.index();
        if index >= self.extras.len() {
            self.extras.resize_with(index + 1, || None);
        }
        Some(self.extras[index].get_or_insert_default())
    }

    /// Somebody listens to text from now on: UTF-8.
    pub(crate) fn want_text(&mut self, owner: Handle) {
        let Some(extras) = self.extras_mut(owner) else { return };
        if extras.text.is_none() {
            extras.text = Some(Box::new(TextDecoder::new(Encoding::Utf8)));
            if let Some(attachment) = self.get_mut(owner) {
                attachment.change(|table| table.wants_text = true);
            }
        }
    }

    /// Adds a listener behind all others, a bystander before them. Hands it back when its owner is gone.
    pub(crate) fn add(&mut self, owner: Handle, entry: Entry) -> Result<ListenerId, Entry> {
        let slot = self.slots.get_mut(owner.index()).filter(|slot| slot.owner == Some(owner));
        let Some(slot) = slot else { return Err(entry) };
        match self.common.longer(&slot.table, &entry) {
            Some(longer) => slot.table = longer,
            None => slot.change(|table| table.append(entry)),
        }
        Ok(ListenerId { owner: Some(owner), number: slot.table.last_number })
    }

    /// Gives the memory of slots at the end back once nobody owns them.
    pub(crate) fn shrink(&mut self) {
        // Bounded by the slots: each round drops one.
        while self.slots.last().is_some_and(|slot| slot.owner.is_none()) {
            self.slots.pop();
        }
        if self.slots.len() * 4 < self.slots.capacity() {
            // A quarter: so that a count going up and down does not allocate each time.
            self.slots.shrink_to(self.slots.len() * 2);
        }
        // Bounded by the slots, too.
        while matches!(self.extras.last(), Some(None)) {
            self.extras.pop();
        }
        if self.extras.len() * 4 < self.extras.capacity() {
            self.extras.shrink_to(self.extras.len() * 2);
        }
    }
}

impl Attachment {
    /// The table as it is now, for one emission.
    pub(crate) fn table(&self) -> &Rc<Table> {
        &self.table
    }

    /// Changes the table, or a copy of it while it is walked or common.
    fn change<R>(&mut self, change: impl FnOnce(&mut Table) -> R) -> R {
        let table = Rc::make_mut(&mut self.table);
        table.is_common = false;
        let result = change(table);
        table.find_sole_data();
        result
    }

    /// The only listener to `data`, if it has no captures and nobody wants text, and its number.
    #[inline]
    pub(crate) fn sole_stateless(&self) -> Option<(DataListener, u64)> {
        match self.table.sole_data {
            SoleData::Stateless(listener, number) => Some((listener, number)),
            SoleData::Captured(..) | SoleData::None => None,
        }
    }

    /// The same for one with captures.
    pub(crate) fn sole_captured(&self) -> Option<(Rc<Listener>, u64)> {
        match &self.table.sole_data {
            SoleData::Captured(listener, number) => Some((Rc::clone(listener), *number)),
            SoleData::Stateless(..) | SoleData::None => None,
        }
    }

    /// Puts one registration in front of all others. False when there is none of this number.
    pub(crate) fn prepend(&mut self, number: u64) -> bool {
        let Some(entry) = self.remove(number) else { return false };
        self.change(|table| table.entries.insert(0, entry));
        true
    }

    /// Takes one registration out and hands it back.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Entry> {
        let position = self.table.entries.iter().position(|entry| entry.number == number)?;
        Some(self.change(|table| table.entries.remove(position)))
    }

    /// Takes all of the user's listeners out, of one event or of every one.
    pub(crate) fn remove_all(&mut self, event: Option<Event>) -> Vec<Entry> {
        let taken = |entry: &Entry| entry.is_users() && event.is_none_or(|event| entry.event == event);
        if !self.table.entries.iter().any(taken) {
            return Vec::new();
        }
        self.change(|table| {
            let (removed, kept) = std::mem::take(&mut table.entries).into_iter().partition(taken);
            table.entries = kept;
            removed
        })
    }

    pub(crate) fn count(&self, event: Event) -> usize {
        self.table.entries.iter().filter(|entry| entry.is_users() && entry.event == event).count()
    }
}

impl Clone for Table {
    /// A table of its own.
    fn clone(&self) -> Table {
        Table {
            entries: self.entries.clone(),
            last_number: self.last_number,
            sole_data: self.sole_data.clone(),
            wants_text: self.wants_text,
            is_common: false,
            longer: RefCell::default(),
        }
    }
}

impl Table {
    fn append(&mut self, mut entry: Entry) {
        self.last_number += 1;
        entry.number = self.last_number;
        if entry.bystander {
            // Before the users' own, as Node's `pipe` has it.
            self.entries.insert(0, entry);
        } else {
            self.entries.push(entry);
        }
    }

    fn find_sole_data(&mut self) {
        if self.wants_text {
            self.sole_data = SoleData::None;
            return;
        }
        let data = Event::Socket(SocketEvent::Data);
        let mut found = self.entries.iter().filter(|entry| entry.event == data);
        self.sole_data = match (found.next(), found.next()) {
            (Some(Entry { once: false, number, action, .. }), None) => match action {
                Action::Stateless(stateless) => {
                    stateless.for_data().map_or(SoleData::None, |listener| SoleData::Stateless(listener, *number))
                }
                Action::Captured(listener) => SoleData::Captured(Rc::clone(listener), *number),
                Action::Internal { .. } => SoleData::None,
            },
            (Some(_), _) | (None, _) => SoleData::None,
        };
    }
}

impl Entry {
    /// A registration to be added; it gets its number then.
    pub(crate) fn new(event: Event, kind: ListenerKind, action: Action) -> Entry {
        let (once, bystander) = match kind {
            ListenerKind::Lasting => (false, false),
            ListenerKind::Once => (true, false),
            ListenerKind::Bystander => (false, true),
        };
        Entry { event, number: 0, once, bystander, action }
    }

    /// An internal listener of a connection that is not the one now closing.
    pub(crate) fn waits_for_later_close(&self, closing: Option<u32>) -> bool {
        match self.action {
            Action::Stateless(_) | Action::Captured(_) => false,
            Action::Internal { epoch, .. } => closing.is_some_and(|closing| closing != epoch),
        }
    }

    fn is_users(&self) -> bool {
        match self.action {
            Action::Stateless(_) | Action::Captured(_) => true,
            Action::Internal { .. } => false,
        }
    }
}
