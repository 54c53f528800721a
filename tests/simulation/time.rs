//! Virtual time: it stands still in callbacks, and jumps in waits.

use std::time::{Duration, Instant};

use halfclose::{EventLoop, net, set_interval, set_timeout};

use crate::support::{DEADLINE, Log, within};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn hours_pass_at_once() {
    within(DEADLINE, || {
        let began = Instant::now();
        let mut event_loop = EventLoop::simulated(1).expect("a loop");
        let simulation = event_loop.simulation().expect("simulated");
        let log = Log::new();
        let server = net::create_server(move |socket| {
            socket.set_timeout(7 * HOUR);
            socket.on_timeout(move |socket| {
                log.add("S", "timeout");
                socket.destroy();
            });
            socket.on_close(move |_, _| log.add("S", "close"));
        });
        server.listen(("127.0.0.1", 8888)).expect("a free port");
        let client = net::connect(("127.0.0.1", 8888)).expect("a valid address");
        client.on_end(move |_| log.add("C", "end"));
        client.on_close(move |_, _| {
            log.add("C", "close");
            server.close();
        });
        client.resume();
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.list(), ["S timeout", "C end", "C close", "S close"]);
        assert_eq!(simulation.now().as_secs(), 7 * 3600);
        assert!(began.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn timers_and_posts_come_in_the_order_of_their_times() {
    within(DEADLINE, || {
        let mut event_loop = EventLoop::simulated(1).expect("a loop");
        let simulation = event_loop.simulation().expect("simulated");
        let log = Log::new();
        set_timeout(Duration::from_millis(20), move || log.add("T", "20 ms"));
        simulation.post_at(Duration::from_micros(20_500), move || log.add("P", "20.5 ms"));
        simulation.post_at(Duration::from_millis(3), move || log.add("P", "3 ms"));
        let interval = set_interval(Duration::from_millis(9), move || log.add("I", "tick"));
        let same = simulation.clone();
        simulation.post_at(Duration::from_millis(30), move || {
            log.add("P", format!("{:?}", same.now()));
            interval.clear();
        });
        event_loop.run().expect("no unhandled error");
        let expected = ["P 3 ms", "I tick", "I tick", "T 20 ms", "P 20.5 ms", "I tick", "P 30ms"];
        assert_eq!(log.list(), expected);
    });
}

#[test]
fn a_post_keeps_the_loop_alive_and_is_dropped_with_it() {
    within(DEADLINE, || {
        let event_loop = EventLoop::simulated(1).expect("a loop");
        let simulation = event_loop.simulation().expect("simulated");
        let held = std::rc::Rc::new(());
        let captured = held.clone();
        simulation.post_at(HOUR, move || drop(captured));
        assert_eq!(std::rc::Rc::strong_count(&held), 2);
        drop(event_loop);
        assert_eq!(std::rc::Rc::strong_count(&held), 1);
        let captured = held.clone();
        simulation.post_at(HOUR, move || drop(captured));
        assert_eq!(std::rc::Rc::strong_count(&held), 1);
    });
}
