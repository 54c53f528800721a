//! Text from bytes that come in pieces: the text of all pieces is that of the whole, in every encoding, and what the
//! standard library makes of the whole where it knows the encoding.
//!
//! The first byte of the input chooses the encoding, the second how long the pieces are; the rest is what is sent, through a
//! unix socket pair, each piece in a turn of its own.
//!
//! May touch: the public API and std. Invariant: everything sent is read before the next piece is, so the pieces stay.

use std::cell::RefCell;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use halfclose::EventLoop;
use halfclose::net::{Encoding, Socket, SocketOptions};

/// Longer inputs show nothing that shorter ones do not, and every piece is a turn.
const MOST_BYTES: usize = 256;

pub(crate) fn check(input: &[u8]) {
    let [choice, length, bytes @ ..] = input else { return };
    let names = ["utf8", "utf16le", "latin1", "ascii", "hex", "base64", "base64url"];
    // Some of them come with a feature.
    let Some(encoding) = Encoding::from_name(names[usize::from(*choice) % names.len()]) else { return };
    let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
    let length = usize::from(*length).max(1);
    let in_pieces = received(encoding, bytes.chunks(length));
    let whole = received(encoding, [bytes].into_iter().filter(|bytes| !bytes.is_empty()));
    assert_eq!(in_pieces, whole, "{encoding:?}, pieces of {length}: {bytes:?}");
    if let Some(expected) = by_std(encoding, bytes) {
        assert_eq!(whole, expected, "{encoding:?}: {bytes:?}");
    }
}

/// The text of all `data` events.
fn received<'a>(encoding: Encoding, pieces: impl Iterator<Item = &'a [u8]>) -> String {
    let mut event_loop = EventLoop::new().expect("a loop");
    let (near, mut far) = UnixStream::pair().expect("a pair");
    let socket = Socket::with_options(SocketOptions::new().fd(OwnedFd::from(near)).expect("a stream socket"))
        .set_encoding(encoding);
    let text = Rc::new(RefCell::new(String::new()));
    let seen = text.clone();
    socket.on_text(move |_, text| seen.borrow_mut().push_str(text));
    for piece in pieces {
        far.write_all(piece).expect("a few bytes");
        event_loop.turn(Some(Duration::ZERO)).expect("a turn");
    }
    drop(far);
    event_loop.run().expect("no error");
    assert!(socket.destroyed());
    text.take()
}

/// What the standard library makes of it.
fn by_std(encoding: Encoding, bytes: &[u8]) -> Option<String> {
    let latin1 = |mask: u8| bytes.iter().map(|byte| char::from(byte & mask)).collect();
    match encoding {
        Encoding::Utf8 => Some(String::from_utf8_lossy(bytes).into_owned()),
        Encoding::Utf16le => {
            let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            Some(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
        }
        Encoding::Latin1 => Some(latin1(0xff)),
        Encoding::Ascii => Some(latin1(0x7f)),
        other if other.as_str() == "hex" => Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        _ => None,
    }
}
