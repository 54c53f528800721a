//! Random numbers that a seed decides.
//!
//! May touch: nothing. Invariant: the same seed gives the same numbers.

// Each user needs another part of it.
#![allow(dead_code)]

/// Marsaglia's xorshift: more than good enough to choose what happens, in which order, and what is resampled.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Zero counts as one: it would stay zero.
    pub fn new(seed: u64) -> Random {
        Random(seed.max(1))
    }

    /// For seeds that are neighbours: their numbers have nothing to do with each other.
    pub fn spread(seed: u64) -> Random {
        // One step of splitmix64, which spreads the bits.
        let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Random::new(bits ^ (bits >> 31))
    }

    /// A number below `limit`, which is small beside 2⁶⁴, so that the bias of the remainder does not show.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// One of `choices`, which must not be empty.
    pub fn among<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// One of `choices`, each as often as its number says.
    pub fn weighted<T: Copy>(&mut self, choices: &[(usize, T)]) -> T {
        let mut place = self.below(choices.iter().map(|choice| choice.0).sum());
        for &(weight, choice) in choices {
            if place < weight {
                return choice;
            }
            place -= weight;
        }
        unreachable!("the place is below the sum of all weights")
    }

    /// Fisher and Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
