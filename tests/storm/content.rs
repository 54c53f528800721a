//! What is written in a storm: each byte follows from the connection that writes it and from its position, so a loss, a
//! repetition or another connection's byte shows in the next comparison.
//!
//! Touches nothing. Invariant: printable ASCII only, so that text decoded as UTF-8 or Latin-1 is the same bytes.

use crate::generator::Generator;

/// The table's period: a prime, longer than the kernel's largest read, so that no read that is moved by a power of two
/// looks right.
const PERIOD: usize = 65_537;

/// Between the places of the table where two connections begin: a prime, far from any size of a write.
const STRIDE: usize = 7_919;

/// The bytes that all connections are cut from.
pub struct Content {
    table: Vec<u8>,
}

impl Content {
    /// The same for every run: 64 characters, chosen by a fixed seed.
    pub fn new() -> Content {
        let mut generator = Generator::new(0x68_616c_6663_6c6f);
        let table = (0..PERIOD).map(|_| b'0' + (generator.number() >> 58) as u8).collect();
        Content { table }
    }

    /// The bytes of connection number `connection` from `position` on.
    pub fn piece(&self, connection: usize, position: usize, length: usize) -> Vec<u8> {
        let mut piece = Vec::with_capacity(length);
        let mut at = (connection * STRIDE + position) % PERIOD;
        while piece.len() < length {
            let part = (length - piece.len()).min(PERIOD - at);
            piece.extend_from_slice(&self.table[at..at + part]);
            at = 0;
        }
        piece
    }
}
