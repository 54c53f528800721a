//! Porting from Node: the things that people do with `net`, there and here.
//!
//! Documentation only: this module has no code, and touches nothing. Invariant: every piece of Rust below is run as a
//! test. What the pieces have in common is shown in the first one and left out of the others: making the loop, running
//! it, and the other end of the conversation (where a piece needs one, `address` is a server's).
//!
//! # The rules of translation
//!
//! | in Node | here |
//! |---|---|
//! | `socket.on('data', f)`, `once`, `off` | `on_data(f)`, `once_data(f)`, `off(id)` with what `on_data` returned. Listeners get their socket or server as first argument |
//! | a callback as last argument | the method with `_with`: `connect_with`, `listen_with`, `write_with`, `end_with`, `close_with`, `set_timeout_with` |
//! | optional data: `end('bye')` | a method of its own: `end_data("bye")` |
//! | an options object | a builder: `ServerOptions::new().no_delay(true)` |
//! | a property: `socket.bytesRead` | a method: `socket.bytes_read()` |
//! | milliseconds | [`Duration`](std::time::Duration) |
//! | what throws | an `Err` of the call |
//! | what emits `error` | the same, as [`Error`](crate::Error) with Node's `code()`, `syscall()`, `address()`, `port()` and message |
//! | `'127.0.0.1:80'`, `'/path'` as text | nothing: an address is a port, a pair, a `SocketAddr` or options |
//! | `ref()` (a keyword here) | `ref_()` |
//! | closures share variables | handles are `Copy` and are moved; a value of your own is moved into the closure, attached with [`set_data`](crate::net::Socket::set_data), or shared as `Rc<Cell<…>>` |
//! | the process runs while there is something to wait for | so does [`EventLoop::run`](crate::EventLoop::run) |
//!
//! # An echo server
//!
//! ```js
//! const server = net.createServer((socket) => {
//!   socket.on('error', (error) => console.error(error.message));
//!   socket.pipe(socket);
//! });
//! server.listen(0, '127.0.0.1');
//! ```
//!
//! ```
//! use halfclose::{EventLoop, net};
//!
//! let mut event_loop = EventLoop::new()?;
//! let server = net::create_server(|socket| {
//!     socket.on_error(|_, error| eprintln!("{error}"));
//!     socket.pipe(socket);
//! });
//! server.listen(("127.0.0.1", 0))?;
//! # server.on_listening(|server| {
//! #     let client = net::connect(server.address().unwrap()).unwrap();
//! #     client.end_data("hello");
//! #     client.on_data(|_, bytes| assert_eq!(bytes, b"hello"));
//! #     client.on_close(move |client, _| {
//! #         assert_eq!(client.bytes_read(), 5);
//! #         server.close();
//! #     });
//! # });
//! event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! # A client
//!
//! ```js
//! const socket = net.connect(address.port, address.address);
//! socket.write('hello');
//! socket.on('data', (bytes) => {
//!   console.log('%s', bytes);
//!   socket.end();
//! });
//! socket.on('end', () => console.log('the server has ended'));
//! socket.on('close', (hadError) => console.log('closed', hadError));
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = net::create_server(|socket| {
//! #     socket.on_error(|_, _| {});
//! #     socket.pipe(socket);
//! # });
//! # server.unref().listen(("127.0.0.1", 0))?;
//! # while !server.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let address = server.address().unwrap();
//! let socket = net::connect(address)?;
//! socket.write("hello");
//! socket.on_data(|socket, bytes| {
//!     println!("{}", String::from_utf8_lossy(bytes));
//!     socket.end();
//! });
//! socket.on_end(|_| println!("the server has ended"));
//! socket.on_close(|_, had_error| println!("closed {had_error}"));
//! # socket.on_close(|socket, _| assert_eq!(socket.bytes_read(), 5));
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! # When it is connected
//!
//! ```js
//! const socket = net.connect({ host: '127.0.0.1', port }, () => {
//!   console.log('from port', socket.localPort);
//!   socket.end('hello');
//! });
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = net::create_server(|socket| {
//! #     socket.on_error(|_, _| {});
//! #     socket.pipe(socket);
//! # });
//! # server.unref().listen(("127.0.0.1", 0))?;
//! # while !server.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let address = server.address().unwrap();
//! # let port = address.port();
//! let socket = net::connect_with(("127.0.0.1", port), |socket| {
//!     println!("from port {:?}", socket.local_port());
//!     socket.end_data("hello");
//! })?;
//! # socket.on_data(|_, bytes| assert_eq!(bytes, b"hello"));
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! What is written before that is queued, in both.
//!
//! # Listening on a free port
//!
//! ```js
//! server.listen(0, '127.0.0.1', () => {
//!   console.log('port', server.address().port);
//! });
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = net::create_server(|_| {});
//! server.listen_with(("127.0.0.1", 0), |server| {
//!     if let Some(address) = server.address() {
//!         println!("port {}", address.port());
//!     }
//! #     assert_ne!(server.address().unwrap().port(), 0);
//! #     server.close();
//! })?;
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! # Errors of a socket
//!
//! ```js
//! socket.on('error', (error) => {
//!   if (error.code === 'ECONNREFUSED') {
//!     console.error('nobody listens on', error.address, error.port);
//!   } else {
//!     console.error(error.message);
//!   }
//! });
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let socket = net::connect(("127.0.0.1", 1))?;
//! socket.on_error(|_, error| {
//!     if error.code() == Some("ECONNREFUSED") {
//!         eprintln!("nobody listens on {:?} {:?}", error.address(), error.port());
//!     } else {
//!         eprintln!("{error}");
//!     }
//! #     assert_eq!(error.code(), Some("ECONNREFUSED"));
//! });
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! `error.kind()` is std's `ErrorKind`, for those who prefer that to texts. Give every socket such a listener, as in
//! Node; what happens to an error without one is [further down](#what-nobody-caught).
//!
//! # The port is taken: try again
//!
//! ```js
//! server.on('error', (error) => {
//!   if (error.code === 'EADDRINUSE') {
//!     setTimeout(() => server.listen(port, '127.0.0.1'), 1000);
//!   }
//! });
//! server.listen(port, '127.0.0.1');
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let other = net::create_server(|_| {});
//! # other.listen(("127.0.0.1", 0))?;
//! # while !other.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let port = other.address().unwrap().port();
//! # let server = net::create_server(|_| {});
//! # server.once_listening(|server| {
//! #     server.close();
//! # });
//! # server.once_error(move |_, _| {
//! #     other.close();
//! # });
//! use std::time::Duration;
//! use halfclose::set_timeout;
//!
//! server.on_error(move |server, error| {
//!     if error.code() == Some("EADDRINUSE") {
//!         set_timeout(Duration::from_secs(1), move || {
//!             if let Err(error) = server.listen(("127.0.0.1", port)) {
//!                 eprintln!("{error}");
//!             }
//!         });
//!     }
//! });
//! server.listen(("127.0.0.1", port))?;
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! # The idle timeout
//!
//! ```js
//! socket.setTimeout(3000);
//! socket.on('timeout', () => {
//!   console.log('too quiet');
//!   socket.destroy();
//! });
//! ```
//!
//! ```
//! use std::time::Duration;
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = net::create_server(|socket| {
//! #     socket.on_error(|_, _| {});
//! #     socket.pipe(socket);
//! # });
//! # server.unref().listen(("127.0.0.1", 0))?;
//! # while !server.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let address = server.address().unwrap();
//! # let socket = net::connect(address)?;
//! # const IDLE: Duration = Duration::from_millis(30);
//!
//! socket.set_timeout(IDLE);
//! socket.on_timeout(|socket| {
//!     println!("too quiet");
//!     socket.destroy();
//! });
//! # socket.resume();
//! # let told = std::rc::Rc::new(std::cell::Cell::new(0));
//! # let counter = told.clone();
//! # socket.on_timeout(move |_| counter.set(counter.get() + 1));
//! # event_loop.run()?;
//! # assert_eq!(told.get(), 1);
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! It is a notification in both: without `destroy` the connection stays open. A callback given along
//! (`set_timeout_with`) is called once, as in Node.
//!
//! # `setNoDelay` and `setKeepAlive`
//!
//! ```js
//! const server = net.createServer({ noDelay: true }, (socket) => {
//!   socket.setKeepAlive(true, 60000);
//! });
//!
//! socket.setNoDelay(true);
//! ```
//!
//! ```
//! use std::time::Duration;
//! use halfclose::net::ServerOptions;
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//!
//! let server = net::create_server_with(ServerOptions::new().no_delay(true), |socket| {
//!     socket.set_keep_alive(true, Duration::from_secs(60));
//! #     socket.server().unwrap().close();
//! });
//! # server.listen(("127.0.0.1", 0))?;
//! # while !server.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let socket = net::connect(server.address().unwrap())?;
//! # socket.end();
//!
//! socket.set_no_delay(true);
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! # Backpressure: write until it is enough, go on at `drain`
//!
//! ```js
//! function send(socket, left) {
//!   while (left > 0) {
//!     left -= 1;
//!     if (!socket.write('0123456789'.repeat(1000))) {
//!       socket.once('drain', () => send(socket, left));
//!       return;
//!     }
//!   }
//!   socket.end();
//! }
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = net::create_server(|socket| {
//! #     socket.on_error(|_, _| {});
//! #     socket.pipe(socket);
//! # });
//! # server.unref().listen(("127.0.0.1", 0))?;
//! # while !server.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let address = server.address().unwrap();
//! # let socket = net::connect(address)?;
//! use halfclose::net::Socket;
//!
//! fn send(socket: Socket, mut left: u32) {
//!     while left > 0 {
//!         left -= 1;
//!         if !socket.write("0123456789".repeat(1000)) {
//!             socket.once_drain(move |socket| send(socket, left));
//!             return;
//!         }
//!     }
//!     socket.end();
//! }
//! # send(socket, 1000);
//! # socket.resume();
//! # socket.on_close(|socket, _| assert_eq!(socket.bytes_read(), 10_000_000));
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! [`pipe`](crate::net::Socket::pipe) does it by itself.
//!
//! # The last words
//!
//! ```js
//! socket.end('goodbye', () => console.log('everything is sent'));
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = net::create_server(|socket| {
//! #     socket.on_error(|_, _| {});
//! #     socket.pipe(socket);
//! # });
//! # server.unref().listen(("127.0.0.1", 0))?;
//! # while !server.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let address = server.address().unwrap();
//! # let socket = net::connect(address)?;
//! # socket.on_data(|_, bytes| assert_eq!(bytes, b"goodbye"));
//! socket.end_data_with("goodbye", |_, outcome| match outcome {
//!     Ok(()) => println!("everything is sent"),
//!     Err(error) => println!("something got lost: {error}"),
//! });
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! # Half-open connections
//!
//! ```js
//! const server = net.createServer({ allowHalfOpen: true }, (socket) => {
//!   let question = '';
//!   socket.on('data', (bytes) => question += bytes);
//!   socket.on('end', () => socket.end(`you asked: ${question}`));
//! });
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! use halfclose::net::ServerOptions;
//!
//! let server = net::create_server_with(ServerOptions::new().allow_half_open(true), |socket| {
//!     socket.set_data(String::from("you asked: "));
//!     socket.on_text(|socket, text| {
//!         let _ = socket.with_data(|answer: &mut String| answer.push_str(text));
//!     });
//!     socket.on_end(|socket| {
//!         let answer = socket.with_data(std::mem::take::<String>);
//!         socket.end_data(answer.unwrap_or_default());
//!     });
//! });
//! # server.once_listening(|server| {
//! #     let client = net::connect(server.address().unwrap()).unwrap();
//! #     client.end_data("why?");
//! #     client.on_data(|_, bytes| assert_eq!(bytes, b"you asked: why?"));
//! #     client.on_close(move |client, _| {
//! #         assert_eq!(client.bytes_read(), 15);
//! #         server.close();
//! #     });
//! # });
//! # server.listen(("127.0.0.1", 0))?;
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! Without the option the socket is ended by itself after the `end` listeners, in both.
//!
//! # Closing a server and its connections
//!
//! ```js
//! const sockets = new Set();
//! server.on('connection', (socket) => {
//!   sockets.add(socket);
//!   socket.on('close', () => sockets.delete(socket));
//! });
//!
//! function shutDown() {
//!   server.close(() => console.log('all connections have closed'));
//!   for (const socket of sockets) socket.end('goodbye');
//! }
//! ```
//!
//! ```
//! use std::{cell::RefCell, collections::HashSet, rc::Rc};
//! use halfclose::net::{Server, Socket};
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = Server::new();
//!
//! let sockets: Rc<RefCell<HashSet<Socket>>> = Rc::default();
//! let known = sockets.clone();
//! server.on_connection(move |_, socket| {
//!     known.borrow_mut().insert(socket);
//!     let known = known.clone();
//!     socket.on_close(move |socket, _| {
//!         known.borrow_mut().remove(&socket);
//!     });
//! #     socket.resume();
//! });
//!
//! fn shut_down(server: Server, sockets: &RefCell<HashSet<Socket>>) {
//!     server.close_with(|_, _| println!("all connections have closed"));
//!     for socket in sockets.borrow().iter() {
//!         socket.end_data("goodbye");
//!     }
//! }
//! # let all = sockets.clone();
//! # server.on_connection(move |server, _| shut_down(server, &all));
//! # server.listen(("127.0.0.1", 0))?;
//! # while !server.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let client = net::connect(server.address().unwrap())?;
//! # client.on_data(|_, bytes| assert_eq!(bytes, b"goodbye"));
//! # event_loop.run()?;
//! # assert!(sockets.borrow().is_empty());
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! The set may stay borrowed meanwhile: `end` delivers no event, it queues them. The example `sigterm_drain` does this
//! on a signal, with a deadline.
//!
//! # How many connections there are
//!
//! ```js
//! server.getConnections((error, count) => console.log(count));
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = net::create_server(|_| {});
//! println!("{}", server.connections());
//! # assert_eq!(server.connections(), 0);
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! # State of a connection
//!
//! ```js
//! const server = net.createServer((socket) => {
//!   socket.session = { lines: 0 };
//!   socket.on('data', () => {
//!     socket.session.lines += 1;
//!   });
//!   socket.on('close', () => console.log(socket.session.lines));
//! });
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! struct Session {
//!     lines: u32,
//! }
//!
//! let server = net::create_server(|socket| {
//!     socket.set_data(Session { lines: 0 });
//!     socket.on_data(|socket, _| {
//!         let _ = socket.with_data(|session: &mut Session| session.lines += 1);
//!     });
//!     socket.on_close(|socket, _| {
//!         let lines = socket.with_data(|session: &mut Session| session.lines);
//!         println!("{}", lines.unwrap_or(0));
//! #         assert_eq!(socket.with_data(|session: &mut Session| session.lines).unwrap(), 1);
//!     });
//! });
//! # server.once_listening(|server| {
//! #     let client = net::connect(server.address().unwrap()).unwrap();
//! #     client.end_data("hello");
//! #     client.resume();
//! #     client.on_close(move |_, _| {
//! #         server.close();
//! #     });
//! # });
//! # server.listen(("127.0.0.1", 0))?;
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! What only one listener needs is simply moved into it: `let mut lines = 0; socket.on_data(move |_, _| lines += 1);`.
//!
//! # To everybody
//!
//! ```js
//! for (const socket of sockets) {
//!   socket.write(message);
//! }
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = net::create_server(|socket| {
//! #     socket.on_error(|_, _| {});
//! #     socket.pipe(socket);
//! # });
//! # server.unref().listen(("127.0.0.1", 0))?;
//! # while !server.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let address = server.address().unwrap();
//! use std::rc::Rc;
//! # let sockets = [net::connect(address)?, net::connect(address)?];
//!
//! let message: Rc<[u8]> = Rc::from(&b"to everybody"[..]);
//! for socket in sockets {
//!     socket.write(message.clone()); // shared, not copied
//! }
//! # for socket in sockets {
//! #     socket.on_data(|socket, bytes| {
//! #         assert_eq!(bytes, b"to everybody");
//! #         socket.end();
//! #     });
//! # }
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! The example `chat` shows what else a broadcast needs: a bound for those who do not read.
//!
//! # Lines of text
//!
//! ```js
//! let unfinished = '';
//! socket.setEncoding('utf8');
//! socket.on('data', (text) => {
//!   const lines = (unfinished + text).split('\n');
//!   unfinished = lines.pop();
//!   for (const line of lines) console.log(line);
//! });
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = net::create_server(|socket| {
//! #     socket.on_error(|_, _| {});
//! #     socket.pipe(socket);
//! # });
//! # server.unref().listen(("127.0.0.1", 0))?;
//! # while !server.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let address = server.address().unwrap();
//! # let socket = net::connect(address)?;
//! # socket.end_data("first\nsecönd\nthird");
//! # let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
//! # let log = seen.clone();
//! use halfclose::net::Encoding;
//!
//! let mut unfinished = String::new();
//! socket.set_encoding(Encoding::Utf8);
//! socket.on_text(move |_, text| {
//!     unfinished.push_str(text);
//!     while let Some(end) = unfinished.find('\n') {
//!         let line: String = unfinished.drain(..=end).collect();
//!         println!("{}", line.trim_end());
//! #         log.borrow_mut().push(line);
//!     }
//! });
//! # event_loop.run()?;
//! # assert_eq!(*seen.borrow(), ["first\n", "secönd\n"]);
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! `on_text` never breaks a character, with or without `set_encoding`, which also decides what `on_data` and `read`
//! see. Bound the length of a line that a stranger sends.
//!
//! # Text in other encodings
//!
//! ```js
//! socket.setDefaultEncoding('latin1');
//! socket.write('naïve, ');
//! socket.end('wide', 'utf16le');
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = net::create_server(|socket| {
//! #     socket.on_error(|_, _| {});
//! #     socket.pipe(socket);
//! # });
//! # server.unref().listen(("127.0.0.1", 0))?;
//! # while !server.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let address = server.address().unwrap();
//! # let socket = net::connect(address)?;
//! # let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
//! # let log = seen.clone();
//! # socket.on_data(move |_, bytes| log.borrow_mut().extend_from_slice(bytes));
//! use halfclose::net::{Chunk, Encoding};
//!
//! socket.set_default_encoding(Encoding::Latin1);
//! socket.write("naïve, ");
//! socket.end_data(Chunk::encoded("wide", Encoding::Utf16le));
//! # event_loop.run()?;
//! # assert_eq!(*seen.borrow(), b"na\xefve, w\0i\0d\0e\0");
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! # A proxy
//!
//! ```js
//! const proxy = net.createServer({ allowHalfOpen: true }, (near) => {
//!   const far = net.connect({ ...target, allowHalfOpen: true });
//!   near.pipe(far);
//!   far.pipe(near);
//!   near.on('error', () => far.destroy());
//!   far.on('error', () => near.destroy());
//! });
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = net::create_server(|socket| {
//! #     socket.on_error(|_, _| {});
//! #     socket.pipe(socket);
//! # });
//! # server.unref().listen(("127.0.0.1", 0))?;
//! # while !server.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let address = server.address().unwrap();
//! use halfclose::net::{ConnectOptions, ServerOptions};
//! # let target = ConnectOptions::from(address);
//!
//! let proxy = net::create_server_with(ServerOptions::new().allow_half_open(true), move |near| {
//!     let Ok(far) = net::connect(target.clone().allow_half_open(true)) else {
//!         near.destroy();
//!         return;
//!     };
//!     near.pipe(far);
//!     far.pipe(near);
//!     near.on_error(move |_, _| {
//!         far.destroy();
//!     });
//!     far.on_error(move |_, _| {
//!         near.destroy();
//!     });
//! });
//! # let server = proxy;
//! # server.once_listening(|server| {
//! #     let client = net::connect(server.address().unwrap()).unwrap();
//! #     client.end_data("hello");
//! #     client.on_data(|_, bytes| assert_eq!(bytes, b"hello"));
//! #     client.on_close(move |client, _| {
//! #         assert_eq!(client.bytes_read(), 5);
//! #         server.close();
//! #     });
//! # });
//! # server.listen(("127.0.0.1", 0))?;
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! Without `allowHalfOpen` the end of a question cuts the answer, in both.
//!
//! # Connecting again and again
//!
//! ```js
//! let delay = 100;
//! const socket = new net.Socket();
//! socket.on('connect', () => { delay = 100; });
//! socket.on('error', (error) => console.error(error.message));
//! socket.on('close', () => {
//!   setTimeout(() => socket.connect(port, '127.0.0.1'), delay);
//!   delay = Math.min(2 * delay, 30000);
//! });
//! socket.connect(port, '127.0.0.1');
//! ```
//!
//! ```
//! use std::{cell::Cell, rc::Rc, time::Duration};
//! use halfclose::{net::Socket, set_timeout};
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let port = 1;
//!
//! const SHORTEST: Duration = Duration::from_millis(100);
//! const LONGEST: Duration = Duration::from_secs(30);
//!
//! let delay = Rc::new(Cell::new(SHORTEST));
//! let socket = Socket::new().retain();
//! let after_success = delay.clone();
//! socket.on_connect(move |_| after_success.set(SHORTEST));
//! socket.on_error(|_, error| eprintln!("{error}"));
//! # let seen = delay.clone();
//! socket.on_close(move |socket, _| {
//!     set_timeout(delay.get(), move || {
//!         if let Err(error) = socket.connect(("127.0.0.1", port)) {
//!             eprintln!("{error}");
//!         }
//!     });
//!     delay.set(LONGEST.min(2 * delay.get()));
//! #     if delay.get() == 4 * SHORTEST {
//! #         halfclose::stop();
//! #     }
//! });
//! socket.connect(("127.0.0.1", port))?;
//! # event_loop.run()?;
//! # assert_eq!(seen.get(), 4 * SHORTEST);
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! `retain` is the one thing without a model in Node: a socket's slot is freed after `close`, unless a `close` listener
//! connects it again or it was retained. `release` gives it up.
//!
//! # Listeners: `on`, `once`, `off`
//!
//! ```js
//! const onData = (bytes) => console.log(bytes.length);
//! socket.on('data', onData);
//! socket.once('data', () => console.log('the first ones'));
//! socket.off('data', onData);
//! console.log(socket.listenerCount('data'));
//! socket.removeAllListeners('data');
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let socket = net::Socket::new();
//! use halfclose::net::SocketEvent;
//!
//! let on_data = socket.on_data(|_, bytes| println!("{}", bytes.len()));
//! socket.once_data(|_, _| println!("the first ones"));
//! socket.off(on_data);
//! println!("{}", socket.listener_count(SocketEvent::Data));
//! # assert_eq!(socket.listener_count(SocketEvent::Data), 1);
//! socket.remove_all_listeners(Some(SocketEvent::Data));
//! # assert_eq!(socket.listener_count(SocketEvent::Data), 0);
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! Closures cannot be compared, so `off` takes the identity that `on_data` returned. To let go of everything is
//! `remove_all_listeners(None)`.
//!
//! # Later: ticks, immediates, timers
//!
//! ```js
//! process.nextTick(() => console.log('before any other event'));
//! setImmediate(() => console.log('after the events of this turn'));
//! const timer = setTimeout(() => console.log('in a while'), 10);
//! const ticker = setInterval(() => console.log('again'), 10);
//! clearTimeout(timer);
//! ticker.unref();
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! use std::time::Duration;
//! use halfclose::{clear_timeout, next_tick, set_immediate, set_interval, set_timeout};
//!
//! next_tick(|| println!("before any other event"));
//! set_immediate(|| println!("after the events of this turn"));
//! let timer = set_timeout(Duration::from_millis(10), || println!("in a while"));
//! let ticker = set_interval(Duration::from_millis(10), || println!("again"));
//! clear_timeout(timer);
//! ticker.unref();
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! The order among them and the events of sockets is Node's.
//!
//! # Slow work on another thread
//!
//! ```js
//! const worker = new Worker('./slow.js');
//! worker.on('message', (answer) => {
//!   if (!socket.destroyed) socket.end(answer);
//! });
//! worker.postMessage(question);
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = net::create_server(|socket| {
//! #     socket.on_error(|_, _| {});
//! #     socket.pipe(socket);
//! # });
//! # server.unref().listen(("127.0.0.1", 0))?;
//! # while !server.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let address = server.address().unwrap();
//! # let socket = net::connect(address)?;
//! # socket.on_data(|_, bytes| assert_eq!(bytes, b"42"));
//! # let received = std::rc::Rc::new(std::cell::Cell::new(0));
//! # let counter = received.clone();
//! # socket.on_close(move |socket, _| counter.set(socket.bytes_read()));
//! let id = socket.id(); // may be sent, a socket may not
//! let event_loop_handle = event_loop.handle();
//! let worker = std::thread::spawn(move || {
//!     let answer = (6 * 7).to_string();
//!     // An `Err` gives the closure back when the loop is gone.
//!     let _ = event_loop_handle.post(move || {
//!         if let Some(socket) = id.get() {
//!             socket.end_data(answer);
//!         }
//!     });
//! });
//! # event_loop.run()?;
//! # worker.join().unwrap();
//! # assert_eq!(received.get(), 2);
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! A [`LoopHandle`](crate::LoopHandle) does not keep the loop running, as an `unref`ed worker would not; sockets do,
//! and [`EventLoop::keep_alive`](crate::EventLoop::keep_alive).
//!
//! # What nobody caught
//!
//! ```js
//! process.on('uncaughtException', (error) => {
//!   console.error(error); // and go on
//! });
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! use std::panic::{AssertUnwindSafe, catch_unwind};
//! use halfclose::Unhandled;
//! # net::connect(("127.0.0.1", 1))?;
//! # halfclose::next_tick(|| panic!("a bug"));
//!
//! event_loop.on_unhandled_error(|source, error| {
//!     eprintln!("{source:?}: {error}");
//!     Unhandled::Continue
//! });
//! while catch_unwind(AssertUnwindSafe(|| event_loop.run())).is_err() {
//!     eprintln!("a listener panicked");
//! }
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! They are two things here. An `error` that nobody listens for is returned by `run`, unless such a hook says
//! otherwise; a panic goes through `run`. After either, `run` may be called again, and goes on where it stopped: the
//! socket is consistent, and no event is lost but the rest of the emission that panicked.
//!
//! # Promises and `for await`
//!
//! ```js
//! for await (const bytes of socket) {
//!   await save(bytes);
//! }
//! console.log('the end');
//! ```
//!
//! ```
//! # use halfclose::{EventLoop, net};
//! # let mut event_loop = EventLoop::new()?;
//! # let server = net::create_server(|socket| {
//! #     socket.on_error(|_, _| {});
//! #     socket.pipe(socket);
//! # });
//! # server.unref().listen(("127.0.0.1", 0))?;
//! # while !server.listening() {
//! #     event_loop.turn(Some(std::time::Duration::ZERO))?;
//! # }
//! # let address = server.address().unwrap();
//! # let socket = net::connect(address)?;
//! # socket.end_data("hello");
//! # fn save(bytes: &[u8], saved: impl FnOnce() + 'static) {
//! #     assert_eq!(bytes, b"hello");
//! #     halfclose::set_immediate(saved);
//! # }
//! socket.on_data(|socket, bytes| {
//!     socket.pause();
//!     save(bytes, move || {
//!         socket.resume();
//!     });
//! });
//! socket.on_end(|_| println!("the end"));
//! # socket.on_close(|socket, _| assert_eq!(socket.bytes_read(), 5));
//! # event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```
//!
//! There are no futures in this crate; a listener per step says the same. `pause` and `resume` around work that takes
//! time are what `for await` does underneath, and [`on_readable`](crate::net::Socket::on_readable) with
//! [`read`](crate::net::Socket::read) pulls instead. What is naturally a sequence (ask, wait, ask again) becomes an
//! enum in `set_data`, or blocking code on a thread of its own that posts to the loop.
//!
//! # What does not apply
//!
//! Parts of Node's API that only mean something in JavaScript, or in Node's processes:
//!
//! | in Node | here |
//! |---|---|
//! | `net.Stream`, another name of `Socket` | `use halfclose::net::Socket as Stream` |
//! | `net._createServerHandle`, `_normalizeArgs`, `_setSimultaneousAccepts`; `server._listen2`, `_setupWorker`, `_emitCloseIfDrained`; `socket._handle`, `_connecting`, `_bytesDispatched` and other internals | private |
//! | `server[Symbol.asyncDispose]()`, `socket[Symbol.asyncDispose]()` | `close_with`, `on_close`. The end of the loop closes everything |
//! | `server[Symbol.asyncIterator]()`, `net/promises`, async iteration of a socket | `on_connection`; [above](#promises-and-for-await) |
//! | `server.dropMaxConnection`, and `cluster` altogether | a loop per thread, each with a server that listens with [`reuse_port`](crate::net::ListenOptions::reuse_port) |
//! | sending handles to other processes (IPC) | not part of `net`; a descriptor is passed with `sendmsg` |
//! | `objectMode`, `readableObjectMode`, `writableObjectMode` | bytes only; a protocol makes values of them |
//! | `map`, `filter` and the other helpers of streams, `compose`, `wrap`, `toWeb`, `fromWeb` | iterators over what a listener has collected; [`pipe`](crate::net::Socket::pipe), [`pipe_to`](crate::net::Socket::pipe_to) |
//! | `push`, and subclasses of streams | a listener that is given the socket |
//! | `captureRejections`, symbols as event names, warnings about many listeners | events are methods; there is no limit |
//! | `BlockList.isBlockList`, `SocketAddress.isSocketAddress` | the type says it |
//! | `ERR_INVALID_ARG_TYPE`, `ERR_STREAM_NULL_VALUES`, `ERR_UNKNOWN_ENCODING` and other checks of arguments | the compiler says it |
