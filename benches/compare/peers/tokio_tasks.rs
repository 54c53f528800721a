//! tokio as its guide has it: the current-thread runtime, one task per connection, a buffer in each.
//!
//! May touch: tokio. Invariant: a task reads, answers, and reads again; nothing is split or boxed that need not be.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::{ASKS_FOR_BURST, BURST, Mode, SHARED_BUFFER, Settings, Style, Wait, announce};
use crate::sockets::Listener;

/// The buffer of a connection: twice the largest message.
const OWN_BUFFER: usize = 8 * 1024;

/// The buffer of a connection that only waits: what tokio's own echo example has.
const IDLE_BUFFER: usize = 1024;

/// How long an idle connection may be silent.
const IDLE: Duration = Duration::from_secs(60);

pub fn serve(settings: &Settings) -> io::Result<()> {
    let mode = settings.mode;
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_io();
    if matches!(mode, Mode::Idle { .. }) {
        builder.enable_time();
    }
    let runtime = builder.build()?;
    let (listener, address) = Listener::bind(settings.unix.as_deref())?;
    runtime.block_on(async {
        match settings.wait {
            Wait::Sleep => {}
            // A task that always wants to go on: the runtime then asks the kernel without waiting.
            Wait::Spin | Wait::Adaptive => {
                tokio::spawn(async {
                    loop {
                        tokio::task::yield_now().await;
                    }
                });
            }
        }
        match listener {
            Listener::Tcp(listener) => {
                let listener = TcpListener::from_std(listener)?;
                announce(&address)?;
                let members = Members::default();
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    if mode == Mode::FanOut {
                        tokio::spawn(spread(Arc::new(stream), members.clone()));
                    } else {
                        tokio::spawn(answer(stream, mode));
                    }
                }
            }
            Listener::Unix(listener) => {
                let listener = UnixListener::from_std(listener)?;
                announce(&address)?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    tokio::spawn(answer(stream, mode));
                }
            }
        }
    })
}

/// Serves one connection to its end, orderly or not.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, mode: Mode) {
    let length = match mode {
        Mode::Echo | Mode::Pieces { .. } | Mode::FanOut => OWN_BUFFER,
        Mode::Sink => SHARED_BUFFER,
        Mode::Idle { .. } => IDLE_BUFFER,
    };
    let mut buffer = vec![0; length];
    let mut gathered = Vec::new();
    loop {
        let count = match mode {
            Mode::Idle { .. } => match tokio::time::timeout(IDLE, stream.read(&mut buffer)).await {
                Ok(Ok(count)) => count,
                Ok(Err(_)) | Err(_) => 0,
            },
            Mode::Echo | Mode::Sink | Mode::Pieces { .. } | Mode::FanOut => stream.read(&mut buffer).await.unwrap_or(0),
        };
        if count == 0 {
            return;
        }
        let sent = match mode {
            Mode::Echo | Mode::FanOut => stream.write_all(&buffer[..count]).await,
            Mode::Sink => Ok(()),
            Mode::Pieces { size, style: Style::Each } => {
                let mut sent = Ok(());
                for piece in buffer[..count].chunks(size) {
                    sent = sent.and(stream.write_all(piece).await);
                }
                sent
            }
            Mode::Pieces { size, style: Style::Gathered | Style::Joined | Style::Batched } => {
                gathered.clear();
                for piece in buffer[..count].chunks(size) {
                    gathered.extend_from_slice(piece);
                }
                stream.write_all(&gathered).await
            }
            Mode::Idle { .. } if buffer[0] == ASKS_FOR_BURST => stream.write_all(&vec![b'b'; BURST]).await,
            Mode::Idle { .. } => stream.write_all(&buffer[..count]).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Every connection of the fan-out.
type Members = Arc<Mutex<Vec<Arc<TcpStream>>>>;

/// Sends what one connection says to all. A member that takes nothing misses the message, and the client of the case
/// would notice; messages are smaller than what a socket's buffer always has room for.
async fn spread(stream: Arc<TcpStream>, members: Members) {
    members.lock().unwrap_or_else(PoisonError::into_inner).push(stream.clone());
    let mut buffer = vec![0; OWN_BUFFER];
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                for member in members.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    let _ = member.try_write(&buffer[..count]);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
