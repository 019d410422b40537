//! Inputs from a seed: mutations of what is valid, and 64 KiB of what a parser may choke on.

use std::fs;
use std::path::PathBuf;

/// Bytes of a hostile input.
pub const SIZE: usize = 64 * 1024;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// Where mutations begin: something valid for each target, and what has been trouble (`fuzz/seeds`). A name begins
/// with that of the target that it is for.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder().join("seeds")).unwrap().map(Result::unwrap);
    let mut seeds: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    seeds.sort();
    seeds
}

/// Pieces that mean something to one parser or another (`fuzz/words.dict`).
pub fn words() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(folder().join("words.dict")).unwrap();
    text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"')).map(unescaped).collect()
}

/// As libFuzzer reads a dictionary: `\xNN` is a byte.
fn unescaped(text: &str) -> Vec<u8> {
    let mut pieces = text.split("\\x");
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    bytes
}

/// What inputs are made of.
pub struct Maker {
    numbers: u64,
    seeds: Vec<Vec<u8>>,
    /// Those of the target.
    own: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Maker {
    /// For one target. The same seed makes the same inputs on every machine; it is not 0.
    pub fn new(seed: u64, target: &str) -> Self {
        let own = seeds().into_iter().filter(|(name, _)| name.starts_with(target));
        let own: Vec<_> = own.map(|(_, seed)| seed).collect();
        assert!(!own.is_empty(), "fuzz/seeds has none for {target}");
        Self {
            numbers: seed,
            seeds: seeds().into_iter().map(|(_, seed)| seed).collect(),
            own,
            words: words(),
        }
    }

    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.numbers ^= self.numbers >> 12;
        self.numbers ^= self.numbers << 25;
        self.numbers ^= self.numbers >> 27;
        self.numbers.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.next() & 0xff).unwrap()
    }

    /// Most often one of the target's own.
    fn seed(&mut self) -> Vec<u8> {
        if self.below(4) > 0 {
            let at = self.below(self.own.len());
            return self.own[at].clone();
        }
        let at = self.below(self.seeds.len());
        self.seeds[at].clone()
    }

    fn word(&mut self) -> Vec<u8> {
        let at = self.below(self.words.len());
        self.words[at].clone()
    }

    /// Something valid, changed in a few places.
    pub fn mutated(&mut self) -> Vec<u8> {
        let data = self.seed();
        self.change(data)
    }

    fn change(&mut self, mut data: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.below(8) {
            let (at, end) = (self.below(data.len() + 1), self.below(data.len() + 1));
            let (from, to) = (at.min(end), at.max(end).min(at.min(end) + 40));
            match self.below(6) {
                0 => drop(data.splice(at..at, self.word())),
                1 => drop(data.drain(from..to)),
                2 => {
                    let piece = data[from..to].to_vec();
                    drop(data.splice(at..at, piece));
                }
                3 => drop(data.splice(at..at, self.seed())),
                4 => data.truncate(at),
                _ => {
                    let byte = self.byte();
                    if let Some(place) = data.get_mut(at) {
                        *place = byte;
                    }
                }
            }
        }
        data
    }

    /// 64 KiB: a piece of something valid, or what may be written in it, over and over: side by side, one in the
    /// other, or each a little different from the last.
    pub fn hostile(&mut self) -> Vec<u8> {
        let start = self.seed();
        let (from, to) = (self.below(start.len() + 1), self.below(start.len() + 1));
        let whole = self.below(3) == 0;
        let (head, mut piece) = if whole {
            (Vec::new(), start.clone())
        } else {
            (start[..from].to_vec(), start[from.min(to)..from.max(to)].to_vec())
        };
        for _ in 0..self.below(3) {
            piece.extend(self.word());
        }
        if self.below(4) == 0 {
            piece.truncate(1 + self.below(8));
        }
        if piece.is_empty() {
            piece = self.word();
        }
        let changes = self.below(4) == 0;
        let numbered = self.below(3) == 0;
        let breaks = self.below(2) == 0;
        let mut data = head;
        let mut count = 0_u32;
        while data.len() < SIZE {
            let next = if changes { self.change(piece.clone()) } else { piece.clone() };
            data.extend(next);
            if numbered {
                data.extend(count.to_string().bytes());
            }
            if breaks {
                data.push(b'\n');
            }
            count += 1;
        }
        data.truncate(SIZE);
        if self.below(3) == 0 {
            // What was opened so often is closed as often.
            let closing = self.word();
            let half = SIZE / 2;
            data.truncate(half);
            while !closing.is_empty() && data.len() + closing.len() <= SIZE {
                data.extend_from_slice(&closing);
            }
        }
        data
    }
}
