//! The one source of chance in a storm: everything that a seed, or a fuzzer, decides comes from here, so that is a whole
//! run.
//!
//! Touches nothing. Invariant: equal seeds, and equal bytes, give equal numbers on every machine.

/// What decides a run.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    Seed(u64),
    /// The first two bytes are the kernel's seed, the rest is drawn from until it is used up; then the seed goes on alone.
    #[allow(dead_code, reason = "the fuzzer's, and its corpus's")]
    Bytes(&'a [u8]),
}

impl Origin<'_> {
    /// What the simulated kernel's own chance begins with.
    pub fn seed(self) -> u64 {
        match self {
            Origin::Seed(seed) => seed,
            Origin::Bytes([low, high, ..]) => u64::from(u16::from_le_bytes([*low, *high])),
            Origin::Bytes([] | [_]) => 0,
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): 64 bits of state, every seed as good as any other, a few instructions. Bytes
/// come before it.
pub struct Generator {
    state: u64,
    bytes: std::vec::IntoIter<u8>,
}

impl Generator {
    pub fn new(seed: u64) -> Generator {
        Generator::of(Origin::Seed(seed))
    }

    pub fn of(origin: Origin<'_>) -> Generator {
        let bytes = match origin {
            Origin::Seed(_) => Vec::new(),
            Origin::Bytes(bytes) => bytes.get(2..).unwrap_or_default().to_vec(),
        };
        Generator { state: origin.seed(), bytes: bytes.into_iter() }
    }

    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0. The bias of the remainder is below 2⁻⁴⁰ for the bounds used here.
    pub fn below(&mut self, bound: usize) -> usize {
        self.drawn(bound).unwrap_or_else(|| (self.number() % bound as u64) as usize)
    }

    /// The same from the bytes, no more of them than the bound needs: a fuzzer learns what a byte does the sooner the less
    /// moves when it changes.
    fn drawn(&mut self, bound: usize) -> Option<usize> {
        let mut drawn = usize::from(self.bytes.next()?);
        let mut most = usize::from(u8::MAX);
        while most < bound - 1 {
            drawn = (drawn << 8) | usize::from(self.bytes.next().unwrap_or(0));
            most = (most << 8) | usize::from(u8::MAX);
        }
        Some(drawn % bound)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
