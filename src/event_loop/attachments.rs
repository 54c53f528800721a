//! What users attached to each socket or server: listeners, and whatever else few of them have.
//!
//! By slot there are eight bytes: whose they are, and which table of listeners. A table is common where sockets had the
//! same lasting listeners added in the same order, by far the usual case; then each of them has only the closures that
//! capture something to itself, in the compact form of [`super::closures`]. Whatever else is done to a socket's listeners
//! gives it a table of its own, by slot too. The vectors of what few sockets have are as long as the last one that has it
//! needs, so where none has any they cost nothing.
//!
//! This module touches nothing and calls nobody. Invariants: what is removed is handed back to the caller, who drops it
//! with nothing borrowed, because a drop may run user code; a slot with a common table has as many closures as that table
//! shares, and one with a table of its own has none beside it.

use std::any::Any;
use std::rc::Rc;

use crate::event_loop::closures::{Captured, Closures, Codes, DataListener};
use crate::event_loop::events::Event;
use crate::event_loop::handles::Socket;
use crate::event_loop::listeners::{Action, Entry, ListenerId, SoleData, Table};
use crate::event_loop::pipes::Pipe;
use crate::reactor::Handle;
use crate::reactor::text_decoder::{Encoding, TextDecoder};

/// The attachments of all sockets, or of all servers, by slot.
#[derive(Default)]
pub(crate) struct Attachments {
    slots: Vec<Slot>,
    common: CommonTables,
    /// The tables of slots that have none of the common ones.
    own: Vec<Option<Rc<Table>>>,
    /// The closures with captures of slots that have a common table.
    closures: Vec<Closures>,
    extras: Vec<Option<Box<Extras>>>,
}

/// The generation of the slot's owner, and below it which of the common tables it has. Zero: nobody has the slot.
#[derive(Copy, Clone, PartialEq, Eq)]
struct Slot(u64);

/// The bytes of that: every idle connection has one.
const _: () = assert!(size_of::<Slot>() <= 8);

/// What an owner leaves behind when its slot is freed: to be dropped with nothing borrowed.
pub(crate) struct LeftBehind {
    _own: Option<Rc<Table>>,
    _closures: Closures,
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

/// The buffer that a user gave, and who is told what came into it.
pub(crate) struct OwnBuffer {
    pub(crate) buffer: Vec<u8>,
    /// Is given how many bytes came. False stops the reading.
    pub(crate) call: Box<OwnBufferCall>,
}

pub(crate) type OwnBufferCall = dyn FnMut(Socket, &mut Vec<u8>, usize) -> bool;

/// The one listener to `data`, and the number of its registration.
pub(crate) enum SoleListener {
    Stateless(DataListener, u64),
    Captured(Captured, u64),
}

/// The tables that many may share, as a tree: the empty one, and whatever was made of it.
struct CommonTables {
    tables: Vec<CommonTable>,
}

#[derive(Default)]
struct CommonTable {
    /// Of `table`; at hand where deliveries look for it.
    sole_data: SoleData,
    table: Rc<Table>,
    /// What the table's shared entries find in their sockets' closures.
    codes: Rc<Codes>,
    /// The tables with one listener more. A socket that adds it changes over to that table.
    longer: Vec<usize>,
}

/// Where the empty table is.
const EMPTY: usize = 0;

/// Instead of a common table: the slot has one of its own.
const OWN: usize = 1;

/// How many tables may be common. A program has a few kinds of sockets with a few listeners each; one that adds its
/// listeners in ever new orders gets a table for each socket, instead of a tree that grows for ever.
const MOST_COMMON_TABLES: usize = 256;

impl Default for CommonTables {
    fn default() -> CommonTables {
        // Nobody looks into the one in the place of `OWN`; that it has no listener sends every delivery to the own one.
        CommonTables { tables: vec![CommonTable::default(), CommonTable::default()] }
    }
}

impl CommonTables {
    /// The common table that has `entry` behind all of this one. None if it cannot be shared, or these are enough.
    fn longer(&mut self, index: usize, entry: &Entry) -> Option<usize> {
        if index == OWN || entry.once || entry.bystander {
            return None;
        }
        let CommonTable { table, codes, longer, .. } = self.tables.get(index)?;
        let known = longer.iter().copied().find(|&longer| {
            let last = self.tables.get(longer).and_then(|longer| longer.table.entries.last());
            last.is_some_and(|last| last.event == entry.event && is_same_kind(&last.action, &entry.action))
        });
        if known.is_some() {
            return known;
        }
        if self.tables.len() == MOST_COMMON_TABLES {
            return None;
        }
        let mut codes = Rc::clone(codes);
        let action = match &entry.action {
            Action::Stateless(stateless) => Action::Stateless(*stateless),
            Action::Captured(captured) => {
                // One for each event: an emission has to keep at most one closure alive.
                let taken = |other: &Entry| other.event == entry.event && matches!(other.action, Action::Shared { .. });
                if codes.is_full() || table.entries.iter().any(taken) {
                    return None;
                }
                let position = codes.len();
                codes = Rc::new(codes.with(captured.code()));
                Action::Shared { code: captured.code(), position }
            }
            Action::Shared { .. } | Action::Internal { .. } => return None,
        };
        let mut made = Table::clone(table);
        made.append(Entry { action, ..*entry });
        made.find_sole_data();
        let made = CommonTable { sole_data: made.sole_data, table: Rc::new(made), codes, longer: Vec::new() };
        let place = self.tables.len();
        self.tables.push(made);
        self.tables[index].longer.push(place);
        Some(place)
    }
}

/// Whether a socket that adds the second can have the table in which the first is.
fn is_same_kind(shared: &Action, added: &Action) -> bool {
    match (shared, added) {
        (Action::Stateless(shared), Action::Stateless(added)) => shared.is(*added),
        (Action::Shared { code, .. }, Action::Captured(added)) => code.is(added.code()),
        (Action::Stateless(_) | Action::Shared { .. } | Action::Captured(_) | Action::Internal { .. }, _) => false,
    }
}

impl Slot {
    const NOBODY: Slot = Slot(0);

    fn new(owner: Handle, table: usize) -> Slot {
        Slot(owner.with_index(table))
    }

    #[inline]
    fn is_of(self, owner: Handle) -> bool {
        owner.has_generation_of(self.0)
    }

    #[inline]
    fn table(self) -> usize {
        Handle::index_of(self.0)
    }
}

impl Attachments {
    /// A slot has a new owner; what the old one left behind is handed back.
    pub(crate) fn open(&mut self, owner: Handle) -> Option<LeftBehind> {
        let index = owner.index();
        if index >= self.slots.len() {
            self.slots.resize(index + 1, Slot::NOBODY);
        }
        let old = std::mem::replace(&mut self.slots[index], Slot::new(owner, EMPTY));
        if old == Slot::NOBODY { None } else { Some(self.take_rest(index)) }
    }

    /// The owner's slot was freed.
    pub(crate) fn close(&mut self, owner: Handle) -> Option<LeftBehind> {
        self.slot(owner)?;
        self.slots[owner.index()] = Slot::NOBODY;
        Some(self.take_rest(owner.index()))
    }

    fn take_rest(&mut self, index: usize) -> LeftBehind {
        LeftBehind {
            _own: self.own.get_mut(index).and_then(Option::take),
            _closures: self.closures.get_mut(index).map(std::mem::take).unwrap_or_default(),
            _extras: self.extras.get_mut(index).and_then(Option::take),
        }
    }

    #[inline]
    fn slot(&self, owner: Handle) -> Option<Slot> {
        let slot = *self.slots.get(owner.index())?;
        if slot.is_of(owner) { Some(slot) } else { None }
    }

    /// Whether the owner is there.
    pub(crate) fn has(&self, owner: Handle) -> bool {
        self.slot(owner).is_some()
    }

    /// The listeners as they are now, for one emission.
    pub(crate) fn table(&self, owner: Handle) -> Option<&Rc<Table>> {
        match self.slot(owner)?.table() {
            OWN => self.own.get(owner.index())?.as_ref(),
            common => self.common.tables.get(common).map(|common| &common.table),
        }
    }

    /// The closure that the listeners to `event` share in this table, if any of them does.
    pub(crate) fn shared_closure(&self, owner: Handle, table: &Table, event: Event) -> Option<Captured> {
        let closures = self.closures.get(owner.index())?;
        table.entries.iter().filter(|entry| entry.event == event).find_map(|entry| match entry.action {
            Action::Shared { position, .. } => closures.get(position),
            Action::Stateless(_) | Action::Captured(_) | Action::Internal { .. } => None,
        })
    }

    /// The only listener to `data`, if it has no captures, the table is common and nobody wants text; and its number.
    #[inline]
    pub(crate) fn sole_stateless(&self, owner: Handle) -> Option<(DataListener, u64)> {
        let slot = *self.slots.get(owner.index())?;
        debug_assert!(slot.is_of(owner));
        match self.common.tables.get(slot.table())?.sole_data {
            SoleData::Stateless(listener, number) => Some((listener, number)),
            SoleData::Captured(..) | SoleData::None => None,
        }
    }

    /// The only listener to `data` in any case, unless somebody wants text.
    pub(crate) fn sole_data(&self, owner: Handle) -> Option<SoleListener> {
        let table = self.table(owner)?;
        match table.sole_data {
            SoleData::None => None,
            SoleData::Stateless(listener, number) => Some(SoleListener::Stateless(listener, number)),
            SoleData::Captured(entry, number) => {
                let captured = match &table.entries.get(entry)?.action {
                    Action::Captured(captured) => captured.clone(),
                    Action::Shared { position, .. } => self.closures.get(owner.index())?.get(*position)?,
                    Action::Stateless(_) | Action::Internal { .. } => return None,
                };
                Some(SoleListener::Captured(captured, number))
            }
        }
    }

    /// The extras, if there are any.
    pub(crate) fn extras(&self, owner: Handle) -> Option<&Extras> {
        self.slot(owner)?;
        self.extras.get(owner.index())?.as_deref()
    }

    /// The same, to be changed.
    pub(crate) fn extras_if_any(&mut self, owner: Handle) -> Option<&mut Extras> {
        self.slot(owner)?;
        self.extras.get_mut(owner.index())?.as_deref_mut()
    }

    /// The extras, with room for them from now on; none when the owner is gone.
    pub(crate) fn extras_mut(&mut self, owner: Handle) -> Option<&mut Extras> {
        self.slot(owner)?;
        Some(place(&mut self.extras, owner.index()).get_or_insert_default())
    }

    /// Somebody listens to text from now on: UTF-8.
    pub(crate) fn want_text(&mut self, owner: Handle) {
        let Some(extras) = self.extras_mut(owner) else { return };
        if extras.text.is_none() {
            extras.text = Some(Box::new(TextDecoder::new(Encoding::Utf8)));
            self.change(owner, |table| table.wants_text = true);
        }
    }

    /// Adds a listener behind all others, a bystander before them. Hands it back when its owner is gone.
    pub(crate) fn add(&mut self, owner: Handle, entry: Entry) -> Result<ListenerId, Entry> {
        let Some(slot) = self.slot(owner) else { return Err(entry) };
        let entry = match self.common.longer(slot.table(), &entry) {
            Some(longer) => match self.change_over(owner, longer, entry) {
                Ok(number) => return Ok(ListenerId::new(owner, number)),
                Err(entry) => entry,
            },
            None => entry,
        };
        let number = self.change(owner, |table| {
            table.append(entry);
            table.last_number
        });
        Ok(number.map_or(ListenerId::NONE, |number| ListenerId::new(owner, number)))
    }

    /// Gives a socket the common table that has `entry` behind its own listeners. Returns the number.
    fn change_over(&mut self, owner: Handle, longer: usize, entry: Entry) -> Result<u64, Entry> {
        let Some(common) = self.common.tables.get(longer) else { return Err(entry) };
        if let Action::Captured(captured) = entry.action {
            if let Err(captured) = place(&mut self.closures, owner.index()).push(captured, &common.codes) {
                return Err(Entry { action: Action::Captured(captured), ..entry });
            }
        }
        self.slots[owner.index()] = Slot::new(owner, longer);
        Ok(common.table.last_number)
    }

    /// Changes the owner's table; a copy of it while it is walked or common.
    fn change<R>(&mut self, owner: Handle, change: impl FnOnce(&mut Table) -> R) -> Option<R> {
        let slot = self.slot(owner)?;
        if slot.table() != OWN {
            self.make_own(owner, slot.table());
        }
        let table = Rc::make_mut(self.own.get_mut(owner.index())?.as_mut()?);
        let result = change(table);
        table.find_sole_data();
        Some(result)
    }

    /// A table of the owner's own instead of a common one: its closures are in there then.
    fn make_own(&mut self, owner: Handle, common: usize) {
        let Some(common) = self.common.tables.get(common) else { return };
        let index = owner.index();
        let mut table = Table::clone(&common.table);
        if let Some(closures) = self.closures.get_mut(index) {
            let closures = std::mem::take(closures);
            for entry in &mut table.entries {
                if let Action::Shared { position, .. } = entry.action {
                    if let Some(captured) = closures.get(position) {
                        entry.action = Action::Captured(captured);
                    }
                }
            }
            // Each of them has an owner in the table by now, so that nothing is dropped here but their order.
        }
        *place(&mut self.own, index) = Some(Rc::new(table));
        self.slots[index] = Slot::new(owner, OWN);
    }

    /// Puts one registration in front of all others. False when there is none of this number.
    pub(crate) fn prepend(&mut self, owner: Handle, number: u64) -> bool {
        let Some(entry) = self.remove(owner, number) else { return false };
        self.change(owner, |table| table.entries.insert(0, entry)).is_some()
    }

    /// Takes one registration out and hands it back.
    pub(crate) fn remove(&mut self, owner: Handle, number: u64) -> Option<Entry> {
        let position = self.table(owner)?.entries.iter().position(|entry| entry.number == number)?;
        self.change(owner, |table| table.entries.remove(position))
    }

    /// Takes all of the user's listeners out, of one event or of every one. None when the owner is gone.
    pub(crate) fn remove_all(&mut self, owner: Handle, event: Option<Event>) -> Option<Vec<Entry>> {
        let taken = |entry: &Entry| entry.is_users() && event.is_none_or(|event| entry.event == event);
        if !self.table(owner)?.entries.iter().any(taken) {
            return Some(Vec::new());
        }
        self.change(owner, |table| {
            let (removed, kept) = std::mem::take(&mut table.entries).into_iter().partition(taken);
            table.entries = kept;
            removed
        })
    }

    pub(crate) fn count(&self, owner: Handle, event: Event) -> usize {
        let Some(table) = self.table(owner) else { return 0 };
        table.entries.iter().filter(|entry| entry.is_users() && entry.event == event).count()
    }

    /// Gives the memory of slots at the end back once nobody owns them, or has nothing there.
    pub(crate) fn shrink(&mut self) {
        shrink(&mut self.slots, |slot| *slot == Slot::NOBODY);
        shrink(&mut self.own, Option::is_none);
        shrink(&mut self.closures, Closures::is_empty);
        shrink(&mut self.extras, Option::is_none);
    }
}

/// The place of a slot, made if it is not there yet.
fn place<T: Default>(places: &mut Vec<T>, index: usize) -> &mut T {
    if index >= places.len() {
        places.resize_with(index + 1, T::default);
    }
    &mut places[index]
}

fn shrink<T>(places: &mut Vec<T>, is_empty: impl Fn(&T) -> bool) {
    // Bounded by the slots: each round drops one.
    while places.last().is_some_and(&is_empty) {
        places.pop();
    }
    if places.len() * 4 < places.capacity() {
        // A quarter: so that a count going up and down does not allocate each time.
        places.shrink_to(places.len() * 2);
    }
}
