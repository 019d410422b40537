//! Random values, from the operating system.

use crate::image::hex;

/// 128 random bits in hex; `None` only if the operating system has no randomness to give.
#[must_use]
pub(crate) fn hex_128() -> Option<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(hex(&bytes))
}

/// A random number in `0.0..1.0`, for waits; 0.5 if the operating system has no randomness to give.
#[must_use]
pub(crate) fn fraction() -> f64 {
    let mut bytes = [0_u8; 4];
    getrandom::fill(&mut bytes)
        .map_or(0.5, |()| f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0))
}
