//! stub
pub mod net;
pub mod timers;
mod error;
mod event_loop;
mod reactor;
mod sys;
pub use crate::error::Error;
pub use crate::event_loop::events::{ErrorSource, Unhandled};
pub use crate::event_loop::loop_handle::{KeepAlive, LoopHandle};
pub use crate::event_loop::{EventLoop, EventLoopOptions, Phase, Position, position, stop};
pub use crate::timers::*;
