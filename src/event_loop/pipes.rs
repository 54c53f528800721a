//! What is known of the pipes that leave a socket: data only, the work is done by listeners on floor 4.
//!
//! This module touches nothing. Invariant: a pipe stands in its source's list from `pipe` until it is let go.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::event_loop::handles::Socket;
use crate::event_loop::listeners::ListenerId;

/// One pipe from a socket to another.
pub(crate) struct Pipe {
    pub(crate) destination: Socket,
    /// The destination's `write` returned false: its `drain` is awaited.
    pub(crate) awaits_drain: Cell<bool>,
    /// It was let go; its listeners are gone or going.
    pub(crate) over: Cell<bool>,
    /// The listeners it registered, with the socket each belongs to.
    pub(crate) listeners: RefCell<Vec<(Socket, ListenerId)>>,
    pub(crate) listens_to_drain: Cell<bool>,
}

impl Pipe {
    pub(crate) fn new(destination: Socket) -> Rc<Pipe> {
        Rc::new(Pipe {
            destination,
            awaits_drain: Cell::new(false),
            over: Cell::new(false),
            listeners: RefCell::default(),
            listens_to_drain: Cell::new(false),
        })
    }
}
