//! SP7, FM25: how many bytes of one socket a turn reads.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use halfclose::net;
use halfclose::{EventLoop, EventLoopOptions, position};

use crate::support::{self, DEADLINE, RawListener};

/// Has all of `LENGTH` wait in the kernel before the first read, and returns how many bytes each turn read.
fn bytes_of_turns(options: EventLoopOptions) -> Vec<usize> {
    /// Less than the kernel holds for a connection that nobody reads from.
    const LENGTH: usize = 1 << 20;
    support::within(DEADLINE, || {
        let mut event_loop = EventLoop::with_options(options).expect("a loop");
        let raw = RawListener::bind();
        let client = net::connect(raw.address()).expect("connect");
        let turns = Rc::new(RefCell::new(Vec::<(u64, usize)>::new()));
        let seen = turns.clone();
        client.pause();
        client.on_data(move |_, bytes| {
            let turn = position().expect("in the loop").turn;
            let mut turns = seen.borrow_mut();
            match turns.last_mut() {
                Some((last, count)) if *last == turn => *count += bytes.len(),
                Some(_) | None => turns.push((turn, bytes.len())),
            }
        });
        let sent = Rc::new(Cell::new(false));
        client.on_ready(move |client| {
            let mut peer = raw.accept();
            peer.write(&vec![0; LENGTH]);
            peer.half_close();
            sent.set(true);
            client.resume();
        });
        event_loop.run().expect("no unhandled error");
        let turns = turns.take();
        assert_eq!(turns.iter().map(|(_, count)| count).sum::<usize>(), LENGTH);
        turns.into_iter().map(|(_, count)| count).collect()
    })
}

/// The bytes are looked at after each read of up to 64 KiB: at least one is made, and the one that reaches the budget is the
/// last of its turn. The number of reads is another budget, and off is off.
#[test]
fn bytes_per_turn() {
    const READ: usize = 65_536;
    let options = EventLoopOptions::new;
    for (options, most, turns_at_least) in [
        (options().bytes_per_turn(1), READ, 16),
        (options().bytes_per_turn(READ), READ, 16),
        (options().bytes_per_turn(READ + 1), 2 * READ, 8),
        (options().bytes_per_turn(usize::MAX).reads_per_turn(4), 4 * READ, 4),
    ] {
        let counts = bytes_of_turns(options);
        assert!(counts.iter().all(|&count| count <= most), "{most}: {counts:?}");
        assert!(counts.contains(&most) && counts.len() >= turns_at_least, "{most}: {counts:?}");
    }
}
