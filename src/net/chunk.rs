//! What can be written: bytes and text, lent, given or shared.
//!
//! It may touch the reactor's vocabulary for outgoing bytes, through the event loop. Invariant: lent bytes are copied
//! only when the kernel does not take them at once.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use crate::event_loop::{Encoding, Outgoing, QueuedBytes};
use crate::net::text_encoder::encode;

/// A piece of output, as [`Socket::write`](crate::net::Socket::write) and its kin take it. Mirrors the `data` of
/// [`socket.write()`].
///
/// Made with `into()` from bytes or text:
///
/// | from | cost when the kernel does not take it at once |
/// |---|---|
/// | `&[u8]`, `&str`, `&Vec<u8>`, `&String`, byte literals | what it did not take is copied |
/// | `Vec<u8>`, `String` | moved |
/// | `Rc<[u8]>`, `Arc<[u8]>`, and `bytes::Bytes` with the feature `bytes` | shared: a broadcast copies nothing |
/// | [`Chunk::from_static`] | nothing |
///
/// Text is sent as UTF-8, unless [`Socket::set_default_encoding`](crate::net::Socket::set_default_encoding) says
/// otherwise or the chunk was made by [`Chunk::encoded`].
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
    /// In UTF-8, until a default encoding says otherwise.
    Text(Cow<'a, str>),
    Static(&'static [u8]),
    Rc(Rc<[u8]>),
    Arc(Arc<[u8]>),
    #[cfg(feature = "bytes")]
    Bytes(bytes::Bytes),
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

impl<'a> Chunk<'a> {
    /// Text in an encoding of its own, whatever the default of the socket is. Mirrors [`socket.write(text, encoding)`], and
    /// goes into every method that takes a chunk: [`write_with`](crate::net::Socket::write_with) and
    /// [`end_data`](crate::net::Socket::end_data), too.
    ///
    /// The bytes are those of Node's `Buffer.from(text, encoding)`, which refuses nothing:
    ///
    /// | encoding | bytes |
    /// |---|---|
    /// | `Utf8` | the text's own |
    /// | `Utf16le` | two for each UTF-16 code unit, four for a surrogate pair |
    /// | `Latin1`, `Ascii` | the lower byte of each UTF-16 code unit |
    /// | `Hex` | one for each two digits, in upper or lower case. It ends at the first pair that is none; an odd digit is dropped |
    /// | `Base64`, `Base64url` | three for each four characters, of either alphabet. Other characters are skipped; it ends at the first `=` |
    ///
    /// The last two rows come with the feature `encodings`, and look at the lower bytes only as well: U+0141 counts as `A`,
    /// as in Node. What gives no bytes is a write of zero bytes.
    ///
    /// The text is encoded here and now, into a buffer of its own. It is not copied when its bytes stay the same: as
    /// UTF-8, and as `Latin1` or `Ascii` if all of it is ASCII.
    ///
    /// ```
    /// use halfclose::net::{Chunk, Encoding, Socket};
    /// use halfclose::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.cork();
    /// socket.write(Chunk::encoded("naïve", Encoding::Latin1));
    /// assert_eq!(socket.writable_length(), 5);
    /// # #[cfg(feature = "encodings")]
    /// socket.write(Chunk::encoded("00ff", Encoding::Hex));
    /// # #[cfg(feature = "encodings")]
    /// assert_eq!(socket.writable_length(), 7);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.write(text, encoding)`]: https://nodejs.org/api/net.html#socketwritedata-encoding-callback
    pub fn encoded(text: impl Into<Cow<'a, str>>, encoding: Encoding) -> Chunk<'a> {
        Chunk(Form::encoded(text.into(), encoding))
    }
}

impl<'a> Chunk<'a> {
    /// The bytes, if they are lent, or the chunk again: what is lent needs no destructor.
    #[inline]
    pub(crate) fn into_lent(self) -> Result<&'a [u8], Chunk<'a>> {
        match self.0 {
            Form::Lent(bytes) => {
                std::mem::forget(self);
                Ok(bytes)
            }
            Form::Owned(_) | Form::Text(_) | Form::Static(_) | Form::Rc(_) | Form::Arc(_) => Err(self),
            #[cfg(feature = "bytes")]
            Form::Bytes(_) => Err(self),
        }
    }
}

impl<'a> Form<'a> {
    fn encoded(text: Cow<'a, str>, encoding: Encoding) -> Form<'a> {
        match encode(text, encoding) {
            Cow::Borrowed(bytes) => Form::Lent(bytes),
            Cow::Owned(bytes) => Form::Owned(bytes),
        }
    }
}

impl Outgoing for Chunk<'_> {
    fn is_text(&self) -> bool {
        matches!(self.0, Form::Text(_))
    }

    fn encode(&mut self, encoding: Encoding) {
        if let Form::Text(text) = &mut self.0 {
            self.0 = Form::encoded(std::mem::take(text), encoding);
        }
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Form::Lent(bytes) => bytes,
            Form::Owned(bytes) => bytes,
            Form::Text(text) => text.as_bytes(),
            Form::Static(bytes) => bytes,
            Form::Rc(bytes) => bytes,
            Form::Arc(bytes) => bytes,
            #[cfg(feature = "bytes")]
            Form::Bytes(bytes) => bytes,
        }
    }

    fn into_queued(self, taken: usize) -> Result<QueuedBytes, Self> {
        Ok(match self.0 {
            Form::Lent(bytes) => return copied(&bytes[taken..]).ok_or(self),
            Form::Text(Cow::Borrowed(text)) => return copied(&text.as_bytes()[taken..]).ok_or(self),
            Form::Owned(bytes) => QueuedBytes::Owned(bytes),
            Form::Text(Cow::Owned(text)) => QueuedBytes::Owned(text.into_bytes()),
            Form::Static(bytes) => QueuedBytes::Static(bytes),
            Form::Rc(bytes) => QueuedBytes::Shared(Box::new(bytes)),
            Form::Arc(bytes) => QueuedBytes::Shared(Box::new(bytes)),
            #[cfg(feature = "bytes")]
            Form::Bytes(bytes) => QueuedBytes::Shared(Box::new(bytes)),
        })
    }
}

/// A copy, if there is memory for it: how long it is depends on the program, and perhaps on its peers.
fn copied(bytes: &[u8]) -> Option<QueuedBytes> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(QueuedBytes::Owned(copy))
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
        Chunk(Form::Text(Cow::Borrowed(text)))
    }
}

impl<'a> From<&'a String> for Chunk<'a> {
    fn from(text: &'a String) -> Chunk<'a> {
        Chunk(Form::Text(Cow::Borrowed(text)))
    }
}

impl From<Vec<u8>> for Chunk<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Chunk(Form::Owned(bytes))
    }
}

impl From<String> for Chunk<'_> {
    fn from(text: String) -> Self {
        Chunk(Form::Text(Cow::Owned(text)))
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

#[cfg(feature = "bytes")]
impl From<bytes::Bytes> for Chunk<'_> {
    fn from(bytes: bytes::Bytes) -> Self {
        Chunk(Form::Bytes(bytes))
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
            assert_eq!(chunk.into_queued(0).unwrap().as_slice(), b"abc");
        }
    }

    /// Of what is lent; what is owned stays whole.
    #[test]
    fn what_the_kernel_has_is_not_copied() {
        let shared: Rc<[u8]> = Rc::from(&b"abc"[..]);
        let lent: [Chunk<'_>; 3] = [b"abc".into(), "abc".into(), Chunk::encoded("abc", Encoding::Utf8)];
        for chunk in lent {
            assert_eq!(chunk.into_queued(2).unwrap().as_slice(), b"c");
        }
        let owned: [Chunk<'_>; 4] =
            [b"abc".to_vec().into(), String::from("abc").into(), shared.into(), Chunk::from_static(b"abc")];
        for chunk in owned {
            assert_eq!(chunk.into_queued(2).unwrap().as_slice(), b"abc");
        }
    }

    /// Neither while it is offered to the kernel nor when it is queued.
    #[cfg(feature = "bytes")]
    #[test]
    fn shared_bytes_are_not_copied() {
        let bytes = bytes::Bytes::from(b"abc".to_vec());
        let chunk = Chunk::from(bytes.clone());
        assert_eq!(chunk.as_slice().as_ptr(), bytes.as_ptr());
        assert_eq!(chunk.into_queued(0).unwrap().as_slice().as_ptr(), bytes.as_ptr());
    }

    /// A default encoding is for text: bytes, and text that has its encoding already, are left alone.
    #[test]
    fn a_default_encoding_is_for_text() {
        let text = String::from("é");
        let utf8: &[u8] = text.as_bytes();
        let as_text: [Chunk<'_>; 3] = ["é".into(), (&text).into(), text.clone().into()];
        for mut chunk in as_text {
            assert_eq!(chunk.as_slice(), utf8);
            chunk.encode(Encoding::Latin1);
            assert_eq!(chunk.as_slice(), [0xe9]);
            // What was encoded is bytes.
            chunk.encode(Encoding::Utf16le);
            assert_eq!(chunk.into_queued(0).unwrap().as_slice(), [0xe9]);
        }
        let as_bytes: [Chunk<'_>; 5] = [
            utf8.into(),
            utf8.to_vec().into(),
            Rc::<[u8]>::from(utf8).into(),
            Arc::<[u8]>::from(utf8).into(),
            Chunk::encoded("é", Encoding::Utf8),
        ];
        for mut chunk in as_bytes.into_iter().chain([Chunk::from_static("é".as_bytes())]) {
            chunk.encode(Encoding::Utf16le);
            assert_eq!(chunk.into_queued(0).unwrap().as_slice(), utf8);
        }
    }

    /// Lent text in UTF-8 is lent to the kernel, and its owner's buffer is what is queued.
    #[test]
    fn text_is_copied_only_where_it_must_be() {
        let text = String::from("é");
        let place = text.as_ptr();
        assert_eq!(Chunk::from(&text).as_slice().as_ptr(), place);
        assert_eq!(Chunk::encoded(&text, Encoding::Utf8).as_slice().as_ptr(), place);
        assert_eq!(Chunk::from(text).into_queued(0).unwrap().as_slice().as_ptr(), place);
    }
}
