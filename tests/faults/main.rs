//! Faults of the real world, on real sockets: what is missing (descriptors, memory, ports), what breaks (peers that reset,
//! vanish or stall), what interrupts (signals), what is inherited. The table of all faults is `README.md` beside this
//! file; `table.rs` holds it against the tests.
//!
//! May touch: the public API, std sockets, child processes, and the limits, signals and filters of this machine, so Linux
//! only, but for the table. Invariant: what is the whole process's (a limit, a signal, a fork) is changed in a process of its
//! own; what a machine does not have or allow is skipped with a line that says so.

#[cfg(target_os = "linux")]
#[path = "../support/kernel.rs"]
mod kernel;
#[path = "../support/mod.rs"]
mod support;

#[cfg(target_os = "linux")]
mod accepting;
#[cfg(target_os = "linux")]
mod addresses;
#[cfg(target_os = "linux")]
mod children;
#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(target_os = "linux")]
mod inherited;
#[cfg(target_os = "linux")]
mod injected;
#[cfg(target_os = "linux")]
mod resets;
#[cfg(target_os = "linux")]
mod signals;
mod table;
#[cfg(target_os = "linux")]
mod unix;
#[cfg(target_os = "linux")]
mod vanishing;
mod writes;
