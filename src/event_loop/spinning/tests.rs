//! When a loop spins, played with a simulated kernel: its clock moves only when it is asked something.

use std::collections::VecDeque;

use super::*;

/// What one question costs: about what `epoll_wait` without a wait takes.
const ASKING: Duration = Duration::from_nanos(500);

/// What it takes to be woken.
const WAKING: Duration = Duration::from_micros(5);

const LIMIT: Duration = Duration::from_micros(50);

fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

struct Simulated {
    now: Duration,
    /// When events come.
    events: VecDeque<Duration>,
    /// Questions that did not wait.
    looks: usize,
    /// The timeouts of those that did.
    sleeps: Vec<Option<Duration>>,
    broken: bool,
}

impl Simulated {
    fn with_events(events: impl IntoIterator<Item = Duration>) -> Simulated {
        let events = events.into_iter().collect();
        Simulated { now: Duration::ZERO, events, looks: 0, sleeps: Vec::new(), broken: false }
    }

    fn take_event(&mut self) -> bool {
        let any = self.events.front().is_some_and(|event| *event <= self.now);
        // All that came are found at once.
        while self.events.front().is_some_and(|event| *event <= self.now) {
            self.events.pop_front();
        }
        any
    }
}

impl Kernel for Simulated {
    fn ask(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        if self.broken {
            return Err(io::ErrorKind::Other.into());
        }
        self.now += ASKING;
        if timeout == Some(Duration::ZERO) {
            self.looks += 1;
        } else {
            self.sleeps.push(timeout);
            let end = timeout.map(|timeout| self.now + timeout);
            match (self.events.front(), end) {
                (Some(&event), end) if end.is_none_or(|end| event <= end) => self.now = self.now.max(event) + WAKING,
                (_, Some(end)) => self.now = end + WAKING,
                (Some(_) | None, None) => panic!("it sleeps for ever"),
            }
        }
        Ok(self.take_event())
    }

    fn now(&mut self) -> Time {
        Time::ZERO.saturating_add(self.now)
    }
}

#[test]
fn a_loop_that_does_not_spin_asks_once() {
    for timeout in [None, Some(micros(700)), Some(Duration::ZERO)] {
        let mut kernel = Simulated::with_events([micros(300)]);
        Spinning::new(Spin::Never).wait(&mut kernel, timeout).unwrap();
        assert_eq!(kernel.looks + kernel.sleeps.len(), 1);
    }
    assert!(Spinning::new(Spin::Never).is_off());
    assert!(!Spinning::new(Spin::Always(LIMIT)).is_off());
    // A limit of nothing is no limit to spin to.
    let mut kernel = Simulated::with_events([micros(300)]);
    Spinning::new(Spin::Always(Duration::ZERO)).wait(&mut kernel, None).unwrap();
    assert_eq!((kernel.looks, &kernel.sleeps[..]), (0, &[None][..]));
}

#[test]
fn an_event_within_the_limit_is_caught_without_sleep() {
    let mut kernel = Simulated::with_events([micros(20)]);
    Spinning::new(Spin::Always(LIMIT)).wait(&mut kernel, None).unwrap();
    assert_eq!((kernel.looks, kernel.sleeps.len()), (40, 0), "20 µs, two looks each");
    assert_eq!(kernel.now, micros(20), "found as soon as it was there");
}

#[test]
fn an_event_beyond_the_limit_is_slept_for() {
    let mut kernel = Simulated::with_events([micros(80)]);
    Spinning::new(Spin::Always(LIMIT)).wait(&mut kernel, None).unwrap();
    assert_eq!((kernel.looks, &kernel.sleeps[..]), (100, &[None][..]));
    assert_eq!(kernel.now, micros(85));
}

#[test]
fn what_was_spun_is_taken_off_the_timeout() {
    let mut kernel = Simulated::with_events([]);
    Spinning::new(Spin::Always(LIMIT)).wait(&mut kernel, Some(micros(700))).unwrap();
    assert_eq!((kernel.looks, &kernel.sleeps[..]), (100, &[Some(micros(650))][..]));
}

#[test]
fn spinning_ends_with_the_timeout() {
    let mut kernel = Simulated::with_events([]);
    Spinning::new(Spin::Always(Duration::from_secs(3600))).wait(&mut kernel, Some(micros(10))).unwrap();
    assert_eq!(kernel.sleeps, []);
    assert!(kernel.now >= micros(10) && kernel.now <= micros(10) + ASKING, "{:?}", kernel.now);
}

#[test]
fn no_wait_is_no_spinning() {
    for spin in [Spin::Always(LIMIT), Spin::Adaptive(LIMIT)] {
        let mut kernel = Simulated::with_events([]);
        let mut spinning = Spinning { spin, short: u16::MAX };
        spinning.wait(&mut kernel, Some(Duration::ZERO)).unwrap();
        assert_eq!((kernel.looks, kernel.sleeps.len()), (1, 0));
        assert_eq!(spinning.short, u16::MAX, "and tells nothing");
    }
}

#[test]
fn an_error_ends_the_wait() {
    for spin in [Spin::Never, Spin::Always(LIMIT), Spin::Adaptive(LIMIT)] {
        let mut kernel = Simulated { broken: true, ..Simulated::with_events([]) };
        assert!(Spinning::new(spin).wait(&mut kernel, None).is_err());
    }
}

/// Waits once for each of the events, which come `gap` after the wait before was over, and tells which waits slept.
fn waits_for(spinning: &mut Spinning, gaps: impl IntoIterator<Item = Duration>) -> Vec<bool> {
    let mut kernel = Simulated::with_events([]);
    let wait = |gap| {
        kernel.events.push_back(kernel.now + gap);
        let before = kernel.sleeps.len();
        spinning.wait(&mut kernel, None).unwrap();
        kernel.sleeps.len() > before
    };
    gaps.into_iter().map(wait).collect()
}

#[test]
fn adaptive_spinning_begins_when_events_come_soon() {
    let mut spinning = Spinning::new(Spin::Adaptive(LIMIT));
    let slept = waits_for(&mut spinning, [micros(20); 20]);
    assert_eq!(slept, [[true; 8].as_slice(), &[false; 12]].concat(), "eight short waits of sixteen are enough");
}

#[test]
fn adaptive_spinning_ends_when_they_do_not() {
    let mut spinning = Spinning { spin: Spin::Adaptive(LIMIT), short: u16::MAX };
    let slept = waits_for(&mut spinning, [Duration::from_millis(1); 20]);
    // Every one of them sleeps; the first nine spin before it.
    assert_eq!(slept, [true; 20]);
    assert!(!spinning.pays());

    let mut spinning = Spinning { spin: Spin::Adaptive(LIMIT), short: u16::MAX };
    let mut kernel = Simulated::with_events((1..=20).map(Duration::from_millis));
    (0..20).for_each(|_| spinning.wait(&mut kernel, None).unwrap());
    assert_eq!(kernel.looks, 9 * 100, "nine spins of 50 µs are what falling silent costs");
}

#[test]
fn one_pause_does_not_end_adaptive_spinning() {
    let mut spinning = Spinning { spin: Spin::Adaptive(LIMIT), short: u16::MAX };
    let gaps = [micros(20), Duration::from_secs(3), micros(20), micros(30), micros(10)];
    assert_eq!(waits_for(&mut spinning, gaps), [false, true, false, false, false]);
}

#[test]
fn rare_events_never_make_it_spin() {
    let mut kernel = Simulated::with_events((1..=1000).map(|count| count * micros(200)));
    let mut spinning = Spinning::new(Spin::Adaptive(LIMIT));
    (0..1000).for_each(|_| spinning.wait(&mut kernel, None).unwrap());
    assert_eq!((kernel.looks, kernel.sleeps.len()), (0, 1000));
}

#[test]
fn a_timer_within_the_limit_tells_nothing_and_one_beyond_it_tells_of_silence() {
    let mut spinning = Spinning { spin: Spin::Adaptive(LIMIT), short: 0x00FF };
    let mut kernel = Simulated::with_events([]);
    (0..20).for_each(|_| spinning.wait(&mut kernel, Some(micros(10))).unwrap());
    assert_eq!(spinning.short, 0x00FF);
    spinning.wait(&mut kernel, Some(micros(700))).unwrap();
    assert_eq!(spinning.short, 0x01FE);
}
