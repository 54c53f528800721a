//! The listener registry: who listens to what, in which order.
//!
//! A socket's or server's listeners are one immutable table, in the order of registration. An emission walks the table
//! as it was when it began: that is Node's snapshot rule (M1), for free. A change while the table is being walked copies
//! it first; a change in peace happens in place. Sockets that had the same listeners added in the same order share one
//! table ([`super::attachments`]): an idle connection of a server then owns nothing here but the boxes of what its
//! closures capture.
//!
//! This module touches nothing and calls nobody. Invariant: what is removed is handed back to the caller, who drops it
//! with nothing borrowed, because a drop may run user code.

use crate::event_loop::closures::{Captured, Code, DataListener, Stateless};
use crate::event_loop::events::{Event, SocketEvent};
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
    /// The number of the latest registration.
    pub(super) last_number: u64,
    pub(super) sole_data: SoleData,
    /// Whether somebody listens to text: what comes is to be decoded first, so that no listener is the only one.
    pub(super) wants_text: bool,
}

/// The one lasting listener to `data`, if there is one and nobody else listens: by far the most frequent emission then
/// needs no walk. With the number of its registration.
#[derive(Copy, Clone, Default)]
pub(crate) enum SoleData {
    #[default]
    None,
    Stateless(DataListener, u64),
    /// With captures: the entry at this position.
    Captured(usize, u64),
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
    Captured(Captured),
    /// The same in a table that sockets share: each has a closure of this kind, at this position among those of its own.
    Shared {
        code: &'static Code,
        position: usize,
    },
    /// One of the library's own, which has a place in the order but is not a listener: it is not counted and cannot be
    /// removed (rule L5).
    Internal {
        epoch: u32,
        internal: Internal,
    },
}

impl ListenerId {
    /// What a listener that was never registered gets: there is no loop. It names nothing.
    pub(crate) const NONE: ListenerId = ListenerId { owner: None, number: 0 };

    pub(super) fn new(owner: Handle, number: u64) -> ListenerId {
        ListenerId { owner: Some(owner), number }
    }

    /// The number, if it is one of `owner`'s.
    pub(crate) fn number_of(self, owner: Handle) -> Option<u64> {
        if self.owner == Some(owner) { Some(self.number) } else { None }
    }
}

impl Table {
    /// Adds a listener behind all others, a bystander before them.
    pub(super) fn append(&mut self, mut entry: Entry) {
        self.last_number += 1;
        entry.number = self.last_number;
        if entry.bystander {
            // Before the users' own, as Node's `pipe` has it.
            self.entries.insert(0, entry);
        } else {
            self.entries.push(entry);
        }
    }

    pub(super) fn find_sole_data(&mut self) {
        if self.wants_text {
            self.sole_data = SoleData::None;
            return;
        }
        let data = Event::Socket(SocketEvent::Data);
        let mut found = self.entries.iter().enumerate().filter(|(_, entry)| entry.event == data);
        self.sole_data = match (found.next(), found.next()) {
            (Some((position, Entry { once: false, number, action, .. })), None) => match action {
                Action::Stateless(stateless) => {
                    stateless.for_data().map_or(SoleData::None, |listener| SoleData::Stateless(listener, *number))
                }
                Action::Captured(_) | Action::Shared { .. } => SoleData::Captured(position, *number),
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
            Action::Stateless(_) | Action::Captured(_) | Action::Shared { .. } => false,
            Action::Internal { epoch, .. } => closing.is_some_and(|closing| closing != epoch),
        }
    }

    pub(super) fn is_users(&self) -> bool {
        match self.action {
            Action::Stateless(_) | Action::Captured(_) | Action::Shared { .. } => true,
            Action::Internal { .. } => false,
        }
    }
}
