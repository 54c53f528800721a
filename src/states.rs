//! The states of a connection: what leads from which to which, as a test found it that goes through all of them.
//!
//! This module is documentation only; the test is `event_loop/states`, and holds the page against what it finds.
//!
#![doc = include_str!("states.md")]
