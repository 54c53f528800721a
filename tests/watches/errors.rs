//! Descriptors that cannot be watched.

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;

use halfclose::{EventLoop, Interest, watch};

use crate::{add, eventfd, panic_of, support, take};

/// A regular file is always ready, and epoll does not take it. The descriptor is dropped.
#[test]
fn a_regular_file_is_refused() {
    support::test(|event_loop| {
        let file = Rc::new(File::open(std::env::current_exe().expect("this test")).expect("a file"));
        let refused = watch(file.clone(), Interest::READABLE, |_, _, _| panic!("it is refused"));
        let error = refused.expect_err("a regular file");
        assert_eq!((error.code(), error.syscall()), (Some("EPERM"), Some("watch")));
        assert_eq!(error.to_string(), "watch EPERM");
        assert_eq!(Rc::strong_count(&file), 1);
        assert!(!event_loop.turn(None).expect("a turn"), "nothing is left behind");
    });
}

/// One descriptor, one watch; a duplicate is another descriptor.
#[test]
fn a_descriptor_is_watched_once() {
    support::test(|event_loop| {
        let counter = Rc::new(eventfd());
        let first = watch(counter.clone(), Interest::READABLE, |watch, counter, _| {
            take(counter);
            watch.close();
        })
        .expect("watch");
        let error = watch(counter.clone(), Interest::READABLE, |_, _, _| {}).expect_err("a second time");
        assert_eq!(error.code(), Some("EEXIST"));
        let duplicate = counter.try_clone().expect("a duplicate");
        let second = watch(duplicate, Interest::WRITABLE, |watch, _, _| watch.close()).expect("another descriptor");
        add(&counter, 1);
        event_loop.run().expect("run");
        assert!(first.closed() && second.closed());
        // Now it is free again.
        watch(counter, Interest::READABLE, |_, _, _| {}).expect("watch").close();
    });
}

/// The descriptor under this number, whoever closes it and when.
fn number_of(file: &File) -> BorrowedFd<'static> {
    // SAFETY: this is what the tests below are about: nothing but the loop's own calls uses the borrowed number, and
    // those answer with an error.
    unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) }
}

/// A number that no descriptor has.
#[test]
fn a_closed_descriptor_is_refused() {
    support::test(|_| {
        // Far above what this process opens, so that no other test gets it.
        // SAFETY: the number is given to nobody but `watch`, which says what is wrong with it.
        let closed = unsafe { BorrowedFd::borrow_raw(1_000_000) };
        let error = watch(closed, Interest::READABLE, |_, _, _| {}).expect_err("nothing is open there");
        assert_eq!((error.code(), error.syscall()), (Some("EBADF"), Some("watch")));
    });
}

/// Closed behind the back of its watch, after which nothing would ever be heard: `run` says so, and goes on without it.
#[test]
fn a_descriptor_that_vanishes_is_an_error_of_run() {
    support::test(|event_loop| {
        let counter = eventfd();
        add(&counter, 1);
        let mut owner = None;
        let number = number_of(&counter);
        owner.replace(counter);
        let vanished = watch(number, Interest::READABLE, move |_, _, _| drop(owner.take())).expect("watch");
        let error = event_loop.run().expect_err("it is gone");
        // Another test may have opened something under the same number by now.
        assert!(matches!(error.code(), Some("EBADF" | "ENOENT")), "{error}");
        assert!(vanished.is_paused());
        event_loop.run().expect("nothing is left to wait for");
        vanished.close();
        assert!(vanished.closed());
    });
}

/// As all that makes something, `watch` needs a loop.
#[test]
fn without_a_loop_it_panics() {
    let (near, far) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let panic = panic_of(move || watch(near, Interest::READABLE, |_, _, _| {}));
    assert!(panic.is_some_and(|text| text.contains("EventLoop::new")));
    assert_eq!(std::io::Read::read(&mut &far, &mut [0; 1]).expect("an end"), 0, "the descriptor was dropped");
}

/// The loop's own descriptor cannot be watched in itself.
#[test]
fn the_loop_does_not_watch_itself() {
    support::within(support::DEADLINE, || {
        let event_loop = EventLoop::new().expect("a loop");
        let own = std::os::fd::AsFd::as_fd(&event_loop).try_clone_to_owned().expect("a duplicate");
        assert_eq!(watch(own, Interest::READABLE, |_, _, _| {}).expect_err("itself").code(), Some("EINVAL"));
    });
}
