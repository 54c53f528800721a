//! `million_timers` and `dispatch`: what the loops cost beside their sockets, each in a process of its own.
//!
//! May touch: this crate, tokio, child processes. Invariant: a child does one thing from start to end and prints its cost
//! per operation, in nanoseconds of its CPU.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::process::Command;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use halfclose::net::Socket;
use halfclose::{EventLoop, Timer, next_tick, set_immediate, set_timeout};
use serde_json::{Value, json};

use crate::clock::own_cpu;
use crate::options::Options;
use crate::process::{Core, Process};
use crate::random::Random;
use crate::report::{Report, Table};
use crate::servers::Contestant;
use crate::statistics::Interval;
use crate::toolbox::Toolbox;

const TIMERS: usize = 1_000_000;

/// The deliveries of one child.
const DELIVERIES: usize = 1_000_000;

/// Children of each contestant. Each takes up to three seconds, and a million operations vary little.
const ROUNDS: usize = 5;

/// Is a child. `arguments` are the task and whose.
pub fn work(arguments: &[String]) -> Result<(), String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = match arguments[..] {
        ["halfclose", "timers", _] => our_timers().map_err(|error| error.to_string())?,
        ["tokio", "timers", _] => tokio_timers().map_err(|error| error.to_string())?,
        ["halfclose", "dispatch", _] => our_dispatch().map_err(|error| error.to_string())?,
        ["tokio", "dispatch", _] => tokio_dispatch().map_err(|error| error.to_string())?,
        _ => return Err("no such task".to_owned()),
    };
    println!("{answer}");
    Ok(())
}

/// Runs the children of both cases and adds their tables.
pub fn run(toolbox: &Toolbox, options: &Options, report: &mut Report) {
    let ours = [("halfclose", "halfclose"), ("halfclose again", "halfclose"), ("tokio", "tokio")];
    let others = [("libuv", "libuv"), ("Node", "node")];
    if options.wants("million_timers") {
        let everybody: Vec<_> = ours.into_iter().chain(others).collect();
        let title = "million_timers: CPU per timer, a million armed";
        let phases = ["arm", "rearm", "cancel", "fire"];
        compare(toolbox, options, "million_timers", title, "timers", &everybody, &phases, report);
    }
    if options.wants("dispatch") {
        let everybody: Vec<_> = ours.into_iter().chain([("Node", "node")]).collect();
        let title = "dispatch: CPU per callback or event, without I/O";
        compare(toolbox, options, "dispatch", title, "dispatch", &everybody, &["tick", "immediate", "data"], report);
    }
}

#[allow(clippy::too_many_arguments)] // once for each of two tables
fn compare(
    toolbox: &Toolbox,
    options: &Options,
    name: &str,
    title: &str,
    task: &str,
    contestants: &[(&str, &'static str)],
    phases: &[&str],
    report: &mut Report,
) {
    let rounds = if options.quick { 1 } else { ROUNDS };
    let mut random = Random::new(options.seed);
    let mut order: Vec<usize> = (0..contestants.len()).collect();
    let mut found: Vec<Vec<Value>> = contestants.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        random.shuffle(&mut order);
        for &number in &order {
            let (label, server) = contestants[number];
            match child(toolbox, server, task) {
                Ok(answer) => found[number].push(answer),
                Err(error) => report.skip(&format!("{label} in {name}"), &error),
            }
        }
    }
    let mut columns = vec!["loop"];
    columns.extend(phases);
    let mut table = Table::new(name, title, &columns);
    for ((label, _), answers) in contestants.iter().zip(&found) {
        let mut row = vec![(*label).to_owned()];
        for phase in phases {
            let samples: Vec<f64> = answers.iter().filter_map(|answer| answer[*phase].as_f64()).collect();
            row.push(Interval::of(&samples).map_or("–".to_owned(), |interval| {
                format!("{:.1} ns [{:.1}, {:.1}]", interval.median, interval.low, interval.high)
            }));
        }
        if !answers.is_empty() {
            table.rows.push(row);
        }
    }
    report.add(table);
}

fn child(toolbox: &Toolbox, server: &'static str, task: &str) -> Result<Value, String> {
    let mut command: Command = Contestant::new(server, server, task).command(toolbox, None)?;
    if command.get_program() == toolbox.own {
        command = Command::new(&toolbox.own);
        command.args(["--task", server, task, "sleep"]);
    }
    let mut process = Process::spawn(&mut command, &toolbox.folder, Core::Server).map_err(|error| error.to_string())?;
    let output = process.child.stdout.take().ok_or("no output")?;
    let text = std::io::read_to_string(output).map_err(|error| error.to_string())?;
    let line = text.lines().next().ok_or("it printed nothing")?;
    serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))
}

/// Delays spread over what a service has, from a second to a minute.
fn delay_of(number: usize) -> Duration {
    Duration::from_millis((1_000 + number * 7_919 % 59_000) as u64)
}

/// Delays that are over soon, spread over as many milliseconds as a burst of requests would.
fn short_delay_of(number: usize) -> Duration {
    Duration::from_millis((1 + number % 20) as u64)
}

/// Nanoseconds per operation of what `work` does a million times.
fn cost<T>(operations: usize, work: impl FnOnce() -> T) -> (f64, T) {
    let before = own_cpu();
    let result = work();
    ((own_cpu() - before) as f64 / operations as f64, result)
}

fn our_timers() -> Result<Value, halfclose::Error> {
    let mut event_loop = EventLoop::new()?;
    let fired = Rc::new(Cell::new(0_usize));
    let (arm, timers) =
        cost(TIMERS, || (0..TIMERS).map(|number| set_timeout(delay_of(number), || ())).collect::<Vec<Timer>>());
    let (rearm, ()) = cost(TIMERS, || {
        for timer in &timers {
            timer.refresh();
        }
    });
    let (cancel, ()) = cost(TIMERS, || timers.iter().for_each(|timer| timer.clear()));
    for number in 0..TIMERS {
        let fired = fired.clone();
        set_timeout(short_delay_of(number), move || fired.set(fired.get() + 1));
    }
    let (fire, result) = cost(TIMERS, || event_loop.run());
    result?;
    assert_eq!(fired.get(), TIMERS);
    Ok(json!({ "arm": arm, "rearm": rearm, "cancel": cancel, "fire": fire }))
}

/// tokio's timers are futures: each is polled once to be armed, and moved to another deadline to be armed again.
fn tokio_timers() -> std::io::Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    Ok(runtime.block_on(async {
        let mut context = Context::from_waker(Waker::noop());
        let start = tokio::time::Instant::now();
        let (arm, mut timers) = cost(TIMERS, || {
            let armed = (0..TIMERS).map(|number| {
                let mut timer = Box::pin(tokio::time::sleep(delay_of(number)));
                let _ = timer.as_mut().poll(&mut context);
                timer
            });
            armed.collect::<Vec<_>>()
        });
        let (rearm, ()) = cost(TIMERS, || {
            for (number, timer) in timers.iter_mut().enumerate() {
                timer.as_mut().reset(start + delay_of(number) + Duration::from_millis(100));
            }
        });
        let (cancel, ()) = cost(TIMERS, || drop(timers));
        let fired = Rc::new(Cell::new(0_usize));
        let tasks = tokio::task::LocalSet::new();
        for number in 0..TIMERS {
            let fired = fired.clone();
            tasks.spawn_local(async move {
                tokio::time::sleep(short_delay_of(number)).await;
                fired.set(fired.get() + 1);
            });
        }
        let before = own_cpu();
        tasks.await;
        let fire = (own_cpu() - before) as f64 / TIMERS as f64;
        assert_eq!(fired.get(), TIMERS);
        json!({ "arm": arm, "rearm": rearm, "cancel": cancel, "fire": fire })
    }))
}

fn our_dispatch() -> Result<Value, halfclose::Error> {
    let mut event_loop = EventLoop::new()?;
    fn tick(left: usize) {
        if left > 0 {
            next_tick(move || tick(left - 1));
        }
    }
    fn immediate(left: usize) {
        if left > 0 {
            set_immediate(move || immediate(left - 1));
        }
    }
    tick(DELIVERIES);
    let (ticks, result) = cost(DELIVERIES, || event_loop.run());
    result?;
    immediate(DELIVERIES);
    let (immediates, result) = cost(DELIVERIES, || event_loop.run());
    result?;
    // Bytes that are put back are delivered within the call where the socket flows.
    let delivered = Rc::new(Cell::new(0_usize));
    let seen = delivered.clone();
    let socket = Socket::new();
    socket.on_data(move |_, bytes| seen.set(seen.get() + bytes.len()));
    event_loop.run()?;
    let (data, ()) = cost(DELIVERIES, || {
        for _ in 0..DELIVERIES {
            socket.unshift(*b"x");
        }
    });
    assert_eq!(delivered.get(), DELIVERIES);
    Ok(json!({ "tick": ticks, "immediate": immediates, "data": data }))
}

fn tokio_dispatch() -> std::io::Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let turns = async {
        for _ in 0..DELIVERIES {
            tokio::task::yield_now().await;
        }
    };
    let (immediate, ()) = cost(DELIVERIES, || runtime.block_on(turns));
    // A task that wakes itself and is polled again, without the runtime looking at its drivers in between.
    let woken = std::future::poll_fn({
        let mut left = DELIVERIES;
        move |context: &mut Context<'_>| {
            left -= 1;
            context.waker().wake_by_ref();
            if left == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        }
    });
    let woken: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(woken);
    let (tick, result) = cost(DELIVERIES, || runtime.block_on(async { tokio::spawn(woken).await }));
    result.map_err(std::io::Error::other)?;
    Ok(json!({ "tick": tick, "immediate": immediate }))
}
