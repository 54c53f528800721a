//! A kernel in memory: a network of simulated hosts, in virtual time. Only with the feature `simulation`.
//!
//! | file | subject |
//! |---|---|
//! | `switch` | the types of `sys`, each the real one or the simulated one |
//! | `shared` | the kernel as endpoints hold it, and the current one of a thread |
//! | `kernel` | clock, descriptors, readiness, the wait |
//! | `socket` | what is known of one socket |
//! | `tcp`, `segments` | TCP: what calls do, and what arrivals do |
//! | `unix` | unix sockets |
//! | `network` | links, time under way, losses |
//! | `ports` | who is bound where |
//! | `names` | the resolver |
//! | `faults` | what goes wrong, by script and by chance |
//! | `random` | the generator of all chance |
//!
//! Linux is what is imitated, as far as a program that uses this crate can tell; the names of its functions are given where
//! a rule comes from one. It may touch the files of `sys` beside it, for their vocabulary and, in `switch`, for the real
//! thing. Invariant: with one seed a program runs the same, to the byte: nothing here reads a real clock, asks the real
//! system or depends on an address.

mod controls;
mod faults;
mod kernel;
mod names;
mod network;
mod ports;
mod random;
mod segments;
mod shared;
mod socket;
pub(crate) mod switch;
mod tcp;
mod unix;

#[cfg(test)]
mod tests;

pub use controls::Accounts;
pub use faults::{Call, Faults};
pub use network::Link;
pub(in crate::sys) use shared::current_tape;
pub(crate) use shared::{Entered, SharedKernel, Taping};
