//! What the integration tests share: a deadline for every test, a log of events that renders in the notation of the
//! ordering rules, a pair of connected sockets, peers that are no part of the library, and a few measures of the process.
//!
//! May touch: the public API of the crate, std, socket2 and libc. Invariants: nothing here waits without a deadline,
//! every port is ephemeral and on the loopback interface.

// Every test file is a crate of its own and uses another part of this.
#![allow(dead_code, unused_imports)]

mod deadline;
mod kept;
mod log;
mod pair;
mod process;
pub mod random;
mod raw;
mod watch;

pub use deadline::{DEADLINE, busy, test, within};
pub use kept::kept;
pub use log::Log;
pub use pair::{Stage, assert_one_more_is_let_in, in_a_loop, loopback, pair, port_of};
pub use process::{NodeProgram, node, open_descriptors, raise_descriptor_limit};
pub use random::Random;
pub use raw::{PEER_DEADLINE, RawListener, RawPeer, RawThread, in_thread, local_port, panic_text, refusing_port};
pub use watch::{
    callback, describe, outcome, server_callback, watch_data, watch_data_bytes, watch_data_length, watch_server,
    watch_socket,
};
