//! Adding and removing listeners, and what the reader is told about it (rules F26, F27).
//!
//! It may touch the reactor. Invariant: what is removed goes to the graves.

use std::rc::Rc;

use crate::event_loop::attachments::Attachments;
use crate::event_loop::closures::Captured;
use crate::event_loop::core::{Core, Grave};
use crate::event_loop::events::{Event, SocketEvent};
use crate::event_loop::listeners::{Action, Entry, ListenerId, ListenerKind, Table};
use crate::reactor::Handle;

impl Core {
    /// Adds a listener; one whose owner is gone is buried.
    pub(crate) fn add_listener(
        &mut self,
        owner: Handle,
        event: Event,
        kind: ListenerKind,
        listener: Action,
    ) -> ListenerId {
        let added = self.attachments(event).add(owner, Entry::new(event, kind, listener));
        match added {
            Err(entry) => {
                self.graves.push(Grave::Entry { _entry: entry });
                ListenerId::NONE
            }
            Ok(id) => {
                if event == Event::Socket(SocketEvent::Data) {
                    let readable = self.readable_listeners(owner) > 0;
                    self.reactor.data_listener_added(owner, readable);
                } else if event == Event::Socket(SocketEvent::Readable) {
                    self.reactor.readable_listener_added(owner);
                }
                id
            }
        }
    }

    /// The listeners as they are now, for one emission (rule M1), and the closure that those to `event` find with their
    /// owner.
    pub(crate) fn snapshot(&mut self, owner: Handle, event: Event) -> Option<(Rc<Table>, Option<Captured>)> {
        let attachments = self.attachments(event);
        let table = Rc::clone(attachments.table(owner)?);
        let shared = attachments.shared_closure(owner, &table, event);
        Some((table, shared))
    }

    pub(crate) fn remove_listener(&mut self, owner: Handle, kind: Event, number: u64) -> Option<Entry> {
        let entry = self.attachments(kind).remove(owner, number)?;
        self.listeners_removed(owner, entry.event);
        Some(entry)
    }

    /// `off()`: true when the listener was there.
    pub(crate) fn off(&mut self, owner: Handle, kind: Event, id: ListenerId) -> bool {
        let removed = id.number_of(owner).and_then(|number| self.remove_listener(owner, kind, number));
        let any = removed.is_some();
        self.bury_entries(removed);
        any
    }

    pub(crate) fn remove_all_listeners(&mut self, owner: Handle, kind: Event, event: Option<Event>) {
        let Some(removed) = self.attachments(kind).remove_all(owner, event) else { return };
        // As in Node, the reader is told of `readable` listeners only: bytes for `data` listeners that are gone are lost
        // in either case (rule F27).
        if matches!(kind, Event::Socket(_)) && event.is_none_or(|event| event == Event::Socket(SocketEvent::Readable)) {
            self.reactor.readable_listener_removed(owner);
        }
        self.bury_entries(removed);
    }

    /// `prepend()`: true when the listener was there.
    pub(crate) fn prepend(&mut self, owner: Handle, kind: Event, id: ListenerId) -> bool {
        let Some(number) = id.number_of(owner) else { return false };
        self.attachments(kind).prepend(owner, number)
    }

    fn listeners_removed(&mut self, owner: Handle, event: Event) {
        if event == Event::Socket(SocketEvent::Data) {
            if self.listener_count(owner, event) == 0 {
                self.reactor.last_data_listener_removed(owner);
            }
        } else if event == Event::Socket(SocketEvent::Readable) {
            self.reactor.readable_listener_removed(owner);
        }
    }

    fn readable_listeners(&mut self, socket: Handle) -> usize {
        self.listener_count(socket, Event::Socket(SocketEvent::Readable))
    }

    pub(crate) fn update_readable_listening(&mut self, socket: Handle) {
        let any = self.readable_listeners(socket) > 0;
        self.reactor.update_readable_listening(socket, any);
    }

    pub(crate) fn listener_count(&mut self, owner: Handle, event: Event) -> usize {
        self.attachments(event).count(owner, event)
    }

    /// The tables of sockets or of servers.
    pub(crate) fn attachments(&mut self, event: Event) -> &mut Attachments {
        match event {
            Event::Socket(_) => &mut self.sockets,
            Event::Server(_) => &mut self.servers,
        }
    }
}
