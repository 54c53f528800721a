//! An echo over a unix socket, server and client in one process.
//!
//! ```sh
//! cargo run --example unix_echo            # in the directory for temporary files
//! cargo run --example unix_echo -- PATH    # at a path of your own
//! ```
//!
//! It prints what happens at either end, and ends by itself. Nothing differs from TCP but the address: the same types, the
//! same events, the same half-close. The socket's file is made by `listen` and removed by `close`.

use std::path::PathBuf;
use std::process::ExitCode;

use halfclose::net::{self, ListenOptions, ServerOptions};
use halfclose::{Error, EventLoop};

fn main() -> ExitCode {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let path = given.unwrap_or_else(|| {
        // With the number of the process, so that two runs do not meet.
        std::env::temp_dir().join(format!("unix_echo-{}.sock", std::process::id()))
    });
    match serve(path) {
        Ok(()) => ExitCode::SUCCESS,
        // A file that an earlier program left behind, for instance: what it may be worth is for people to decide.
        Err(error) => {
            eprintln!("unix_echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(path: PathBuf) -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;

    // Half-open, so that the answer may still be on its way when the client has ended.
    let server = net::create_server_with(ServerOptions::new().allow_half_open(true), |socket| {
        println!("server: connection");
        socket.on_data(|socket, bytes| {
            println!("server: {}", String::from_utf8_lossy(bytes).trim_end());
            if !socket.write(bytes) {
                socket.pause();
            }
        });
        socket.on_drain(|socket| {
            socket.resume();
        });
        socket.on_end(|socket| {
            socket.end();
        });
        socket.on_error(|_, error| eprintln!("server: {error}"));
    });
    server.on_close(|_| println!("server: closed"));

    // Everybody of this machine may connect: that takes the permission to write.
    let options = ListenOptions::new().path(&path).readable_all(true).writable_all(true);
    server.listen_with(options, move |server| {
        println!("server: listening");
        // The path that was given above, as Node's `server.address()` has it.
        let Some(path) = server.path() else { return };
        let connected = net::connect_with(path, |client| {
            println!("client: connected");
            client.end_data("hello over a unix socket\n");
        });
        // A path that nobody listens at is an `error` event. An `Err` is what Node throws: no path at all, for instance.
        let Ok(client) = connected else { return };
        client.on_data(|_, bytes| println!("client: {}", String::from_utf8_lossy(bytes).trim_end()));
        client.on_error(|_, error| eprintln!("client: {error}"));
        client.on_close(move |_, _| {
            println!("client: closed");
            server.close();
        });
    })?;

    event_loop.run()?;
    println!("the file is {}", if path.exists() { "still there" } else { "gone" });
    Ok(())
}
