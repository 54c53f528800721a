//! `pipe_to`: into anything that implements `std::io::Write`. Node has other writables there; the order is theirs.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use crate::play;

/// What was done to it, in words; fails as it is told to.
#[derive(Clone, Default)]
struct Sink {
    written: Rc<RefCell<String>>,
    fails_to_write: bool,
    fails_to_flush: bool,
}

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.fails_to_write {
            return Err(io::Error::other("full"));
        }
        self.written.borrow_mut().push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.fails_to_flush {
            return Err(io::Error::other("stuck"));
        }
        self.written.borrow_mut().push_str(" flushed");
        Ok(())
    }
}

/// Everything is written, and flushed at the end.
#[test]
fn pipe_to_writes_and_flushes() {
    let sink = Sink::default();
    let written = sink.written.clone();
    assert_eq!(Rc::strong_count(&written), 2);
    let log = play(move |scene| {
        scene.destination.destroy();
        scene.source.pipe_to(sink);
        scene.a.write("1");
        scene.later(|scene| scene.a.end_with("2"));
    });
    log.assert_of("I", "resume | ~ end | ~ finish |x close(false)");
    assert_eq!(*written.borrow(), "12 flushed");
    assert_eq!(Rc::strong_count(&written), 1, "the sink is dropped with the socket");
}

/// When the sink fails, the source is destroyed with its error.
#[test]
fn pipe_to_a_sink_that_fails() {
    let log = play(|scene| {
        scene.destination.destroy();
        scene.source.pipe_to(Sink { fails_to_write: true, ..Sink::default() });
        scene.a.write("1");
    });
    log.assert_of("I", "resume | ~ error(full) |x close(true)");
    let log = play(|scene| {
        scene.destination.destroy();
        scene.source.pipe_to(Sink { fails_to_flush: true, ..Sink::default() });
        scene.a.end_with("1");
    });
    log.assert_of("I", "resume | ~ end ~ error(stuck) |x close(true)");
}
