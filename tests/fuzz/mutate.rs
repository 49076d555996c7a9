//! Inputs made of others: cut, joined, and with bytes changed. The same seed makes the same ones.

/// Bytes and words that parsers stumble over.
const TOKENS: [&[u8]; 22] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\"",
    b"'",
    b"\\",
    b"{}",
    b"[",
    b"]",
    b"=",
    b":",
    b"/",
    b"..",
    b"-1",
    b"4294967296",
    b"18446744073709551615",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\xc3",
    b"\xe2\x80\xae",
    b"\x1b[2J",
    b"\x1d",
];

/// Makes inputs of seeds.
pub struct Mutator {
    state: u64,
    seeds: Vec<Vec<u8>>,
    longest: usize,
}

impl Mutator {
    pub fn new(seed: u64, seeds: Vec<Vec<u8>>, longest: usize) -> Self {
        Self {
            state: seed,
            seeds,
            longest,
        }
    }

    /// One of the seeds, changed in some places.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        for _ in 0..=self.below(8) {
            self.change(&mut input);
        }
        input.truncate(self.longest);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let end = at + self.below(input.len() - at + 1).min(self.below(64));
        match self.below(8) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            3 => {
                let other = self.seed();
                let from = self.below(other.len() + 1);
                let length = self.below(other.len() - from + 1);
                input.splice(at..end, other[from..from + length].iter().copied());
            }
            4 => {
                let token = TOKENS[self.below(TOKENS.len())];
                input.splice(at..end, token.iter().copied());
            }
            // Numbers in files of the machine's own form.
            5 => {
                let value = [0, 1, 0x7fff_ffff, u32::MAX, input.len() as u32][self.below(5)];
                for (byte, new) in input.iter_mut().skip(at & !3).zip(value.to_ne_bytes()) {
                    *byte = new;
                }
            }
            6 => {
                let bit = 1 << self.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= bit;
                }
            }
            _ => {
                let new = self.below(256) as u8;
                if let Some(byte) = input.get_mut(at) {
                    *byte = new;
                }
            }
        }
    }

    fn seed(&mut self) -> Vec<u8> {
        let which = self.below(self.seeds.len());
        self.seeds[which].clone()
    }

    /// A number from 0 to `limit` - 1 (Steele, Lea and Flood, "Fast splittable pseudorandom number
    /// generators", OOPSLA 2014).
    fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }
}
