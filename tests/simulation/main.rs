//! The simulated kernel: programs run on it unchanged, in virtual time, and every run is its seed's.
//!
//! May touch: the public API on simulated loops, and on real ones where the two are compared.

#[path = "../support/mod.rs"]
mod support;

mod both;
mod conversation;
mod faults;
mod hosts;
mod limits;
mod recording;
mod script;
mod seeds;
mod stats;
mod time;
