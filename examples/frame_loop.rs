//! The loop in a program that lives in frames: a game, or anything else of a fixed rate.
//!
//! ```sh
//! cargo run --example frame_loop
//! ```
//!
//! Fifty times a second the program moves its world. What is left of a frame belongs to the network: the program does not
//! sleep until the next frame, it turns the loop until then, and each turn waits for as long as the frame lasts. A server
//! tells its player where the ball is after each frame; the player, who lives in the same loop, kicks the ball now and
//! then, and that reaches the world before the next frame. It ends by itself, after a second.

use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use halfclose::net::{self, Socket};
use halfclose::{Error, EventLoop};

/// The length of a frame.
const FRAME: Duration = Duration::from_millis(20);

/// How many there are.
const FRAMES: u32 = 50;

fn main() -> ExitCode {
    match play() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("frame_loop: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What moves: the place of a ball on a line, and what it is moved by in each frame.
struct World {
    place: Cell<i32>,
    pace: Cell<i32>,
    players: RefCell<Vec<Socket>>,
}

fn play() -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;
    let world = Rc::new(World { place: Cell::new(0), pace: Cell::new(1), players: RefCell::default() });
    open(&world)?;

    let mut next_frame = Instant::now();
    for frame in 1..=FRAMES {
        world.place.set(world.place.get() + world.pace.get());
        // A player who does not read is sent no more than fits: the next frame makes this one old.
        for player in world.players.borrow().iter().filter(|player| !player.writable_need_drain()) {
            player.write(format!("{}\n", world.place.get()));
        }
        if frame % 10 == 0 {
            println!("frame {frame}: the ball is at {}", world.place.get());
        }
        next_frame += FRAME;
        serve_until(next_frame, &mut event_loop)?;
    }
    // What is left now ends in the loop's own time.
    world.players.borrow().iter().for_each(|player| {
        player.end();
    });
    event_loop.run()
}

/// The network's share of a frame: all that is left of it. At least one turn, even when the frame took too long, so that
/// a slow world does not cut its players off.
fn serve_until(next_frame: Instant, event_loop: &mut EventLoop) -> Result<(), Error> {
    // Bounded by the clock: a turn waits until there is something to do, and its work is bounded.
    loop {
        let alive = event_loop.turn(Some(next_frame.saturating_duration_since(Instant::now())))?;
        let left = next_frame.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        if !alive {
            // Everybody has left. A turn does not wait for nobody.
            thread::sleep(left);
        }
    }
}

/// Opens the world to its one player.
fn open(world: &Rc<World>) -> Result<(), Error> {
    let world = world.clone();
    let server = net::create_server(move |player| {
        let (kicked, left) = (world.clone(), world.clone());
        player.on_data(move |_, bytes| {
            // Each byte is a kick.
            for _ in bytes {
                kicked.pace.set(-kicked.pace.get());
            }
        });
        player.on_error(|_, error| eprintln!("player: {error}"));
        player.on_close(move |player, _| left.players.borrow_mut().retain(|other| *other != player));
        world.players.borrow_mut().push(player);
    });
    server.on_listening(|server| {
        let Some(Ok(player)) = server.address().map(net::connect) else { return };
        let frames = Cell::new(0);
        player.on_data(move |player, bytes| {
            for _ in bytes.iter().filter(|byte| **byte == b'\n') {
                frames.set(frames.get() + 1);
                if frames.get() % 15 == 0 {
                    println!("player: kicks after {} frames", frames.get());
                    player.write("k");
                }
            }
        });
        player.on_close(move |_, _| {
            println!("player: gone");
            server.close();
        });
    });
    server.listen(("127.0.0.1", 0))?;
    Ok(())
}
