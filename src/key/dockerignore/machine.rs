//! Matches a path with all expressions of a list at once. Each step of an expression is a bit, and 64 of them move with
//! one operation: a list of 10,000 patterns would else be matched one by one with each path.
//!
//! The expressions stand one after the other in one row of bits, each with one bit more for its end. A set bit says that
//! the expression has come to this step. A step that takes a character moves its bit on to the next step. A step that needs
//! none (a `*` that stands for nothing, a start, an end) does so at once; one addition does it for a whole run of such
//! steps, by its carry (Myers, "A fast bit-vector algorithm for approximate string matching", 1999).

use std::collections::HashMap;
use std::sync::OnceLock;

use super::class::Set;
use super::regex::{Op, Program, decode};

/// The expressions of a list.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The first and the last bit of each expression, by its index in the list; `None` for a pattern without one.
    spans: Vec<Option<(usize, usize)>>,
    words: Vec<Word>,
    /// The steps that take one character, with their bits, sorted.
    literals: Vec<(char, usize)>,
    /// The steps that take a character of a set, with their bits.
    sets: Vec<(Set, Vec<usize>)>,
    /// The bits of the steps that take each ASCII character, computed when it first comes up.
    ascii: Box<[OnceLock<Vec<u64>>]>,
}

/// The kinds of 64 steps, one bit each. A step in none of these takes exactly one character.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    /// [`Op::Many`].
    many: u64,
    /// [`Op::Folders`].
    folders: u64,
    /// [`Op::Start`].
    start: u64,
    /// [`Op::End`].
    end: u64,
    /// [`Op::Boundary`] with `true`.
    boundary: u64,
    /// [`Op::Boundary`] with `false`.
    no_boundary: u64,
}

/// Which of 64 steps are reached.
#[derive(Clone, Copy, Default)]
struct State {
    at: u64,
    /// For `(.*/)?`: at least one character was taken since the step was reached.
    inside: u64,
}

/// The characters before and after a position; `None` at the start and the end of the path.
#[derive(Clone, Copy)]
struct Here {
    before: Option<char>,
    after: Option<char>,
}

impl Here {
    /// The steps of `word` that are passed here without a character.
    fn passes(self, word: &Word) -> u64 {
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        let boundary =
            if is_word(self.before) == is_word(self.after) { word.no_boundary } else { word.boundary };
        let start = if self.before.is_none() { word.start } else { 0 };
        let end = if self.after.is_none() { word.end } else { 0 };
        word.many | word.folders | boundary | start | end
    }
}

impl Machine {
    /// Lays out the expressions of a list's items.
    pub(crate) fn new<'a>(programs: impl Iterator<Item = Option<&'a Program>>) -> Self {
        let (mut spans, mut steps, mut bits) = (Vec::new(), Vec::new(), 0);
        for program in programs {
            spans.push(program.map(|program| {
                let first = bits;
                steps.extend(program.ops().iter().zip(first..));
                bits = first + program.ops().len() + 1;
                (first, bits - 1)
            }));
        }
        let (mut literals, mut sets) = (Vec::new(), HashMap::<&Set, Vec<usize>>::new());
        let mut words = vec![Word::default(); usize::div_ceil(bits, 64)];
        for (op, bit) in steps {
            let Some(word) = words.get_mut(bit / 64) else { continue };
            let own = 1 << (bit % 64);
            match op {
                Op::Literal(c) => literals.push((*c, bit)),
                Op::One(set) => sets.entry(set).or_default().push(bit),
                Op::Many(set) => {
                    sets.entry(set).or_default().push(bit);
                    word.many |= own;
                }
                Op::Folders => word.folders |= own,
                Op::Start => word.start |= own,
                Op::End => word.end |= own,
                Op::Boundary(true) => word.boundary |= own,
                Op::Boundary(false) => word.no_boundary |= own,
            }
        }
        literals.sort_unstable();
        let sets = sets.into_iter().map(|(set, bits)| (set.clone(), bits)).collect();
        let ascii = std::iter::repeat_with(OnceLock::new).take(128).collect();
        Self { spans, words, literals, sets, ascii }
    }

    /// Finds the expressions among `candidates` (indices in the list) that match `path`, and counts the operations on words
    /// that it took. Bytes that are not UTF-8 count as U+FFFD, one each, as in Go.
    pub(crate) fn run(&self, path: &[u8], candidates: impl Iterator<Item = usize>) -> (Found, u64) {
        let mut states = vec![State::default(); self.words.len()];
        let (mut low, mut high) = (self.words.len(), 0);
        for (first, last) in candidates.filter_map(|index| self.span(index)) {
            if let Some(state) = states.get_mut(first / 64) {
                state.at |= 1 << (first % 64);
            }
            (low, high) = (low.min(first / 64), high.max(last / 64 + 1));
        }
        let words = self.words.get(low..high).unwrap_or_default();
        let (mut before, mut rest, mut steps) = (None, path, 0);
        // The steps that take a character that is not ASCII.
        let mut other;
        loop {
            let next = decode(rest);
            let here = Here { before, after: next.map(|(c, _)| c) };
            let takes = match here.after {
                None => &[],
                Some(c) => {
                    if let Some(known) = self.ascii.get(c as usize) {
                        known.get_or_init(|| self.takes(c)).as_slice()
                    } else {
                        other = self.takes(c);
                        &other
                    }
                }
            };
            steps += words.len() as u64;
            let reached = states.get_mut(low..high).unwrap_or_default();
            let alive = step(reached, words, takes.get(low..high).unwrap_or_default(), here);
            let Some((c, width)) = next.filter(|_| alive) else { return (Found(states), steps) };
            before = Some(c);
            rest = rest.get(width..).unwrap_or_default();
        }
    }

    /// Tells whether the expression at `index` of the list is among those found.
    pub(crate) fn is_found(&self, found: &Found, index: usize) -> bool {
        self.span(index).is_some_and(|(_, last)| {
            found.0.get(last / 64).is_some_and(|state| state.at >> (last % 64) & 1 == 1)
        })
    }

    fn span(&self, index: usize) -> Option<(usize, usize)> {
        self.spans.get(index).copied().flatten()
    }

    /// The bits of the steps that take `c`.
    fn takes(&self, c: char) -> Vec<u64> {
        let mut takes = vec![0; self.words.len()];
        let from = self.literals.partition_point(|(literal, _)| *literal < c);
        let literals = self.literals.get(from..).unwrap_or_default();
        let literals = literals.iter().take_while(|(literal, _)| *literal == c).map(|(_, bit)| bit);
        let sets = self.sets.iter().filter(|(set, _)| set.contains(c)).flat_map(|(_, bits)| bits);
        for bit in literals.chain(sets) {
            if let Some(word) = takes.get_mut(bit / 64) {
                *word |= 1_u64 << (bit % 64);
            }
        }
        takes
    }
}

/// The expressions that match, by their last bits. If none is left before the end of the path, none has its last bit.
pub(crate) struct Found(Vec<State>);

/// Moves all expressions over the character after `here`, or to the end of the path. Returns false if none can match any
/// more. `accepts`: the steps that take the character.
fn step(states: &mut [State], words: &[Word], accepts: &[u64], here: Here) -> bool {
    let (mut carry, mut moved_in, mut alive) = (false, 0, 0);
    let accepts = accepts.iter().copied().chain(std::iter::repeat(0));
    for ((state, word), accepts) in states.iter_mut().zip(words).zip(accepts) {
        if state.at | state.inside | moved_in == 0 && !carry {
            continue;
        }
        let passes = here.passes(word);
        // Each reached step among `passes` carries over the run of ones above it: the bits of that run change, and so does
        // the first one after it, and these are the steps that are reached now too.
        let (sum, overflow) = (state.at & passes).overflowing_add(passes);
        let (sum, overflow_of_carry) = sum.overflowing_add(u64::from(carry));
        carry = overflow || overflow_of_carry;
        state.at |= sum ^ passes;
        let Some(c) = here.after else { continue };
        state.inside = if c == '\n' { 0 } else { state.inside | state.at & word.folders };
        let taken = state.at & accepts;
        let moved = taken & !word.many | if c == '/' { state.inside } else { 0 };
        state.at = moved << 1 | moved_in | taken & word.many;
        moved_in = moved >> 63;
        alive |= state.at | state.inside;
    }
    alive != 0
}
