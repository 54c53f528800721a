//! What can be set on a [`Socket`]: the idle timeout, the options of its descriptor, and whether it keeps the loop alive.
//!
//! It may touch the event loop's commands. Invariant: what is set before there is a connection is remembered for it.

use std::time::Duration;

use crate::error::Error;
use crate::event_loop::current;
use crate::net::{KeepAliveOptions, Socket};

/// Options.
impl Socket {
    /// Asks for `timeout` events when nothing happens for this long; zero cancels. Mirrors `socket.setTimeout()`.
    ///
    /// Activity is input, the start and the end of a write, and connecting; see `timeout`'s
    /// [listener](Socket::on_timeout). It never keeps the loop alive. Above 2³¹-1 milliseconds it counts as that. Does
    /// nothing on a destroyed socket; a connection made again needs it anew.
    pub fn set_timeout(self, timeout: Duration) -> Socket {
        current::with(|core| core.set_idle_timeout(self.handle, timeout));
        self
    }

    /// [`set_timeout`](Socket::set_timeout) with a one-shot `timeout` listener. Mirrors
    /// `socket.setTimeout(timeout, listener)`. With a zero timeout the listener is not added.
    pub fn set_timeout_with(self, timeout: Duration, on_timeout: impl FnOnce(Socket) + 'static) -> Socket {
        if self.destroyed() {
            return self;
        }
        self.set_timeout(timeout);
        if !timeout.is_zero() {
            self.once_timeout(on_timeout);
        }
        self
    }

    /// Send small writes at once (`TCP_NODELAY`). Mirrors `socket.setNoDelay()`. Remembered before there is a
    /// connection; no system call when nothing changes. Means nothing for a unix socket.
    pub fn set_no_delay(self, on: bool) -> Socket {
        current::with(|core| core.reactor.set_no_delay(self.handle, on));
        self
    }

    /// Probe the connection after it was idle for `initial_delay` (`SO_KEEPALIVE`). Mirrors `socket.setKeepAlive()`.
    /// Whole seconds, the rest is cut off; zero leaves the time to the system. With a delay, ten probes a second apart
    /// are made before the connection is given up. Remembered before there is a connection. Means nothing for a unix
    /// socket.
    pub fn set_keep_alive(self, on: bool, initial_delay: Duration) -> Socket {
        current::with(|core| core.reactor.set_keep_alive(self.handle, on, initial_delay, None, None));
        self
    }

    /// [`set_keep_alive`](Socket::set_keep_alive) with all that can be said. Mirrors `socket.setKeepAlive(options)`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::KeepAliveOptions, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let minute = Duration::from_secs(60);
    /// let options = KeepAliveOptions::new().enable(true).initial_delay(minute).interval(minute / 6).count(3);
    /// Socket::new().set_keep_alive_with(options);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_keep_alive_with(self, options: KeepAliveOptions) -> Socket {
        let KeepAliveOptions { enable, initial_delay, interval, count } = options;
        current::with(|core| core.reactor.set_keep_alive(self.handle, enable, initial_delay, interval, count));
        self
    }

    /// Sets the type of service of its packets: the byte of the IP header that holds DSCP and ECN (`IP_TOS`,
    /// `IPV6_TCLASS`). Mirrors `socket.setTypeOfService()`. Remembered before there is a connection; no system call when
    /// nothing changes.
    ///
    /// # Errors
    ///
    /// What the kernel says, with the syscall `setTypeOfService`.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert_eq!(socket.type_of_service()?, 0);
    /// socket.set_type_of_service(0x10)?;
    /// assert_eq!(socket.type_of_service()?, 0x10);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_type_of_service(self, value: u8) -> Result<Socket, Error> {
        current::with(|core| core.reactor.set_type_of_service(self.handle, value)).unwrap_or(Ok(()))?;
        Ok(self)
    }

    /// The type of service: what the kernel uses while connected (on Linux without the ECN bits), else what was set;
    /// 0 when nothing was. Mirrors `socket.getTypeOfService()`.
    ///
    /// # Errors
    ///
    /// What the kernel says, with the syscall `getTypeOfService`.
    pub fn type_of_service(self) -> Result<u8, Error> {
        current::with(|core| core.reactor.type_of_service(self.handle)).unwrap_or(Ok(0))
    }

    /// Lets it keep the loop alive while it reads, as it does from the start. Mirrors `socket.ref()`.
    pub fn ref_(self) -> Socket {
        current::with(|core| core.set_socket_referenced(self.handle, true));
        self
    }

    /// Lets the loop end although it reads. Mirrors `socket.unref()`. A connect, a write or a shutdown in flight keeps
    /// the loop alive all the same. Not kept when the socket connects again.
    pub fn unref(self) -> Socket {
        current::with(|core| core.set_socket_referenced(self.handle, false));
        self
    }
}
