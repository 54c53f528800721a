//! The smallest conversation: a server and a client in one process, greeting each other.
//!
//! ```sh
//! cargo run --release --example hello
//! ```
//!
//! It ends by itself: when the client has closed, nothing is left that keeps the event loop alive.

use halfclose::{Error, EventLoop, net};

fn main() -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;

    let server = net::create_server(|socket| {
        socket.on_data(|_, bytes| println!("server: client send message: {}", text(bytes)));
        socket.write("hello client");
    });
    server.on_close(|_| println!("server: closed"));
    server.on_listening(|server| {
        let Some(address) = server.address() else { return };
        println!("server listening on {address}");
        if let Err(error) = start_client(server, address) {
            eprintln!("client: {error}");
            server.close();
        }
    });
    server.listen(("127.0.0.1", 0))?;

    event_loop.run()
}

fn start_client(server: net::Server, address: std::net::SocketAddr) -> Result<(), Error> {
    let client = net::connect_with(address, |client| {
        client.write("hello server!\r\n");
    })?;
    client.on_data(|client, bytes| {
        println!("client: server send message: {}", text(bytes));
        client.end();
    });
    client.on_end(|_| println!("client: disconnected from server"));
    client.on_close(move |_, _| {
        server.close();
    });
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_string()
}
