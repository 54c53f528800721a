//! The listener registry: who listens to what, in which order.
//!
//! A socket's or server's listeners are one immutable table, in the order of registration. An emission walks the table
//! as it was when it began: that is Node's snapshot rule (M1), for free. A change while the table is being walked copies
//! it first; a change in peace happens in place.
//!
//! This module touches nothing and calls nobody. Invariant: what is removed is handed back to the caller, who drops it
//! with nothing borrowed, because a drop may run user code.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::event_loop::events::{Arguments, Event, OwnedArguments, SocketEvent};
use crate::event_loop::handles::Socket;
use crate::event_loop::pipes::Pipe;
use crate::reactor::text_decoder::TextDecoder;
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
pub struct ListenerId(u64);

/// A subscribed closure.
pub(crate) struct Listener<F: ?Sized = dyn FnMut(&Arguments<'_>)> {
    /// Emissions that came while it was running; it is called with them right after it returns.
    missed: RefCell<VecDeque<OwnedArguments>>,
    /// Whether there are any: looked at after every call.
    has_missed: Cell<bool>,
    pub(crate) closure: RefCell<F>,
}

impl<F> Listener<F> {
    pub(crate) fn new(closure: F) -> Listener<F> {
        Listener { missed: RefCell::default(), has_missed: Cell::new(false), closure: RefCell::new(closure) }
    }
}

impl Listener {
    /// It is running: it is called with these arguments later.
    pub(crate) fn miss(&self, arguments: OwnedArguments) {
        self.missed.borrow_mut().push_back(arguments);
        self.has_missed.set(true);
    }

    /// What it missed first.
    #[inline]
    pub(crate) fn next_missed(&self) -> Option<OwnedArguments> {
        if self.has_missed.get() { self.take_missed() } else { None }
    }

    fn take_missed(&self) -> Option<OwnedArguments> {
        let mut missed = self.missed.borrow_mut();
        let first = missed.pop_front();
        self.has_missed.set(!missed.is_empty());
        first
    }
}

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
#[derive(Clone, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
    /// The one lasting listener to `data`, if there is one and nobody else listens: by far the most frequent emission then
    /// needs no walk.
    sole_data: Option<Rc<Listener>>,
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) event: Event,
    pub(crate) id: ListenerId,
    pub(crate) once: bool,
    /// Counted and removable like any other, but an `error` that only such listeners heard is an unhandled one: `pipe`
    /// listens in order to let go, not to handle.
    pub(crate) bystander: bool,
    pub(crate) action: Action,
}

#[derive(Clone)]
pub(crate) enum Action {
    User(Rc<Listener>),
    /// One of the library's own, which has a place in the order but is not a listener: it is not counted and cannot be
    /// removed (rule L5).
    Internal {
        epoch: u32,
        internal: Internal,
    },
}

/// What users attached to one slot of the reactor.
pub(crate) struct Attachment {
    owner: Option<Handle>,
    table: Rc<Table>,
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
    /// Shared by all that have no listeners.
    empty: Rc<Table>,
}

/// The next [`ListenerId`]s.
#[derive(Default)]
pub(crate) struct ListenerIds {
    last: u64,
}

impl ListenerId {
    /// What a listener that was never registered gets: there is no loop. It names nothing.
    pub(crate) const NONE: ListenerId = ListenerId(0);
}

impl ListenerIds {
    pub(crate) fn next(&mut self) -> ListenerId {
        self.last += 1;
        ListenerId(self.last)
    }
}

impl Attachments {
    /// A slot has a new owner; what the old one left behind is handed back.
    pub(crate) fn open(&mut self, owner: Handle) -> Option<Attachment> {
        let index = owner.index();
        if index >= self.slots.len() {
            let empty = &self.empty;
            self.slots.resize_with(index + 1, || Attachment::new(None, empty.clone()));
        }
        let table = self.empty.clone();
        let old = std::mem::replace(&mut self.slots[index], Attachment::new(Some(owner), table));
        old.owner.is_some().then_some(old)
    }

    /// The owner's slot was freed.
    pub(crate) fn close(&mut self, owner: Handle) -> Option<Attachment> {
        let empty = self.empty.clone();
        let slot = self.get_mut(owner)?;
        Some(std::mem::replace(slot, Attachment::new(None, empty)))
    }

    pub(crate) fn get(&self, owner: Handle) -> Option<&Attachment> {
        self.slots.get(owner.index()).filter(|slot| slot.owner == Some(owner))
    }

    pub(crate) fn get_mut(&mut self, owner: Handle) -> Option<&mut Attachment> {
        self.slots.get_mut(owner.index()).filter(|slot| slot.owner == Some(owner))
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
    }
}

impl Attachment {
    fn new(owner: Option<Handle>, table: Rc<Table>) -> Attachment {
        Attachment { owner, table, data: None, own_buffer: None, text: None, pipes: Vec::new() }
    }

    /// The table as it is now, for one emission.
    pub(crate) fn table(&self) -> &Rc<Table> {
        &self.table
    }

    pub(crate) fn add(&mut self, entry: Entry) {
        self.change(|entries| {
            if entry.bystander {
                // Before the users' own, as Node's `pipe` has it.
                entries.insert(0, entry);
            } else {
                entries.push(entry);
            }
        });
    }

    /// Changes the table, or a copy of it while it is walked.
    fn change<R>(&mut self, change: impl FnOnce(&mut Vec<Entry>) -> R) -> R {
        let table = Rc::make_mut(&mut self.table);
        let result = change(&mut table.entries);
        table.find_sole_data();
        result
    }

    /// The only listener to `data`, unless it wants text.
    #[inline]
    pub(crate) fn sole_data_listener(&self) -> Option<&Rc<Listener>> {
        if self.text.is_none() { self.table.sole_data.as_ref() } else { None }
    }

    /// Puts one registration in front of all others. False when there is none of this name.
    pub(crate) fn prepend(&mut self, id: ListenerId) -> bool {
        let Some(entry) = self.remove(id) else { return false };
        self.change(|entries| entries.insert(0, entry));
        true
    }

    /// Takes one registration out and hands it back.
    pub(crate) fn remove(&mut self, id: ListenerId) -> Option<Entry> {
        let position = self.table.entries.iter().position(|entry| entry.id == id)?;
        Some(self.change(|entries| entries.remove(position)))
    }

    /// Takes all of the user's listeners out, of one event or of every one.
    pub(crate) fn remove_all(&mut self, event: Option<Event>) -> Vec<Entry> {
        let taken = |entry: &Entry| entry.is_users() && event.is_none_or(|event| entry.event == event);
        if !self.table.entries.iter().any(taken) {
            return Vec::new();
        }
        self.change(|entries| {
            let (removed, kept) = std::mem::take(entries).into_iter().partition(taken);
            *entries = kept;
            removed
        })
    }

    pub(crate) fn count(&self, event: Event) -> usize {
        self.table.entries.iter().filter(|entry| entry.is_users() && entry.event == event).count()
    }
}

impl Table {
    fn find_sole_data(&mut self) {
        let data = Event::Socket(SocketEvent::Data);
        let mut found = self.entries.iter().filter(|entry| entry.event == data);
        self.sole_data = match (found.next(), found.next()) {
            (Some(Entry { once: false, action: Action::User(listener), .. }), None) => Some(Rc::clone(listener)),
            (Some(_), _) | (None, _) => None,
        };
    }
}

impl Entry {
    /// An internal listener of a connection that is not the one now closing.
    pub(crate) fn waits_for_later_close(&self, closing: Option<u32>) -> bool {
        match self.action {
            Action::User(_) => false,
            Action::Internal { epoch, .. } => closing.is_some_and(|closing| closing != epoch),
        }
    }

    fn is_users(&self) -> bool {
        match self.action {
            Action::User(_) => true,
            Action::Internal { .. } => false,
        }
    }
}
