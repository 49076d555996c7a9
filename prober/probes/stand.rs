//! The one outside: a process of the same user that waits to be got at, holds what processes of a
//! host share, and passes the root directory to whoever connects to its sockets.

use core::sync::atomic::AtomicU64;

use super::{messages, sockets};
use crate::raw::{self, Word};
use crate::scene::Scene;
use crate::{Stop, numbers};

/// Eight bytes that others may read or write: not constant, or they could not be written.
static MEMORY: AtomicU64 = AtomicU64::new(0x6761_6f6c_6572);

/// Says where its memory is once everything is there, and goes on until its standard input ends.
pub fn stand(scene: Scene) -> ! {
    messages::remove(scene);
    let code = match prepare(scene) {
        Ok(listeners) => {
            serve(listeners);
            0
        }
        Err(Stop::Refused(_, refused)) => usize::from(refused.errno),
        Err(Stop::Nothing(_) | Stop::NotTried(_) | Stop::Left(_)) => 255,
    };
    messages::remove(scene);
    raw::end(code)
}

/// The listeners: at a path, at an abstract name, and, if there is a place for it, one that the
/// jail can reach too.
fn prepare(scene: Scene) -> Result<[Option<usize>; 3], Stop> {
    messages::make(scene)?;
    let path = sockets::listen(scene.text("socket")?, false)?;
    let name = sockets::listen(scene.text("abstract")?, true)?;
    let shared = match scene.text("shared") {
        Ok(place) => Some(sockets::listen(place, false)?),
        Err(_) => None,
    };
    let mut address = [raw::address(&MEMORY) as u64];
    let address = Word::Room(raw::bytes_of(&mut address));
    match raw::call(numbers::WRITE, [1.into(), address, 8.into()]) {
        Ok(8) => Ok([Some(path), Some(name), shared]),
        _ => Err(Stop::Nothing("nobody listens")),
    }
}

/// Answers connections until the standard input ends.
fn serve(listeners: [Option<usize>; 3]) {
    const READABLE: u64 = 1;
    let descriptor = |number: i32| u64::from(number as u32) | READABLE << 32;
    loop {
        let numbers = listeners.map(|listener| listener.map_or(-1, |number| number as i32));
        let mut watched = [
            descriptor(0),
            descriptor(numbers[0]),
            descriptor(numbers[1]),
            descriptor(numbers[2]),
        ];
        let room = Word::Room(raw::bytes_of(&mut watched));
        let words = [room, 4.into(), 0.into(), 0.into(), 0.into()];
        match raw::call(numbers::PPOLL, words) {
            Ok(_) => {}
            Err(refused) if refused.errno == 4 => continue,
            Err(_) => return,
        }
        let answered = |index: usize| watched[index] >> 48 != 0;
        if answered(0) {
            return;
        }
        for index in 1..4 {
            if let (true, Some(listener)) = (answered(index), listeners[index - 1]) {
                // One that has gone again is no matter.
                match sockets::pass_root(listener) {
                    Ok(()) | Err(_) => {}
                }
            }
        }
    }
}
