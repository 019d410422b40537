//! A short hash, added to a name where two texts would get the same one.

use super::digest::Digest;

/// Eight hex digits of the text's digest.
pub(super) fn hash(text: &str) -> String {
    Digest::of(text.as_bytes()).short()[..8].to_owned()
}

/// Tells whether a word has the form of [`hash`].
pub(super) fn is_hash(word: &str) -> bool {
    word.len() == 8 && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
