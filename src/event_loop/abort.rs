//! Abort signals: one call that destroys sockets and closes servers, wherever they are.
//!
//! It may touch the reactor's commands. Invariant: aborting is a command like any other: it enters no user code, it only
//! queues what `destroy` and `close` queue.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::error::Error;
use crate::event_loop::current;
use crate::reactor::Handle;

/// Below so many registrations nobody looks for those that are over.
const FEW: usize = 16;

/// Aborts what its [`signal`](AbortController::signal) was given to. Mirrors [`class AbortController`].
///
/// A controller belongs to its thread. It needs no event loop; what it reaches does. Clones are the same controller.
///
/// ```
/// use halfclose::{EventLoop, net, net::AbortController, net::ConnectOptions};
///
/// let mut event_loop = EventLoop::new()?;
/// let controller = AbortController::new();
/// let options = ConnectOptions::new().host("127.0.0.1").port(1).signal(&controller.signal());
/// let socket = net::connect(options)?;
/// socket.on_error(|_, error| assert_eq!(error.code(), Some("ABORT_ERR")));
/// controller.abort();
/// assert!(socket.destroyed());
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`class AbortController`]: https://nodejs.org/api/globals.html#class-abortcontroller
#[derive(Clone, Default, Debug)]
pub struct AbortController {
    signal: AbortSignal,
}

/// What an [`AbortController`] aborts through: for [`SocketOptions::signal`](crate::net::SocketOptions::signal),
/// [`ConnectOptions::signal`](crate::net::ConnectOptions::signal) and
/// [`ListenOptions::signal`](crate::net::ListenOptions::signal). Clones are the same signal. Mirrors
/// [`class AbortSignal`]; its `abort` event, `throwIfAborted` and static members are not here.
///
/// ```
/// use halfclose::net::{AbortController, AbortSignal};
///
/// let controller = AbortController::new();
/// let signal: AbortSignal = controller.signal();
/// controller.abort();
/// assert!(signal.aborted());
/// ```
///
/// [`class AbortSignal`]: https://nodejs.org/api/globals.html#class-abortsignal
#[derive(Clone, Default)]
pub struct AbortSignal {
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    reason: Option<Error>,
    targets: Vec<Target>,
    /// At so many registrations, those that are over are dropped.
    limit: usize,
}

#[derive(Copy, Clone)]
enum Target {
    Socket(Handle),
    Server(Handle),
}

impl AbortController {
    /// A controller that has not aborted. Mirrors the constructor of [`class AbortController`].
    ///
    /// ```
    /// use halfclose::net::AbortController;
    ///
    /// assert!(!AbortController::new().signal().aborted());
    /// ```
    ///
    /// [`class AbortController`]: https://nodejs.org/api/globals.html#class-abortcontroller
    pub fn new() -> AbortController {
        AbortController::default()
    }

    /// Its signal, each time the same. Mirrors [`abortController.signal`].
    ///
    /// ```
    /// use halfclose::net::AbortController;
    ///
    /// let controller = AbortController::new();
    /// let signal = controller.signal();
    /// controller.abort();
    /// assert!(signal.aborted() && controller.signal().aborted());
    /// ```
    ///
    /// [`abortController.signal`]: https://nodejs.org/api/globals.html#abortcontrollersignal
    pub fn signal(&self) -> AbortSignal {
        self.signal.clone()
    }

    /// Destroys the sockets and closes the servers that have the signal, within the call and in the order in which they
    /// got it. A socket's `error` (`ABORT_ERR`) follows in a tick, its `close` after that; a server's `close` as after
    /// [`Server::close`](crate::net::Server::close). A second call does nothing. Mirrors [`abortController.abort()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::AbortController, net::ListenOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let controller = AbortController::new();
    /// let server = net::create_server(|_| {}).listen(ListenOptions::new().signal(&controller.signal()))?;
    /// controller.abort();
    /// assert!(!server.listening());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`abortController.abort()`]: https://nodejs.org/api/globals.html#abortcontrollerabortreason
    pub fn abort(&self) {
        self.abort_with(Error::abort_reason());
    }

    /// [`abort`](AbortController::abort) with a reason, which becomes the `source()` of the errors. Mirrors
    /// [`abortController.abort(reason)`].
    ///
    /// ```
    /// use std::error::Error;
    /// use halfclose::{EventLoop, net::AbortController, net::Socket, net::SocketOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let controller = AbortController::new();
    /// let socket = Socket::with_options(SocketOptions::new().signal(&controller.signal()));
    /// socket.on_error(|_, error| assert_eq!(error.source().unwrap().to_string(), "it took too long"));
    /// controller.abort_with("it took too long");
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`abortController.abort(reason)`]: https://nodejs.org/api/globals.html#abortcontrollerabortreason
    pub fn abort_with(&self, reason: impl Into<Error>) {
        let reason = reason.into();
        if self.signal.aborted() {
            return;
        }
        let targets = {
            let mut state = self.signal.state.borrow_mut();
            state.reason = Some(reason.clone());
            std::mem::take(&mut state.targets)
        };
        for target in targets {
            target.abort(&reason);
        }
    }
}

impl AbortSignal {
    /// Whether it was aborted. Mirrors [`abortSignal.aborted`].
    ///
    /// ```
    /// use halfclose::net::AbortController;
    ///
    /// let controller = AbortController::new();
    /// assert!(!controller.signal().aborted());
    /// controller.abort();
    /// assert!(controller.signal().aborted());
    /// ```
    ///
    /// [`abortSignal.aborted`]: https://nodejs.org/api/globals.html#abortsignalaborted
    pub fn aborted(&self) -> bool {
        self.state.borrow().reason.is_some()
    }

    /// Why it was aborted: what [`abort_with`](AbortController::abort_with) was given, else an error with the code
    /// `ABORT_ERR`; `None` while it is not aborted. Mirrors [`abortSignal.reason`].
    ///
    /// ```
    /// use halfclose::net::AbortController;
    ///
    /// let controller = AbortController::new();
    /// assert!(controller.signal().reason().is_none());
    /// controller.abort_with("it took too long");
    /// assert_eq!(controller.signal().reason().unwrap().message(), "it took too long");
    /// ```
    ///
    /// [`abortSignal.reason`]: https://nodejs.org/api/globals.html#abortsignalreason
    pub fn reason(&self) -> Option<Error> {
        self.state.borrow().reason.clone()
    }

    /// A new socket has this signal. When it is aborted already the socket is destroyed here.
    pub(crate) fn attach_socket(&self, socket: Handle) {
        current::with(|core| core.reactor.set_abortable(socket));
        self.attach(Target::Socket(socket));
    }

    /// A server is about to listen with this signal. When it is aborted already the server closes in the next tick
    /// (rule S15).
    pub(crate) fn attach_server(&self, server: Handle) {
        if self.aborted() {
            current::with(|core| core.reactor.abort_server_later(server));
            return;
        }
        current::with(|core| core.reactor.set_server_abortable(server, true));
        self.attach(Target::Server(server));
    }

    fn attach(&self, target: Target) {
        let reason = self.reason();
        if let Some(reason) = reason {
            target.abort(&reason);
            return;
        }
        let mut state = self.state.borrow_mut();
        if state.targets.len() >= state.limit.max(FEW) {
            state.targets.retain(|target| target.is_waiting());
            // So that each look is paid for by as many registrations.
            state.limit = state.targets.len() * 2;
        }
        state.targets.push(target);
    }
}

impl Target {
    fn abort(self, reason: &Error) {
        let error = Error::aborted(reason.clone());
        current::with(|core| match self {
            Target::Socket(socket) => core.abort_socket(socket, error),
            Target::Server(server) => core.reactor.abort_server(server),
        });
    }

    fn is_waiting(self) -> bool {
        let waiting = current::with(|core| match self {
            Target::Socket(socket) => core.reactor.is_abortable(socket),
            Target::Server(server) => core.reactor.is_server_abortable(server),
        });
        waiting.unwrap_or(false)
    }
}

impl fmt::Debug for AbortSignal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AbortSignal").field("aborted", &self.aborted()).finish_non_exhaustive()
    }
}
