//! Users' filters of connections: asked after accept(2), before anything is made of the connection.
//!
//! It may touch the reactor, for the setting that says that there is a filter. Invariant: a filter that runs is out of its
//! place, so setting or taking it away from within is safe; what is given up goes to the graves.

use std::net::SocketAddr;

use crate::event_loop::core::{Core, Grave};
use crate::event_loop::handles::Server;
use crate::reactor::Handle;
use crate::reactor::admission::Admission;

pub(crate) type Filter = Box<dyn FnMut(Server, Option<SocketAddr>) -> Admission>;

impl Core {
    /// Sets, or takes away, the filter of a server.
    pub(crate) fn set_filter(&mut self, server: Handle, filter: Option<Filter>) {
        let Some(settings) = self.reactor.settings_mut(server) else {
            self.graves.extend(filter.map(|filter| Grave::Filter { _filter: filter }));
            return;
        };
        settings.filters = filter.is_some();
        let key = server.generation().get();
        let old = match filter {
            Some(filter) => self.filters.insert(key, Some(filter)),
            None => self.filters.remove(&key),
        };
        self.graves.extend(old.flatten().map(|filter| Grave::Filter { _filter: filter }));
    }

    /// Takes the filter out while it runs.
    pub(super) fn borrow_filter(&mut self, server: Handle) -> Option<Filter> {
        self.filters.get_mut(&server.generation().get())?.take()
    }

    /// Puts it back, unless another one was set meanwhile, or it was taken away.
    pub(super) fn return_filter(&mut self, server: Handle, filter: Filter) {
        match self.filters.get_mut(&server.generation().get()) {
            Some(place) if place.is_none() => *place = Some(filter),
            Some(_) | None => self.graves.push(Grave::Filter { _filter: filter }),
        }
    }

    /// The server's slot was freed.
    pub(super) fn remove_filter(&mut self, server: Handle) {
        let filter = self.filters.remove(&server.generation().get());
        self.graves.extend(filter.flatten().map(|filter| Grave::Filter { _filter: filter }));
    }
}
