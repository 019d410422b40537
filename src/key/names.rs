//! Writes file names as text and reads them back. Unix names are bytes; messages, explanations and JSON need text, and may
//! lose nothing.

use crate::image::hex;

/// Writes a name as text: control characters, backslashes and bytes that are not UTF-8 become `\xNN`, all else stays.
/// [`unescape`] reverses it.
#[must_use]
pub fn escape(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' || c.is_control() {
                let mut buffer = [0; 4];
                c.encode_utf8(&mut buffer).bytes().for_each(|b| push_hex(&mut out, b));
            } else {
                out.push(c);
            }
        }
        chunk.invalid().iter().for_each(|&b| push_hex(&mut out, b));
    }
    out
}

fn push_hex(out: &mut String, byte: u8) {
    out.push_str("\\x");
    out.push_str(&hex(&[byte]));
}

/// Reads the text that [`escape`] has written; `None` if an escape in it is not complete. It reads more than [`escape`]
/// writes, such as `\x41`.
#[must_use]
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (plain, tail) = rest.split_at_checked(at)?;
        out.extend_from_slice(plain.as_bytes());
        let digits = tail.strip_prefix("\\x")?.get(..2).filter(|digits| !digits.starts_with('+'))?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail.get(4..)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Some(out)
}

/// A name in JSON, as [`escape`] writes it.
pub(crate) mod escaped {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(name: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::escape(name))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        super::unescape(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no escaped name")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn readable_names_stay_readable() {
        assert_eq!(escape("src/é ü.py".as_bytes()), "src/é ü.py");
        assert_eq!(escape(b"a\nb\xff\\"), "a\\x0ab\\xff\\x5c");
        for text in ["\\", "\\x", "\\x4", "\\x+1", "\\n", "\\xgg"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn escape_is_reversible(name in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(unescape(&escape(&name)), Some(name));
        }
    }
}
