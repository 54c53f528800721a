//! The both-end matrix: what the client and the accepted socket see in each way a connection can go, as one table.
//!
//! Every row is a scenario with the complete sequence of either end: the client's after its `ready`, the accepted
//! socket's after its `connection`. Both ends have a `data` listener and `allow_half_open` is off unless the row says
//! otherwise. Where one end waits for the other, it waits for the event, never for a time.

mod support;

use std::time::Duration;

use halfclose::net::{ConnectOptions, ServerOptions, Socket};
use support::{Log, Stage, callback, watch_data};

/// One row of the matrix.
struct Row {
    name: &'static str,
    server_options: fn() -> ServerOptions,
    client_options: fn() -> ConnectOptions,
    accepted: fn(Stage, Socket),
    client: fn(Stage, Socket),
    client_sees: &'static str,
    accepted_sees: &'static str,
}

const MATRIX: &[Row] = &[
    Row {
        name: "X1: the client ends with data",
        client: |stage, socket| {
            watch_data(&stage.log, "C", socket);
            socket.on_connect(move |socket| {
                socket.end_data_with("hi", callback(&stage.log, "C", "endcb"));
            });
        },
        client_sees: "| ~ endcb, finish | ~ end |x close(false)",
        accepted_sees: "| data | ~ end | ~ finish |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X2: the server ends with data",
        accepted: |stage, socket| {
            watch_data(&stage.log, "S", socket);
            socket.end_data_with("bye", callback(&stage.log, "S", "endcb"));
        },
        client_sees: "| data | ~ end | ~ finish |x close(false)",
        accepted_sees: "| ~ endcb, finish | ~ end |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X3: both end at once",
        accepted: |stage, socket| {
            watch_data(&stage.log, "S", socket);
            socket.end();
        },
        client: end_in_connect,
        client_sees: "| ~ finish | ~ end |x close(false)",
        accepted_sees: "| ~ finish | ~ end |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X4: the client ends, the half-open server answers later",
        server_options: half_open_server,
        accepted: |stage, socket| {
            watch_data(&stage.log, "S", socket);
            socket.on_end(move |socket| {
                halfclose::set_immediate(move || {
                    stage.log.add("S", "[write,end]");
                    socket.write("late");
                    socket.end_with(callback(&stage.log, "S", "endcb"));
                });
            });
        },
        client: |stage, socket| {
            watch_data(&stage.log, "C", socket);
            socket.on_connect(|socket| {
                socket.end_data("q");
            });
        },
        client_sees: "| ~ finish | data | ~ end |x close(false)",
        accepted_sees: "| data | ~ end | [write,end] | ~ endcb, finish |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X5: the server ends, the half-open client answers later",
        client_options: half_open_client,
        accepted: |stage, socket| {
            watch_data(&stage.log, "S", socket);
            socket.end_data("x");
        },
        client: |stage, socket| {
            watch_data(&stage.log, "C", socket);
            socket.on_end(move |socket| {
                halfclose::set_immediate(move || {
                    stage.log.add("C", "[write,end]");
                    socket.write_with("late", callback(&stage.log, "C", "writecb"));
                    socket.end_with(callback(&stage.log, "C", "endcb"));
                });
            });
        },
        client_sees: "| data | ~ end | [write,end] ~ writecb | ~ endcb, finish |x close(false)",
        accepted_sees: "| ~ finish | data | ~ end |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X6: both half-open, the server ends later",
        server_options: half_open_server,
        client_options: half_open_client,
        accepted: |stage, socket| {
            watch_data(&stage.log, "S", socket);
            socket.on_end(move |_| {
                stage.meet(2, move || {
                    stage.accepted().end();
                })
            });
        },
        client: |stage, socket| {
            end_in_connect(stage, socket);
            socket.on_finish(move |_| {
                stage.meet(2, move || {
                    stage.accepted().end();
                })
            });
        },
        client_sees: "| ~ finish | ~ end |x close(false)",
        accepted_sees: "| ~ end | ~ finish |x close(false)",
    },
    Row {
        name: "X7: the client destroys in connect",
        client: |stage, socket| {
            watch_data(&stage.log, "C", socket);
            socket.on_connect(|socket| {
                socket.destroy();
            });
        },
        client_sees: "|x close(false)",
        accepted_sees: "| ~ end | ~ finish |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X8: the client destroys in connect with an error",
        client: |stage, socket| {
            watch_data(&stage.log, "C", socket);
            socket.on_connect(|socket| {
                socket.destroy_with("boom");
            });
        },
        client_sees: "~ error(boom) |x close(true)",
        accepted_sees: "| ~ end | ~ finish |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X9: the client destroys in data, nothing more under way",
        accepted: |stage, socket| {
            watch_data(&stage.log, "S", socket);
            socket.write("A");
        },
        client: destroy_in_data,
        client_sees: "| data |x close(false)",
        accepted_sees: "| ~ end | ~ finish |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X10: the client destroys in data, more data unread",
        accepted: |stage, socket| {
            watch_data(&stage.log, "S", socket);
            socket.write(MORE_THAN_ONE_READ);
        },
        client: destroy_in_data,
        client_sees: "| data |x close(false)",
        accepted_sees: "| ~ error(read ECONNRESET) |x close(true)",
        ..PLAIN
    },
    Row {
        name: "X11: the server ends, the client destroys in end",
        accepted: |stage, socket| {
            watch_data(&stage.log, "S", socket);
            socket.end_data("A");
        },
        client: |stage, socket| {
            watch_data(&stage.log, "C", socket);
            socket.on_end(|socket| {
                socket.destroy();
            });
        },
        client_sees: "| data | ~ end |x close(false)",
        accepted_sees: "| ~ finish | ~ end |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X12: the client writes and destroys soon",
        client: |stage, socket| {
            watch_data(&stage.log, "C", socket);
            socket.on_connect(move |socket| {
                socket.write_with("zzz", callback(&stage.log, "C", "writecb"));
                socket.destroy_soon();
            });
        },
        client_sees: "~ writecb | ~ finish |x close(false)",
        accepted_sees: "| data | ~ end | ~ finish |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X13: the client resets",
        accepted: |stage, socket| {
            watch_data(&stage.log, "S", socket);
            stage.meet(2, move || {
                stage.client().reset_and_destroy().expect("a TCP socket");
            });
        },
        client: |stage, socket| {
            watch_data(&stage.log, "C", socket);
            socket.on_ready(move |_| {
                stage.meet(2, move || {
                    stage.client().reset_and_destroy().expect("a TCP socket");
                })
            });
        },
        client_sees: "|x close(false)",
        accepted_sees: "| ~ error(read ECONNRESET) |x close(true)",
        ..PLAIN
    },
    Row {
        name: "X14: the server destroys in connection",
        accepted: |_, socket| {
            socket.destroy();
        },
        client_sees: "| ~ end | ~ finish |x close(false)",
        accepted_sees: "|x close(false)",
        ..PLAIN
    },
    Row {
        name: "X16: both destroy in one turn",
        accepted: |stage, socket| {
            watch_data(&stage.log, "S", socket);
            let server = socket.server().expect("an accepted socket");
            // The server's `close` is logged with the accepted socket, before whose own `close` it comes.
            server.on_close(move |_| stage.log.add("S", "srv close"));
            server.close();
            stage.meet(2, move || destroy_both(stage));
        },
        client: |stage, socket| {
            watch_data(&stage.log, "C", socket);
            socket.on_ready(move |_| stage.meet(2, move || destroy_both(stage)));
        },
        client_sees: "|x close(false)",
        accepted_sees: "| ~ srv close |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X17: the client ends, the half-open server resets later",
        server_options: half_open_server,
        accepted: |stage, socket| {
            watch_data(&stage.log, "S", socket);
            socket.on_end(move |_| {
                stage.meet(2, move || {
                    stage.accepted().reset_and_destroy().expect("a TCP socket");
                })
            });
        },
        client: |stage, socket| {
            end_in_connect(stage, socket);
            socket.on_finish(move |_| {
                stage.meet(2, move || {
                    stage.accepted().reset_and_destroy().expect("a TCP socket");
                })
            });
        },
        client_sees: "| ~ finish | ~ error(read ECONNRESET) |x close(true)",
        accepted_sees: "| ~ end |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X18: the client ends, the half-open server destroys later",
        server_options: half_open_server,
        accepted: |stage, socket| {
            watch_data(&stage.log, "S", socket);
            socket.on_end(move |_| {
                stage.meet(2, move || {
                    stage.accepted().destroy();
                })
            });
        },
        client: |stage, socket| {
            end_in_connect(stage, socket);
            socket.on_finish(move |_| {
                stage.meet(2, move || {
                    stage.accepted().destroy();
                })
            });
        },
        client_sees: "| ~ finish | ~ end |x close(false)",
        accepted_sees: "| ~ end |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X19: the client destroys in timeout",
        client: |stage, socket| {
            watch_data(&stage.log, "C", socket);
            socket.on_connect(|socket| {
                socket.set_timeout(Duration::from_millis(10));
            });
            socket.on_timeout(|socket| {
                socket.destroy();
            });
        },
        client_sees: "| timeout |x close(false)",
        accepted_sees: "| ~ end | ~ finish |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X20: the client ends with data that nobody consumes",
        accepted: |_, _| {},
        client: |stage, socket| {
            watch_data(&stage.log, "C", socket);
            socket.on_connect(|socket| {
                socket.end_data("data");
            });
            socket.on_finish(move |_| {
                // "Nothing" can only be seen by looking for a while.
                halfclose::set_timeout(Duration::from_millis(60), move || {
                    let server = stage.accepted().server().expect("an accepted socket");
                    stage.log.add("C", "[later]");
                    stage.log.add("S", format!("[later, {} connection]", server.connections()));
                    destroy_both(stage);
                });
            });
        },
        client_sees: "| ~ finish | [later] |x close(false)",
        accepted_sees: "| [later, 1 connection] |x close(false)",
        ..PLAIN
    },
    Row {
        name: "X21: the server destroys with unread input",
        server_options: || ServerOptions::new().pause_on_connect(true),
        accepted: |stage, _| {
            stage.meet(2, move || {
                stage.accepted().destroy();
            })
        },
        client: |stage, socket| {
            watch_data(&stage.log, "C", socket);
            socket.on_connect(move |socket| {
                // The callback of a write means that the kernel has it, and so has the other end's: this is loopback.
                socket.write_with(MORE_THAN_ONE_READ, move |_, _| {
                    stage.meet(2, move || {
                        stage.accepted().destroy();
                    });
                });
            });
        },
        client_sees: "| ~ error(read ECONNRESET) |x close(true)",
        accepted_sees: "|x close(false)",
        ..PLAIN
    },
    Row {
        name: "X22: the client is paused, the server ends, the client resumes later",
        accepted: |stage, socket| {
            watch_data(&stage.log, "S", socket);
            socket.end_data("bye");
            socket.on_finish(move |_| stage.meet(2, move || resume_client(stage)));
        },
        client: |stage, socket| {
            socket.pause();
            watch_data(&stage.log, "C", socket);
            socket.on_ready(move |_| stage.meet(2, move || resume_client(stage)));
        },
        client_sees: "| [resume] | data | ~ end | ~ finish |x close(false)",
        accepted_sees: "| ~ finish | ~ end |x close(false)",
        ..PLAIN
    },
];

/// Two sockets that only listen to `data`; every row differs from it in what it is about.
const PLAIN: Row = Row {
    name: "",
    server_options: ServerOptions::new,
    client_options: ConnectOptions::new,
    accepted: |stage, socket| watch_data(&stage.log, "S", socket),
    client: |stage, socket| watch_data(&stage.log, "C", socket),
    client_sees: "",
    accepted_sees: "",
};

/// More than one read of 64 KiB takes, and less than the kernel's buffers hold.
const MORE_THAN_ONE_READ: &[u8] = &[b'x'; 300_000];

fn half_open_server() -> ServerOptions {
    ServerOptions::new().allow_half_open(true)
}

fn half_open_client() -> ConnectOptions {
    ConnectOptions::new().allow_half_open(true)
}

fn end_in_connect(stage: Stage, socket: Socket) {
    watch_data(&stage.log, "C", socket);
    socket.on_connect(|socket| {
        socket.end();
    });
}

fn destroy_in_data(stage: Stage, socket: Socket) {
    watch_data(&stage.log, "C", socket);
    socket.on_data(|socket, _| {
        socket.destroy();
    });
}

fn destroy_both(stage: Stage) {
    stage.client().destroy();
    stage.accepted().destroy();
}

fn resume_client(stage: Stage) {
    stage.log.add("C", "[resume]");
    stage.client().resume();
}

/// Plays the row whose name begins with `number`, and compares both ends.
fn play(number: &str) {
    let row = MATRIX.iter().find(|row| row.name.split(':').next() == Some(number)).expect("a row of the matrix");
    let log: Log = Stage::play((row.server_options)(), (row.client_options)(), row.accepted, row.client);
    println!("{}\n  {}", row.name, log.whole());
    log.assert_of("C", &format!("connectionAttempt | connect, ready{}", joined(row.client_sees)));
    log.assert_of("S", &format!("connection{}", joined(row.accepted_sees)));
    assert!(log.of("srv").starts_with("listening | connection"), "srv: {}", log.of("srv"));
    assert!(log.of("srv").ends_with("close"), "srv: {}", log.of("srv"));
}

/// A sequence with the blank that its first separator needs when something stands before it.
fn joined(sequence: &str) -> String {
    format!(" {sequence}")
}

macro_rules! rows {
    ($($test:ident plays $number:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                play($number);
            }
        )*

        /// Every row of the table has its test, and the tests are those of the matrix without X15: there the server has no
        /// socket whose events could be compared, so it is tested with the server's other rules of admission.
        #[test]
        fn every_row_is_played() {
            let played = [$($number),*];
            let rows: Vec<&str> = MATRIX.iter().map(|row| row.name.split(':').next().expect("a number")).collect();
            assert_eq!(played.as_slice(), rows.as_slice());
            let expected: Vec<String> =
                (1..=22).filter(|&number| number != 15).map(|number| format!("X{number}")).collect();
            assert_eq!(rows, expected);
        }
    };
}

rows! {
    x1_client_ends plays "X1",
    x2_server_ends plays "X2",
    x3_both_end plays "X3",
    x4_half_open_server_answers plays "X4",
    x5_half_open_client_answers plays "X5",
    x6_both_half_open plays "X6",
    x7_client_destroys_in_connect plays "X7",
    x8_client_destroys_with_an_error plays "X8",
    x9_client_destroys_in_data plays "X9",
    x10_client_destroys_with_data_unread plays "X10",
    x11_client_destroys_in_end plays "X11",
    x12_client_destroys_soon plays "X12",
    x13_client_resets plays "X13",
    x14_server_destroys_in_connection plays "X14",
    x16_both_destroy plays "X16",
    x17_half_open_server_resets plays "X17",
    x18_half_open_server_destroys plays "X18",
    x19_client_destroys_in_timeout plays "X19",
    x20_nobody_consumes plays "X20",
    x21_server_destroys_with_unread_input plays "X21",
    x22_client_is_paused plays "X22",
}
