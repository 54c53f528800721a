//! `LoopHandle::post` under load: nothing is lost, the order of each thread is kept, the loop is woken no more often than it
//! looked, and nothing runs once the loop is gone.
//!
//! May touch: the public API, the kernel's view of this process's eventfds, and the shared test support. Invariant: what is
//! asserted are counts and orders. The tests of this file run one after the other, so that there is one eventfd to look at.
//! Linux only, because the wake-ups are counted in `/proc`.

#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use halfclose::{EventLoop, LoopHandle, Phase, position};

const THREADS: usize = 4;

/// A million in all.
const POSTS: u64 = 250_000;

/// How many posts a turn takes, as the documentation of `post` has it.
const PER_TURN: u64 = 1024;

/// A million posts of an unoptimised build, on a machine that is busy with other tests.
const LONG: Duration = Duration::from_secs(60);

fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // Another test's failure is no reason to fail.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the posts of some threads leave behind. It is never freed, so that a post is as small as can be.
struct Record {
    loop_thread: ThreadId,
    /// The number of the post that each thread's next one must have.
    next: [AtomicU64; THREADS],
    disorder: AtomicU64,
    first_turn: AtomicU64,
    last_turn: AtomicU64,
}

impl Record {
    fn new() -> &'static Record {
        support::kept(Record {
            loop_thread: thread::current().id(),
            next: Default::default(),
            disorder: AtomicU64::new(0),
            first_turn: AtomicU64::new(u64::MAX),
            last_turn: AtomicU64::new(0),
        })
    }

    /// A post of one of the threads runs.
    fn run(&self, thread: usize, number: u64) {
        let here = position().expect("a loop");
        let right = self.next[thread].swap(number + 1, Ordering::Relaxed) == number
            && here.phase == Phase::Poll
            && thread::current().id() == self.loop_thread;
        self.disorder.fetch_add(u64::from(!right), Ordering::Relaxed);
        self.first_turn.fetch_min(here.turn, Ordering::Relaxed);
        self.last_turn.fetch_max(here.turn, Ordering::Relaxed);
    }

    /// How many turns there were from the first post to the last.
    fn turns(&self) -> u64 {
        self.last_turn.load(Ordering::Relaxed) - self.first_turn.load(Ordering::Relaxed) + 1
    }

    /// Every post of every thread ran once, in its thread's order.
    fn assert_complete(&self) {
        let ran: Vec<u64> = self.next.iter().map(|next| next.load(Ordering::Relaxed)).collect();
        assert_eq!((ran, self.disorder.load(Ordering::Relaxed)), (vec![POSTS; THREADS], 0));
    }
}

/// Starts the threads, which begin together. The last to be through with its posts calls `done`.
fn post_from_all(handle: &LoopHandle, record: &'static Record, done: fn(&LoopHandle)) -> Vec<JoinHandle<()>> {
    let start = Arc::new(Barrier::new(THREADS));
    let left = Arc::new(AtomicUsize::new(THREADS));
    (0..THREADS)
        .map(|thread| {
            let (handle, start, left) = (handle.clone(), start.clone(), left.clone());
            thread::spawn(move || {
                start.wait();
                for number in 0..POSTS {
                    assert!(handle.post(move || record.run(thread, number)).is_ok());
                }
                if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    done(&handle);
                }
            })
        })
        .collect()
}

fn join(threads: Vec<JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("a thread that posts"));
}

/// The descriptors of this process that are eventfds.
fn eventfds() -> BTreeSet<u32> {
    let entries = std::fs::read_dir("/proc/self/fd").expect("/proc");
    let number = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        let target = std::fs::read_link(&path).ok()?;
        let is_eventfd = target.to_string_lossy().contains("[eventfd]");
        is_eventfd.then(|| path.file_name()?.to_str()?.parse().ok()).flatten()
    };
    entries.filter_map(number).collect()
}

/// A loop, and the eventfd that wakes it.
fn loop_and_eventfd() -> (EventLoop, u32) {
    let before = eventfds();
    let event_loop = EventLoop::new().expect("a loop");
    let added: Vec<u32> = eventfds().difference(&before).copied().collect();
    assert_eq!(added.len(), 1, "one eventfd for each loop");
    (event_loop, added[0])
}

/// How often a loop was woken: each wake-up adds one to the count of its eventfd, which nobody reads (proc(5)).
fn wake_ups(eventfd: u32) -> u64 {
    let information = std::fs::read_to_string(format!("/proc/self/fdinfo/{eventfd}")).expect("/proc");
    let count = information.lines().find_map(|line| line.strip_prefix("eventfd-count:")).expect("a count");
    u64::from_str_radix(count.trim(), 16).expect("a number")
}

/// While nobody looks, a million posts wake the loop once; then they run, as many in a turn as documented.
#[test]
fn a_million_posts_that_nobody_looks_at_are_one_wake_up() {
    let _turn = one_at_a_time();
    support::within(LONG, || {
        let (mut event_loop, eventfd) = loop_and_eventfd();
        assert_eq!(wake_ups(eventfd), 0);
        let record = Record::new();
        join(post_from_all(&event_loop.handle(), record, |_| {}));
        assert_eq!(wake_ups(eventfd), 1);
        event_loop.run().expect("run");
        record.assert_complete();
        assert_eq!(record.turns(), (THREADS as u64 * POSTS).div_ceil(PER_TURN));
        assert_eq!(wake_ups(eventfd), 1, "the loop knows by itself that more is there");
        // From here on a post wakes it again.
        assert!(event_loop.handle().post(|| {}).is_ok());
        assert_eq!(wake_ups(eventfd), 2);
        event_loop.run().expect("run");
    });
}

/// While the loop runs it is woken at most once for each time it found nothing: once a turn.
#[test]
fn a_million_posts_to_a_running_loop_are_at_most_one_wake_up_a_turn() {
    let _turn = one_at_a_time();
    support::within(LONG, || {
        let (mut event_loop, eventfd) = loop_and_eventfd();
        let guard = event_loop.keep_alive();
        let record = Record::new();
        let threads = post_from_all(&event_loop.handle(), record, |handle| {
            assert!(handle.post(halfclose::stop).is_ok());
        });
        event_loop.run().expect("run");
        // What other threads posted before the last was through is in the queue before its `stop`.
        record.assert_complete();
        join(threads);
        drop(guard);
        let (wake_ups, turns) = (wake_ups(eventfd), record.turns());
        println!("{wake_ups} wake-ups in {turns} turns");
        assert!(wake_ups <= turns + 1, "{wake_ups} wake-ups in {turns} turns");
        assert!(turns >= (THREADS as u64 * POSTS).div_ceil(PER_TURN));
    });
}

/// What became of a post, by the one who drops its closure.
struct Fate {
    tally: &'static Tally,
    ran: bool,
}

#[derive(Default)]
struct Tally {
    ran: AtomicU64,
    /// With the loop, on its thread.
    dropped: AtomicU64,
    /// By the thread that got it back.
    given_back: AtomicU64,
    gone: AtomicBool,
    wrong: AtomicU64,
}

impl Tally {
    fn count(place: &AtomicU64) -> u64 {
        place.load(Ordering::SeqCst)
    }
}

impl Fate {
    fn run(mut self) {
        self.ran = true;
        if self.tally.gone.load(Ordering::SeqCst) {
            self.tally.wrong.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        let on_the_loops_thread = thread::current().name() == Some("loop");
        let place = match (self.ran, on_the_loops_thread) {
            (true, true) => &self.tally.ran,
            (false, true) => &self.tally.dropped,
            (false, false) => &self.tally.given_back,
            (true, false) => &self.tally.wrong,
        };
        place.fetch_add(1, Ordering::SeqCst);
    }
}

/// A loop that goes while four threads post: each closure ran, or was dropped with the loop on its thread, or came back;
/// none runs once the loop is gone.
#[test]
fn nothing_runs_after_the_loop_is_gone() {
    let _turn = one_at_a_time();
    support::within(LONG, || {
        for turns in [0, 1, 50] {
            let tally = support::kept(Tally::default());
            let (sender, receiver) = std::sync::mpsc::channel();
            let owner = thread::Builder::new().name("loop".into()).spawn(move || {
                let mut event_loop = EventLoop::new().expect("a loop");
                sender.send(event_loop.handle()).expect("somebody waits");
                // Enough that the loop always goes with posts still waiting in it.
                while !event_loop.has_pending() {
                    thread::yield_now();
                }
                for _ in 0..turns {
                    event_loop.turn(Some(Duration::ZERO)).expect("a turn");
                }
                drop(event_loop);
                tally.gone.store(true, Ordering::SeqCst);
            });
            let handle = receiver.recv().expect("a handle");
            let posters: Vec<JoinHandle<u64>> = (0..THREADS)
                .map(|_| {
                    let handle = handle.clone();
                    thread::spawn(move || {
                        let mut posted = 0;
                        loop {
                            let fate = Fate { tally, ran: false };
                            match handle.post(move || fate.run()) {
                                Ok(()) => posted += 1,
                                // Dropped here, by the thread that posted it.
                                Err(_closure) => return posted,
                            }
                        }
                    })
                })
                .collect();
            let posted: u64 = posters.into_iter().map(|poster| poster.join().expect("a poster")).sum();
            owner.expect("a thread").join().expect("the loop's thread");
            let (ran, dropped) = (Tally::count(&tally.ran), Tally::count(&tally.dropped));
            assert_eq!((posted, Tally::count(&tally.wrong)), (ran + dropped, 0), "{ran} ran, {dropped} dropped");
            assert_eq!(Tally::count(&tally.given_back), THREADS as u64);
            assert!(turns == 0 || ran >= 1);
        }
    });
}

/// Interruptions in the middle of many posts: each panic and each stop costs no post, and no order.
#[test]
fn interruptions_lose_nothing() {
    const COUNT: u64 = 5000;
    let _turn = one_at_a_time();
    support::test(|event_loop| {
        let record = Record::new();
        let handle = event_loop.handle();
        for number in 0..COUNT {
            let posted = handle.post(move || {
                record.run(0, number);
                match number % 700 {
                    300 => panic!("provoked"),
                    600 => halfclose::stop(),
                    _ => {}
                }
            });
            assert!(posted.is_ok());
        }
        let mut interruptions = 0;
        while event_loop.has_pending() {
            let _ = catch_unwind(AssertUnwindSafe(|| event_loop.run()));
            interruptions += 1;
            // What arrives meanwhile comes behind.
            if interruptions == 3 {
                assert!(handle.post(move || record.run(0, COUNT)).is_ok());
            }
        }
        assert!(interruptions > 10, "{interruptions}");
        assert_eq!(record.next[0].load(Ordering::Relaxed), COUNT + 1);
        assert_eq!(record.disorder.load(Ordering::Relaxed), 0);
    });
}

/// A loop that goes in the middle of its posts drops the rest, those of the interrupted turn and those behind it.
#[test]
fn a_loop_that_goes_in_the_middle_drops_the_rest() {
    const COUNT: u64 = 3000;
    let _turn = one_at_a_time();
    support::within(support::DEADLINE, || {
        let shared = Arc::new(());
        let mut event_loop = EventLoop::new().expect("a loop");
        let handle = event_loop.handle();
        for number in 0..COUNT {
            let captured = shared.clone();
            let posted = handle.post(move || {
                drop(captured);
                if number == 10 {
                    halfclose::stop();
                }
            });
            assert!(posted.is_ok());
        }
        event_loop.run().expect("run");
        assert_eq!(Arc::strong_count(&shared) as u64, 1 + COUNT - 11);
        drop(event_loop);
        assert_eq!(Arc::strong_count(&shared), 1);
    });
}
