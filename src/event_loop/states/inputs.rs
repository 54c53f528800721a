//! What can happen to a connection: commands of the program, and facts of the network and the clock.
//!
//! May touch the state that a connection shows to tests. Invariant: an input that is not offered in a state would only make
//! a count grow (a second cork, a second write that waits, a second chunk unread), or is none there (a peer that is gone
//! sends nothing).

use super::world::Situation;
use crate::reactor::snapshot::LinkKind;
use crate::sys::simulated::SharedKernel;

/// What a program does with the socket.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Command {
    /// Of a new socket.
    Connect,
    /// The same, from the `close` listener of an earlier connection.
    Reconnect,
    Write,
    /// More than the kernel takes while the peer does not read, and more than the high-water mark; the peer stops reading.
    WriteMuch,
    /// The kernel fails this one.
    WriteFails(Failure),
    End,
    EndData,
    Cork,
    Uncork,
    Pause,
    Resume,
    AddData,
    RemoveData,
    /// A byte that no peer sent.
    Unshift,
    SetTimeout,
    ClearTimeout,
    Destroy,
    DestroyWith,
    DestroySoon,
    ResetAndDestroy,
}

#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Failure {
    BrokenPipe,
    Reset,
}

impl Failure {
    pub(super) fn errno(self) -> i32 {
        match self {
            Failure::BrokenPipe => SharedKernel::BROKEN_PIPE,
            Failure::Reset => SharedKernel::CONNECTION_RESET,
        }
    }
}

/// What happens outside of the program.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Fact {
    /// The peer sends a chunk.
    Bytes,
    /// The peer ends its side.
    End,
    /// The peer resets the connection.
    Reset,
    /// The peer reads, and goes on reading: the kernel takes more.
    Reads,
    /// The same, and the kernel fails the write that goes on.
    ReadsAndFails(Failure),
    /// Nobody listens any more where the socket connects to.
    StopsListening,
    /// So much time that an idle timeout expires.
    TimePasses,
}

/// A listener of the socket.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Event {
    Connect,
    Data,
    End,
    Finish,
    Drain,
    Timeout,
    Error,
    Close,
    Pause,
    Resume,
}

#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Input {
    /// In a callback that has nothing to do with the socket.
    Command(Command),
    Fact(Fact),
    /// The loop turns once.
    Turn,
    /// The loop turns once, and the first listener for this event gives the command.
    In(Event, Command),
}

pub(super) const COMMANDS: [Command; 21] = [
    Command::Connect,
    Command::Reconnect,
    Command::Write,
    Command::WriteMuch,
    Command::WriteFails(Failure::BrokenPipe),
    Command::WriteFails(Failure::Reset),
    Command::End,
    Command::EndData,
    Command::Cork,
    Command::Uncork,
    Command::Pause,
    Command::Resume,
    Command::AddData,
    Command::RemoveData,
    Command::Unshift,
    Command::SetTimeout,
    Command::ClearTimeout,
    Command::Destroy,
    Command::DestroyWith,
    Command::DestroySoon,
    Command::ResetAndDestroy,
];

impl Command {
    /// Whether it is offered here. `within` is the listener that gives it.
    pub(super) fn is_offered(self, situation: &Situation, within: Option<Event>) -> bool {
        let Some(state) = &situation.snapshot else { return false };
        match self {
            Command::Connect => state.product.link == LinkKind::Detached && !state.product.destroyed,
            Command::Reconnect => within == Some(Event::Close) && situation.is_first(),
            Command::Write | Command::WriteFails(_) | Command::EndData => state.buffered == 0,
            Command::WriteMuch => !situation.stalled && state.writing.is_none() && state.buffered == 0,
            Command::End => state.end_callbacks == 0,
            Command::Cork => state.corked == 0,
            Command::Uncork => state.corked > 0,
            Command::AddData => !state.data_listening,
            Command::RemoveData => state.data_listening,
            Command::Unshift => state.incoming == 0,
            Command::SetTimeout => state.idle_timer != Some(true),
            Command::ClearTimeout => state.idle_timer.is_some(),
            // One of them may wait for the connection, or for `finish`; their order is the order of listeners.
            Command::DestroySoon | Command::ResetAndDestroy => !situation.is_to_be_destroyed(),
            Command::Pause | Command::Resume | Command::Destroy | Command::DestroyWith => true,
        }
    }
}

impl Fact {
    pub(super) fn is_offered(self, situation: &Situation) -> bool {
        let Some(state) = &situation.snapshot else { return false };
        match self {
            Fact::Bytes => situation.has_peer && !situation.peer_ended && situation.unread == 0 && state.incoming < 2,
            Fact::End => situation.has_peer && !situation.peer_ended,
            Fact::Reset => situation.has_peer,
            Fact::Reads => situation.stalled,
            Fact::ReadsAndFails(_) => situation.stalled && state.writing == Some(true),
            Fact::StopsListening => situation.listening && state.product.link != LinkKind::Open,
            Fact::TimePasses => state.idle_timer == Some(true),
        }
    }
}
