//! What must hold after every input: laws 3, 4 and 8, read off a run's log and accounts.
//!
//! May touch a run. Invariant: each check fails with the path that led there, which is all that is needed to see it again.

use super::inputs::{COMMANDS, Command, Event};
use super::world::{Entry, Origin, UNSHIFTED, World};
use crate::event_loop::{ConnectionOptions, current};
use crate::reactor::snapshot::Product;

/// Of one connection: from one `connect` or accept to its `close`.
#[derive(Default)]
struct Life {
    error: Option<String>,
    ended: bool,
    finished: bool,
    closed: bool,
    destroyed_by_program: bool,
    ended_by_program: bool,
    drain_owed: bool,
    /// It had a handle: it was accepted, or began to connect.
    linked: bool,
    /// A `data` listener was there whenever a chunk was on its way.
    consumed: bool,
    sent: Vec<u8>,
    received: Vec<u8>,
}

/// Law 4 for everything that a run has logged. How many lives there were, and how many of them closed.
pub(super) fn events_are_lawful(log: &[Entry], origin: Origin) -> Result<(usize, usize), String> {
    let mut life = Life { consumed: true, linked: origin.accepted, ..Life::default() };
    let (mut lives, mut closes, mut listening, mut timed) = (1, 0, false, false);
    let mut answered = Vec::new();
    for entry in log {
        if life.closed && matches!(entry, Entry::Event(_) | Entry::Data(_) | Entry::Error(_) | Entry::Close(_)) {
            // What streams do by themselves, for a socket that is over: Node emits these two as well.
            if !matches!(entry, Entry::Event(Event::Pause | Event::Resume)) {
                return Err(format!("{entry:?} after close"));
            }
        }
        match entry {
            Entry::Command(Command::Reconnect) => {
                lives += 1;
                life = Life { consumed: listening, linked: true, ..Life::default() };
            }
            Entry::Command(Command::Connect) => life.linked = true,
            Entry::Command(command) => match command {
                Command::Destroy | Command::DestroyWith | Command::ResetAndDestroy | Command::DestroySoon => {
                    life.destroyed_by_program = true;
                }
                Command::End | Command::EndData => life.ended_by_program = true,
                Command::AddData => listening = true,
                Command::RemoveData => {
                    listening = false;
                    life.consumed = false;
                }
                Command::SetTimeout => timed = true,
                _ => {}
            },
            Entry::Sent(number) => {
                life.consumed &= listening;
                life.sent.push(*number);
            }
            Entry::Data(bytes) => {
                if life.ended {
                    return Err("data after end".to_owned());
                }
                for &byte in bytes.iter().filter(|byte| **byte != UNSHIFTED) {
                    if life.received.last().is_some_and(|last| *last >= byte) {
                        return Err(format!("{byte} after {:?}", life.received));
                    }
                    life.received.push(byte);
                }
            }
            Entry::Error(code) => {
                if life.error.replace(code.clone()).is_some() {
                    return Err(format!("a second error, {code}"));
                }
            }
            Entry::Close(had_error) => {
                closes += 1;
                life.closed = true;
                // Not told where there never was a handle (rule M6). The error of a reset that was refused because of a
                // shutdown destroys nothing by itself.
                let expected = life.linked && life.error.as_deref().is_some_and(|code| code != "EINVAL");
                if *had_error != expected {
                    return Err(format!("close({had_error}) after {:?}", life.error));
                }
                if !life.destroyed_by_program && life.error.is_none() && !(life.ended && life.finished) {
                    return Err(format!("closed by itself: end {}, finish {}", life.ended, life.finished));
                }
            }
            Entry::Answer(number, _) => {
                if answered.contains(number) {
                    return Err(format!("a second answer to {number}"));
                }
                answered.push(*number);
            }
            Entry::Full => life.drain_owed = true,
            Entry::Event(Event::End) => {
                if std::mem::replace(&mut life.ended, true) {
                    return Err("a second end".to_owned());
                }
                if life.consumed && life.received != life.sent {
                    return Err(format!("sent {:?}, received {:?}", life.sent, life.received));
                }
            }
            Entry::Event(Event::Finish) => {
                let asked =
                    life.ended_by_program || life.destroyed_by_program || (life.ended && !origin.allow_half_open);
                if std::mem::replace(&mut life.finished, true) || !asked {
                    return Err("finish twice, or before anybody ended".to_owned());
                }
            }
            Entry::Event(Event::Drain) => {
                if !std::mem::take(&mut life.drain_owed) {
                    return Err("drain that is not owed".to_owned());
                }
            }
            Entry::Event(Event::Timeout) if !timed => return Err("timeout that was not set".to_owned()),
            Entry::Event(_) | Entry::Panic => {}
        }
    }
    Ok((lives, closes))
}

/// Laws 3 and 4, for the run as it stands now.
pub(super) fn hold(world: &mut World, origin: Origin) -> Result<(), String> {
    let (lives, closes) = events_are_lawful(&world.shared.log.borrow(), origin)?;
    let situation = world.situation();
    let lives_still = situation.snapshot.is_some();
    if lives_still != (closes < lives) || situation.owed.connections != usize::from(lives_still) {
        return Err(format!(
            "{closes} of {lives} closed, and the slot: {lives_still}, of {}",
            situation.owed.connections
        ));
    }
    let accounts = world.simulation.accounts();
    let found = (accounts.open_descriptors, accounts.registered_descriptors);
    let expected = world.descriptors();
    if found != expected {
        return Err(format!("descriptors (open, registered) {found:?} instead of {expected:?}"));
    }
    let socket = world.socket();
    if let Some(snapshot) = &situation.snapshot {
        let timers = usize::from(snapshot.idle_timer.is_some());
        if situation.owed.timers != timers {
            return Err(format!("{} timers instead of {timers}", situation.owed.timers));
        }
        if snapshot.product.destroyed && snapshot.descriptors > 0 {
            return Err("destroyed, and its descriptor is open".to_owned());
        }
        if snapshot.product.destroyed && !snapshot.close_owed {
            return Err("destroyed, and close is not owed".to_owned());
        }
    } else if !socket.destroyed() || socket.bytes_read() != 0 || socket.remote_port().is_some() {
        return Err("the handle of a free slot says something".to_owned());
    }
    if situation.owed.ticks {
        return Err("ticks are left after a callback".to_owned());
    }
    if !current::expect(|core| core.reactor.write_queue_is_consistent(socket.handle)) {
        return Err("the write queue counts what is not there".to_owned());
    }
    Ok(())
}

/// Neither side goes back, and nobody is revived, but by a new connection.
pub(super) fn nothing_goes_back(products: &[Product], entries: &[Entry]) -> Result<(), String> {
    if entries.iter().any(|entry| matches!(entry, Entry::Command(Command::Connect | Command::Reconnect))) {
        return Ok(());
    }
    let place = |product: &Product| (product.read as u8, product.write as u8, product.destroyed);
    for pair in products.windows(2) {
        let (before, after) = (place(&pair[0]), place(&pair[1]));
        if before.0 > after.0 || before.1 > after.1 || (before.2 && !after.2) {
            return Err(format!("from {:?} back to {:?}", pair[0], pair[1]));
        }
    }
    Ok(())
}

/// Law 4: whatever state it is in, it can be ended, and then nothing is left. Law 8: from then on its handle does nothing.
pub(super) fn can_be_ended(mut world: World, origin: Origin) -> Result<(), String> {
    world.command(Command::Destroy);
    world.leave();
    world.settle();
    let (lives, closes) = events_are_lawful(&world.shared.log.borrow(), origin)?;
    if closes != lives {
        return Err(format!("destroyed, and {closes} of {lives} closed"));
    }
    let situation = world.situation();
    if situation.snapshot.is_some() || situation.questions > 0 {
        return Err(format!("left behind: {situation:?}"));
    }
    let owed = &situation.owed;
    let nothing = owed.steps + owed.pending + owed.closing + owed.handles + owed.requests + owed.timers == 0;
    if !nothing || owed.connections > 0 || owed.ready || world.simulation.accounts().open_descriptors > 0 {
        return Err(format!("left behind: {owed:?} {:?}", world.simulation.accounts()));
    }
    if !current::expect(|core| core.callbacks.are_gone()) {
        return Err("callbacks are left behind".to_owned());
    }
    is_inert(&mut world)
}

/// Law 8: a stale handle, while another connection has its slot.
fn is_inert(world: &mut World) -> Result<(), String> {
    let stale = world.socket().handle;
    let newcomer = current::expect(|core| core.new_socket_on(&ConnectionOptions::default(), None));
    if newcomer.index() != stale.index() {
        return Err("the slot was not free".to_owned());
    }
    let look =
        |_: &World| current::expect(|core| format!("{:?} {:?}", core.reactor.snapshot(newcomer), core.reactor.owed()));
    let before = look(world);
    for command in COMMANDS {
        let logged = world.shared.log.borrow().len();
        if !matches!(command, Command::Connect | Command::Reconnect) {
            world.command(command);
        } else if world.socket().connect((std::net::Ipv4Addr::LOCALHOST, 80)).is_ok() {
            return Err("a stale handle connects".to_owned());
        }
        let entries = world.shared.log.borrow()[logged..].to_vec();
        let strange = |entry: &&Entry| !matches!(entry, Entry::Command(_) | Entry::Full | Entry::Answer(_, false));
        if let Some(entry) = entries.iter().find(strange) {
            return Err(format!("{command:?} of a stale handle leads to {entry:?}"));
        }
    }
    let after = look(world);
    if before != after {
        return Err(format!("a stale handle changed the newcomer: {before} {after}"));
    }
    Ok(())
}
