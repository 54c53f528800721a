//! What can be written: bytes and text, lent, given or shared.
//!
//! It may touch the reactor's vocabulary for outgoing bytes, through the event loop. Invariant: lent bytes are copied
//! only when the kernel does not take them at once.

use std::rc::Rc;
use std::sync::Arc;

use crate::event_loop::{Outgoing, QueuedBytes};

/// A piece of output, as [`Socket::write`](crate::net::Socket::write) and its kin take it. Mirrors the `data` of
/// [`socket.write()`].
///
/// Made with `into()` from bytes or text:
///
/// | from | cost when the kernel does not take it at once |
/// |---|---|
/// | `&[u8]`, `&str`, `&Vec<u8>`, `&String`, byte literals | copied |
/// | `Vec<u8>`, `String` | moved |
/// | `Rc<[u8]>`, `Arc<[u8]>` | shared: a broadcast copies nothing |
/// | [`Chunk::from_static`] | nothing |
///
/// All lengths count bytes; Node counts UTF-16 code units for strings (rule F6).
///
/// ```
/// use std::rc::Rc;
/// use halfclose::{EventLoop, net::Chunk, net::Socket};
///
/// let event_loop = EventLoop::new()?;
/// let socket = Socket::new().cork();
/// let message: Rc<[u8]> = Rc::from(&b"to everybody"[..]);
/// socket.write(message.clone());
/// socket.write("text");
/// socket.write(b"bytes");
/// socket.write(String::from("moved"));
/// socket.write(Chunk::from_static(b"always there"));
/// assert_eq!(socket.writable_length(), 38);
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`socket.write()`]: https://nodejs.org/api/net.html#socketwritedata-encoding-callback
#[derive(Clone, Debug)]
pub struct Chunk<'a>(Form<'a>);

#[derive(Clone, Debug)]
enum Form<'a> {
    Lent(&'a [u8]),
    Owned(Vec<u8>),
    Static(&'static [u8]),
    Rc(Rc<[u8]>),
    Arc(Arc<[u8]>),
}

impl Chunk<'static> {
    /// Bytes that live as long as the program: never copied. Not in Node, where every buffer is shared.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Chunk, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new().cork();
    /// socket.write(Chunk::from_static(b"HTTP/1.1 204 No Content\r\n\r\n"));
    /// assert_eq!(socket.writable_length(), 27);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn from_static(bytes: &'static [u8]) -> Chunk<'static> {
        Chunk(Form::Static(bytes))
    }
}

impl Outgoing for Chunk<'_> {
    #[inline]
    fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Form::Lent(bytes) => bytes,
            Form::Owned(bytes) => bytes,
            Form::Static(bytes) => bytes,
            Form::Rc(bytes) => bytes,
            Form::Arc(bytes) => bytes,
        }
    }

    fn into_queued(self) -> QueuedBytes {
        match self.0 {
            Form::Lent(bytes) => QueuedBytes::Owned(bytes.to_vec()),
            Form::Owned(bytes) => QueuedBytes::Owned(bytes),
            Form::Static(bytes) => QueuedBytes::Static(bytes),
            Form::Rc(bytes) => QueuedBytes::Shared(Box::new(bytes)),
            Form::Arc(bytes) => QueuedBytes::Shared(Box::new(bytes)),
        }
    }
}

impl<'a> From<&'a [u8]> for Chunk<'a> {
    fn from(bytes: &'a [u8]) -> Chunk<'a> {
        Chunk(Form::Lent(bytes))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Chunk<'a> {
    fn from(bytes: &'a [u8; N]) -> Chunk<'a> {
        Chunk(Form::Lent(bytes))
    }
}

impl<'a> From<&'a Vec<u8>> for Chunk<'a> {
    fn from(bytes: &'a Vec<u8>) -> Chunk<'a> {
        Chunk(Form::Lent(bytes))
    }
}

impl<'a> From<&'a str> for Chunk<'a> {
    fn from(text: &'a str) -> Chunk<'a> {
        Chunk(Form::Lent(text.as_bytes()))
    }
}

impl<'a> From<&'a String> for Chunk<'a> {
    fn from(text: &'a String) -> Chunk<'a> {
        Chunk(Form::Lent(text.as_bytes()))
    }
}

impl From<Vec<u8>> for Chunk<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Chunk(Form::Owned(bytes))
    }
}

impl From<String> for Chunk<'_> {
    fn from(text: String) -> Self {
        Chunk(Form::Owned(text.into_bytes()))
    }
}

impl From<Rc<[u8]>> for Chunk<'_> {
    fn from(bytes: Rc<[u8]>) -> Self {
        Chunk(Form::Rc(bytes))
    }
}

impl From<Arc<[u8]>> for Chunk<'_> {
    fn from(bytes: Arc<[u8]>) -> Self {
        Chunk(Form::Arc(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_keeps_its_bytes() {
        let shared: Rc<[u8]> = Rc::from(&b"abc"[..]);
        let across: Arc<[u8]> = Arc::from(&b"abc"[..]);
        let owned = b"abc".to_vec();
        let text = String::from("abc");
        let forms: [Chunk<'_>; 9] = [
            b"abc".into(),
            b"abc"[..].into(),
            "abc".into(),
            (&owned).into(),
            (&text).into(),
            owned.clone().into(),
            text.clone().into(),
            shared.into(),
            across.into(),
        ];
        for chunk in forms.into_iter().chain([Chunk::from_static(b"abc")]) {
            assert_eq!(chunk.as_slice(), b"abc");
            assert_eq!(chunk.into_queued().as_slice(), b"abc");
        }
    }
}
