//! The house rules, held by a test: which floor may import which, what may be written where, and how a file begins.
//!
//! May touch: std, and the sources of this package as text. Invariant: every rule is a test of its own, and shows on a
//! bad snippet that it would notice before it says that the sources are good, so no rule passes because it went blind.

#[path = "tidy/documentation.rs"]
mod documentation;
#[path = "tidy/feature_table.rs"]
mod feature_table;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/user_code.rs"]
mod user_code;
#[path = "tidy/words.rs"]
mod words;

use source::{Source, sources};
use words::{Exception, MOST_LINES, without};

/// What a rule is: it looks at one file and says what it finds, one line each, beginning with `path:line`.
type Rule = fn(&Source) -> Vec<String>;

/// Shows that `rule` notices each bad snippet (a path, the text, a word of the finding) and leaves the good ones alone.
#[track_caller]
fn check(rule: Rule, bad: &[(&str, &str, &str)], good: &[(&str, &str)]) {
    for (path, text, word) in bad {
        let findings = rule(&Source::new(path, text));
        assert!(findings.iter().any(|finding| finding.contains(word)), "not noticed in {path}: {text}\n{findings:?}");
    }
    for (path, text) in good {
        let findings = rule(&Source::new(path, text));
        assert!(findings.is_empty(), "wrongly noticed in {path}: {text}\n{findings:?}");
    }
}

/// Holds `rule` against every file of the folders.
#[track_caller]
fn hold(rule: Rule, folders: &[&str], exceptions: &[Exception]) {
    let mut findings = Vec::new();
    for folder in folders {
        findings.extend(sources(folder).iter().flat_map(rule));
    }
    let findings = without(exceptions, findings);
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// Floors import downwards only.
#[test]
fn floors_import_downwards() {
    check(
        floors::imports_go_down,
        &[
            ("reactor/ticks.rs", "use crate::event_loop::Inner;", "upwards"),
            ("sys/stream.rs", "use crate::reactor::Handle;", "upwards"),
            ("sys/stream.rs", "fn f() { crate::timers::next_tick(|| {}) }", "upwards"),
            ("event_loop/core.rs", "use crate::{\n    error::Error,\n    net::{self, Socket},\n};", "net: upwards"),
            ("reactor/mod.rs", "use super::event_loop::Inner;", "event_loop::Inner: upwards"),
            ("reactor/ticks.rs", "mod inner { use super::super::super::net::Socket; }", "net::Socket: upwards"),
            ("net/socket.rs", "use crate::reactor::Handle;", "only through"),
            ("net/socket.rs", "use crate::sys::{Family, Time};", "sys::Time: floor 4"),
            ("timers.rs", "use crate::sys::Time;", "only through"),
            ("error.rs", "use crate::sys::Time;", "sys::errno"),
            ("error.rs", "use crate::event_loop::Inner;", "sys::errno"),
            ("sys/stream.rs", "use crate::Error;", "no module"),
            ("net/socket.rs", "use crate::*;", "the whole crate"),
            ("helpers.rs", "use crate::sys::Time;", "no floor"),
        ],
        &[
            (
                "event_loop/core.rs",
                "use crate::reactor::{Handle, ticks::{self, Tick}};\nuse crate::sys::{Clock, Time,};",
            ),
            (
                "reactor/ticks.rs",
                "/// [`X`](crate::event_loop::X)\nuse crate::sys::Time; // crate::net\nfn f() { \"crate::net\"; }",
            ),
            ("reactor/ticks.rs", "use super::Handle;\nmod tests { use super::*; use super::super::Reactor; }"),
            (
                "net/mod.rs",
                "pub use crate::sys::Family;\nuse crate::event_loop::current;\npub(in crate::net) fn f() {}",
            ),
            ("net/server.rs", "use crate::timers::next_tick;\nuse super::Socket;"),
            ("error.rs", "pub(crate) use crate::sys::errno::Errno;"),
            ("lib.rs", "pub use crate::net::Socket;"),
        ],
    );
    hold(floors::imports_go_down, &["src"], &[]);
}

/// Law 7: `unsafe`, `libc` and conditions on the target are in `sys`. One small file of `event_loop` may have `unsafe` too.
#[test]
fn the_system_is_reached_through_sys() {
    check(
        words::the_system_is_reached_through_sys,
        &[
            ("reactor/ticks.rs", "fn f() { unsafe { g() } }", "unsafe"),
            ("event_loop/mod.rs", "use libc::c_int;", "libc"),
            ("event_loop/closures.rs", "use libc::c_int;", "libc"),
            ("net/socket.rs", "#[cfg(target_os = \"linux\")]\nfn f() {}", "cfg"),
            ("net/socket.rs", "#[cfg(not(target_os = \"linux\"))]\nfn f() {}", "cfg"),
            ("net/socket.rs", "#[cfg(unix)]\nfn f() {}", "cfg"),
            ("error.rs", "fn f() -> bool { cfg!(windows) }", "cfg"),
            ("lib.rs", "#![cfg_attr(target_os = \"linux\", no_std)]", "cfg_attr"),
        ],
        &[
            ("sys/stream.rs", "#[cfg(target_os = \"linux\")]\nfn f() { unsafe { libc::close(0) } }"),
            ("net/chunk.rs", "#[cfg(test)]\nmod tests {}\n#[cfg(feature = \"bytes\")]\nfn f() { /* unsafe libc */ }"),
        ],
    );
    let exceptions = [Exception {
        path: "event_loop/closures.rs",
        word: "unsafe",
        why: "the one audited file: closures that have no bytes, and boxes without the code of theirs; its reasons are written down, and its tests are for Miri",
    }];
    hold(words::the_system_is_reached_through_sys, &["src"], &exceptions);
}

/// Law 7: each piece of `unsafe` says why it is sound, in the tests as well.
#[test]
fn unsafe_code_says_why() {
    check(
        words::unsafe_code_says_why,
        &[
            ("sys/x.rs", "fn f() {\n    unsafe { g() }\n}", "SAFETY"),
            ("sys/x.rs", "// SAFETY: no.\nfn f() {\n    let a = 1;\n    let b = unsafe { g() };\n}", "SAFETY"),
            ("sys/x.rs", "// SAFETY: one.\nlet a = unsafe { g() };\nlet b = unsafe { g() };", ":3"),
            ("sys/x.rs", "unsafe impl Send for X {}", "SAFETY"),
            ("sys/x.rs", "/// Does it.\nunsafe fn f() {}", "# Safety"),
            ("sys/x.rs", "let a = \"// SAFETY\";\nlet b = unsafe { g() };", "SAFETY"),
        ],
        &[
            ("sys/x.rs", "fn f() {\n    // SAFETY: it is open.\n    let a: u8 =\n        unsafe { g() };\n}"),
            ("sys/x.rs", "// SAFETY: a number,\n// nothing else.\nif h(unsafe { g() }) {}"),
            ("sys/x.rs", "/// Does it.\n///\n/// # Safety\n///\n/// Open.\nunsafe fn f() {}"),
            ("sys/x.rs", "// SAFETY: as std's.\nunsafe impl A for B {\n    fn g() {}\n    unsafe fn f() {}\n}"),
        ],
    );
    hold(words::unsafe_code_says_why, &["src", "tests", "benches"], &[]);
}

/// One thread-local, in one file.
#[test]
fn thread_locals_are_in_one_file() {
    check(
        words::thread_locals_are_in_one_file,
        &[("event_loop/core.rs", "thread_local! { static A: u8 = 0; }", "thread_local")],
        &[("event_loop/current.rs", "thread_local! { static A: u8 = 0; }"), ("net/mod.rs", "// thread_local!\n")],
    );
    let why = "with the feature `simulation` only: new sockets are made without naming their loop";
    let path = "sys/simulated/shared.rs";
    let exceptions = ["thread_local!", "thread_local"].map(|word| Exception { path, word, why });
    hold(words::thread_locals_are_in_one_file, &["src"], &exceptions);
    let current = sources("src").into_iter().find(|source| source.path == "event_loop/current.rs").expect("the file");
    assert_eq!(current.code.matches("thread_local!").count(), 1);
}

/// No `Rc`, no `RefCell`, no `Cell` in the reactor and below.
#[test]
fn the_reactor_owns_its_state() {
    check(
        words::state_is_owned,
        &[
            ("reactor/mod.rs", "use std::rc::Rc;", "Rc"),
            ("reactor/mod.rs", "struct A { b: std::cell::RefCell<u8> }", "RefCell"),
            ("sys/poller.rs", "struct A { b: Cell<u8> }", "Cell"),
        ],
        &[
            ("event_loop/core.rs", "use std::rc::Rc;"),
            ("reactor/mod.rs", "// Rc\nstruct SourceRc;\n#[cfg(test)]\nmod tests { use std::cell::Cell; }"),
        ],
    );
    let exceptions = [Exception {
        path: "sys/simulated/shared.rs",
        word: "RefCell",
        why: "the thread's simulated kernel: looked at within one statement, and set and cleared by its loop",
    }];
    hold(words::state_is_owned, &["src"], &exceptions);
}

/// No closures in the reactor's state.
#[test]
fn the_reactor_stores_no_closures() {
    check(
        words::the_reactor_stores_no_closures,
        &[
            ("reactor/mod.rs", "struct A { b: Box<dyn FnMut()> }", "dyn FnMut"),
            ("reactor/mod.rs", "struct A { b: Box<dyn Fn(u8)> }", "dyn Fn"),
            ("reactor/mod.rs", "struct A { b: fn(u8) }", "fn("),
        ],
        &[
            ("event_loop/core.rs", "type A = Box<dyn FnOnce()>;"),
            ("reactor/mod.rs", "fn a(b: Box<dyn AsRef<[u8]>>) {}"),
        ],
    );
    hold(words::the_reactor_stores_no_closures, &["src"], &[]);
}

/// Law 2, as far as a text shows it: where closures are kept.
#[test]
fn boxed_closures_are_kept_on_floor_3() {
    check(
        user_code::boxed_closures_are_kept_on_floor_3,
        &[("net/server.rs", "struct A { b: Box<dyn FnOnce()> }", "boxed")],
        &[("event_loop/core.rs", "type A = Box<dyn FnOnce()>;"), ("net/server.rs", "fn a(b: impl FnOnce()) {}")],
    );
    hold(user_code::boxed_closures_are_kept_on_floor_3, &["src"], &[]);
}

/// Law 2, as far as a text shows it: where they are taken out to be called.
#[test]
fn closures_are_taken_out_in_one_file() {
    check(
        user_code::closures_are_taken_out_in_one_file,
        &[
            ("event_loop/core.rs", "match a { Callback::Call(call) => call() }", "Callback::Call"),
            ("event_loop/core.rs", "if let Some(Callback::Complete(f)) = self.a() {}", "Callback::Complete"),
            ("event_loop/mod.rs", "let Some(Item::Call(call)) = item else { return };", "Item::Call"),
            ("net/socket.rs", "match a {\n    Action::User(mut b) if c => {}\n}", "Action::User"),
        ],
        &[
            ("event_loop/emit.rs", "if let Some(Callback::Call(call)) = callback {}"),
            ("event_loop/core.rs", "let id = self.insert(Callback::Call(callback));\nself.push(Item::Call(call));"),
            ("event_loop/callbacks.rs", "match a { Callback::Call(_) | Callback::Complete(_) => None }"),
        ],
    );
    hold(user_code::closures_are_taken_out_in_one_file, &["src"], &[]);
}

/// Law 2, as far as a text shows it: where closures are called. Each exception is a closure of the crate's own, or an
/// adapter that is itself the boxed listener and is called from `emit`.
#[test]
fn closures_are_called_in_one_file() {
    check(
        user_code::closures_are_called_in_one_file,
        &[
            ("event_loop/core.rs", "fn a(callback: Box<dyn FnOnce()>) { callback() }", "callback"),
            ("event_loop/mod.rs", "fn a(&self) { (self.hook)(1); }", "(…)"),
            ("event_loop/mod.rs", "fn a(&self) { self.hook.borrow_mut()(1); }", "(…)"),
            ("net/server.rs", "fn a(f: impl FnOnce()) -> u8 { if b { return f() } }", "f"),
        ],
        &[
            ("event_loop/emit.rs", "fn a(call: Box<dyn FnOnce()>) { call() }"),
            (
                "event_loop/core.rs",
                "use a::{self, b};\n#[derive(Clone)]\nfn c(x: Option<u8>) { b(1); c(Some(2)); x.d(); e::f(); \
                 if (g) {}; h!(i); drop(x); let (j, k) = (1, 2); }",
            ),
        ],
    );
    let own = "a command of the crate's own, run on the loop's state";
    let taped = "the call of the system that is recorded, or what writes its answer down; the crate's own";
    let adapter = "an adapter: it is the listener that `emit` calls, and hands the arguments on";
    let exceptions = [
        Exception { path: "net/pipe.rs", word: "at_end", why: own },
        Exception { path: "reactor/properties.rs", word: "bytes", why: own },
        Exception { path: "event_loop/turn.rs", word: "next", why: own },
        Exception { path: "reactor/connecting.rs", word: "failed", why: "makes the error of a bind" },
        Exception { path: "sys/stream.rs", word: "call", why: "a system call, made again when a signal interrupts it" },
        Exception { path: "sys/stream.rs", word: "again", why: "the same, for calls that are made here directly" },
        Exception {
            path: "event_loop/closures.rs",
            word: "wrap",
            why: "makes an adapter of a listener; the crate's own",
        },
        Exception { path: "event_loop/closures.rs", word: "(…)", why: "the call that `emit` makes" },
        Exception {
            path: "event_loop/closures.rs",
            word: "closure",
            why: "what `emit` calls: a listener, by its code",
        },
        Exception { path: "event_loop/current.rs", word: "view", why: own },
        Exception { path: "event_loop/recording.rs", word: "live", why: taped },
        Exception { path: "sys/taped/acceptor.rs", word: "made", why: taped },
        Exception { path: "sys/taped/poller.rs", word: "live", why: taped },
        Exception { path: "sys/taped/stream.rs", word: "made", why: taped },
        Exception { path: "sys/taped/tape.rs", word: "live", why: taped },
        Exception { path: "sys/taped/tape.rs", word: "payload", why: taped },
        Exception { path: "event_loop/panics.rs", word: "part", why: "a part of the loop's own work" },
        Exception { path: "event_loop/current.rs", word: "listener", why: adapter },
        Exception { path: "net/mod.rs", word: "on_connection", why: adapter },
        Exception { path: "net/server_events.rs", word: "listener", why: adapter },
        Exception { path: "net/server.rs", word: "callback", why: adapter },
        Exception { path: "net/server_settings.rs", word: "listener", why: adapter },
        Exception { path: "net/server_settings.rs", word: "callback", why: adapter },
        Exception { path: "net/server_settings.rs", word: "read", why: own },
        Exception { path: "net/bounds.rs", word: "listener", why: adapter },
        Exception { path: "net/server_bounds.rs", word: "listener", why: adapter },
        Exception { path: "net/socket_events.rs", word: "listener", why: adapter },
        Exception { path: "net/socket_events.rs", word: "view", why: own },
        Exception { path: "net/connecting_events.rs", word: "listener", why: adapter },
        Exception { path: "net/stream_events.rs", word: "listener", why: adapter },
        Exception { path: "net/reading.rs", word: "callback", why: adapter },
        Exception {
            path: "net/reading.rs",
            word: "generate",
            why: "makes the next buffer, within the caller's call or its callback",
        },
        Exception { path: "watches.rs", word: "on_ready", why: adapter },
        Exception {
            path: "net/socket_state.rs",
            word: "f",
            why: "`with_data` gives a value to the caller's own closure, within the caller's call",
        },
    ];
    hold(user_code::closures_are_called_in_one_file, &["src"], &exceptions);
}

/// Every file begins with what it is, what it may touch and what holds in it.
#[test]
fn files_introduce_themselves() {
    check(
        words::files_introduce_themselves,
        &[
            ("a.rs", "use b::c;\n", "//!"),
            ("a.rs", "\n//! What it is.\n", "//!"),
            ("a.rs", "//!\n", "//!"),
            ("a.rs", "//! A\n", "//!"),
        ],
        &[("a.rs", "//! What it is.\n")],
    );
    hold(words::files_introduce_themselves, &["src", "tests", "examples", "benches"], &[]);
}

/// No arm for all the rest in the reactor.
#[test]
fn the_reactor_matches_exhaustively() {
    check(
        words::the_reactor_matches_exhaustively,
        &[
            ("reactor/mod.rs", "match a { A::B => 1, _ => 2 }", "_ =>"),
            ("reactor/mod.rs", "match a { A::B => 1, _ if c => 2, A::C => 3 }", "_ =>"),
        ],
        &[
            ("net/mod.rs", "match a { A::B => 1, _ => 2 }"),
            (
                "reactor/mod.rs",
                "match a { A::B(_) => 1, A::C { .. } => 2 }\n#[cfg(test)]\nmod tests { match a { _ => 1 } }",
            ),
        ],
    );
    hold(words::the_reactor_matches_exhaustively, &["src"], &[]);
}

/// Every public function has its page in the manual: an example, and the member of Node's that it mirrors.
#[test]
fn functions_are_explained() {
    let link = "/// [`a.b()`]: https://nodejs.org/api/net.html#ab\n";
    let page = |text: &str, link: &str| {
        format!("/// Mirrors {text}.\n///\n/// ```\n/// a();\n/// ```\n///\n{link}pub fn a() {{}}\n")
    };
    let no_example = format!("/// Mirrors [`a.b()`].\n///\n{link}pub fn a() {{}}\n");
    let not_run = format!("/// [`a.b()`]\n///\n/// ```no_run\n/// a();\n/// ```\n{link}pub fn a() {{}}\n");
    let no_link = page("`a.b()`", "");
    let elsewhere = page("[`a.b()`]", "/// [`a.b()`]: https://example.com/api/net.html#ab\n");
    let unused = page("[`a.c()`]", link);
    let in_a_macro = format!("plain! {{\n    /// On.\n    pub fn on;\n{}}}\n", page("[`a.b()`]", link));
    let good = page("[`a.b()`]", link);
    let node_has_none = page("Node's nothing. Not in Node", "");
    check(
        documentation::functions_are_explained,
        &[
            ("net/pipe.rs", "pub fn a() {}\n", "names nothing"),
            ("net/pipe.rs", "pub fn a() {}\n", "no example"),
            ("net/pipe.rs", &no_example, "no example"),
            ("net/pipe.rs", &not_run, "no example"),
            ("net/pipe.rs", &no_link, "names nothing"),
            ("net/pipe.rs", &elsewhere, "names nothing"),
            ("net/pipe.rs", &unused, "does not use"),
            ("net/pipe.rs", &in_a_macro, "on has no example"),
            (
                "net/pipe.rs",
                &format!("{good}impl A {{\n    #[must_use]\n    pub const fn b() {{}}\n}}\n"),
                "b has no example",
            ),
        ],
        &[
            ("net/pipe.rs", &good),
            ("net/pipe.rs", &node_has_none),
            ("net/pipe.rs", "pub(crate) fn a() {}\nfn b() {}\npub(super) fn c() {}\n"),
            ("net/pipe.rs", "macro_rules! a { ($(#[$doc:meta])* pub fn $b:ident;) => { pub fn $b() {} } }\n"),
            ("reactor/mod.rs", "pub fn a() {}\n"),
        ],
    );
    hold(documentation::functions_are_explained, &["src"], &[]);
    let paths: Vec<String> = sources("src").into_iter().map(|source| source.path).collect();
    for covered in documentation::COVERED {
        assert!(paths.iter().any(|path| documentation::covers(covered, path)), "there is no {covered}");
    }
}

/// Nothing unfinished, and nothing printed.
#[test]
fn nothing_is_left_over() {
    check(
        words::nothing_is_left_over,
        &[
            ("a.rs", "fn a() { todo!() }", "todo!"),
            ("a.rs", "fn a() { unimplemented!() }", "unimplemented!"),
            ("a.rs", "fn a() { dbg!(1); }", "dbg!"),
            ("a.rs", "fn a() { println!(\"a\"); }", "println!"),
            ("a.rs", "fn a() { eprint!(\"a\"); }", "eprint!"),
        ],
        &[("a.rs", "/// ```\n/// println!(\"a\");\n/// ```\nfn todo() {}")],
    );
    hold(words::nothing_is_left_over, &["src"], &[]);
}

/// What may panic by its name, outside of unit tests.
#[test]
fn only_promised_panics() {
    check(
        words::what_panics,
        &[
            ("a.rs", "fn a() { panic!(\"a\") }", "panic!"),
            ("a.rs", "fn a() { b.unwrap() }", "unwrap()"),
            ("a.rs", "fn a() { b.expect(\"c\") }", ".expect("),
            ("a.rs", "fn a() { assert!(b) }", "assert!"),
        ],
        &[
            ("a.rs", "fn a() { b.unwrap_or(1); current::expect(c); b.unwrap_or_default() } // panic!\n"),
            ("a.rs", "/// b.unwrap()\n#[cfg(test)]\nmod tests { fn a() { b.unwrap() } }"),
        ],
    );
    let promised = "documented: creators without an event loop";
    let exceptions = [
        Exception { path: "event_loop/current.rs", word: "panic!", why: promised },
        Exception { path: "event_loop/current.rs", word: "assert!", why: "documented: a second loop on one thread" },
        Exception { path: "reactor/handle.rs", word: "unwrap()", why: "evaluated by the compiler" },
        Exception {
            path: "sys/poller.rs",
            word: "debug_assert_ne!",
            why: "the waker's token; the reactor makes no such token",
        },
        Exception {
            path: "event_loop/closures.rs",
            word: "assert!",
            why: "known when it is compiled: nobody has a pointer to the code of a closure that has bytes; and sizes",
        },
        Exception { path: "sys/events.rs", word: "assert!", why: "the kernel's numbers, evaluated by the compiler" },
        Exception { path: "event_loop/attachments.rs", word: "assert!", why: "a size, evaluated by the compiler" },
        Exception {
            path: "event_loop/attachments.rs",
            word: "debug_assert!",
            why: "who is read the usual way has a listener here: every test of the crate checks it",
        },
        Exception { path: "reactor/connections.rs", word: "assert!", why: "a size, evaluated by the compiler" },
        Exception {
            path: "reactor/connections.rs",
            word: "debug_assert!",
            why: "what it remembers is true: every test of the crate checks it, and nothing outside can change it",
        },
        Exception {
            path: "reactor/serving.rs",
            word: "debug_assert!",
            why: "a quiet turn leaves nothing ready: every test of the crate checks it",
        },
        Exception {
            path: "reactor/timers.rs",
            word: "assert!",
            why: "sixteen million timers: documented, not to be had from outside",
        },
        Exception {
            path: "reactor/timer_kind.rs",
            word: "assert!",
            why: "half a billion callbacks that wait: documented, memory ends long before",
        },
    ];
    hold(words::what_panics, &["src"], &exceptions);
}

/// A file has one subject.
#[test]
fn files_are_short() {
    let long = "fn a() {}\n".repeat(MOST_LINES + 1);
    let tested = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    check(words::files_are_short, &[("a.rs", &long, "701 lines")], &[("a.rs", &tested)]);
    // The guide is one page of documentation, and not to be cut in two.
    let exceptions = [Exception { path: "porting.rs", word: "959 lines", why: "documentation only" }];
    hold(words::files_are_short, &["src"], &exceptions);
}

/// Every dependency says what it is for.
#[test]
fn dependencies_say_what_for() {
    let good = "[package]\nname = \"a\"\n\n[dependencies]\n# For b.\nb = \"1\"\n# For c.\nc = { version = \"1\", features = [\n    \"d\",\n] }\n";
    assert!(words::dependencies_say_what_for(good).is_empty());
    for bad in [
        "[dependencies]\nb = \"1\"\n",
        "[dependencies]\n# For b.\nb = \"1\"\nc = \"1\"\n",
        "[dev-dependencies]\nb = \"1\"\n",
        "[target.'cfg(unix)'.dependencies]\nb.version = \"1\"\n",
        "[dependencies.b]\nversion = \"1\"\n",
    ] {
        assert_eq!(words::dependencies_say_what_for(bad).len(), 1, "{bad}");
    }
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("the manifest");
    assert!(manifest.contains("[dependencies]"));
    let findings = words::dependencies_say_what_for(&manifest);
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// No test waits for a while and hopes. There are no exceptions: to be busy, a test spins on the clock; to wait for
/// another thread, it waits for a message with a deadline.
#[test]
fn tests_do_not_sleep() {
    check(
        words::tests_do_not_sleep,
        &[
            ("a.rs", "fn a() { std::thread::sleep(b); }", "sleep("),
            ("a.rs", "use std::thread::sleep;\nfn a() { sleep(b) }", "sleep("),
        ],
        &[("a.rs", "// sleep(1)\nfn asleep() {}\nfn oversleep() { asleep() }")],
    );
    hold(words::tests_do_not_sleep, &["tests"], &[]);
}

/// An exception that nothing needs any more is a finding, and so is a finding of another word or file.
#[test]
fn exceptions_are_exact() {
    let exceptions = [Exception { path: "a.rs", word: "panic!", why: "promised" }];
    assert!(without(&exceptions, vec!["a.rs:3: panic!".into(), "a.rs:9: panic!".into()]).is_empty());
    assert_eq!(without(&exceptions, vec!["a.rs:3: panic!".into(), "b.rs:3: panic!".into()]), ["b.rs:3: panic!"]);
    assert_eq!(without(&exceptions, vec!["a.rs:3: panic!".into(), "a.rs:3: assert!".into()]), ["a.rs:3: assert!"]);
    assert_eq!(without(&exceptions, Vec::new()).len(), 1);
}
