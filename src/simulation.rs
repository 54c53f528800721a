//! A simulated network in virtual time, for tests of programs that use this crate. Only with the feature `simulation`.
//!
//! [`EventLoop::simulated`](crate::EventLoop::simulated) makes a loop on it; [`Simulation`] controls it: time, links, names,
//! hosts that fall silent, calls that fail. Every run is decided by its seed, so whatever goes wrong in one goes wrong in it
//! again.
//!
//! It may touch the event loop. Invariant: nothing of it is there without the feature.

pub use crate::event_loop::simulation::{Accounts, Call, Faults, Link, Simulation};
