//! The input `compression`: `zstd,force,level=19` in, the attributes of BuildKit's exporters out
//! (`,compression=zstd,force-compression=true,compression-level=19`).

use std::fmt;
use std::str::FromStr;

use crate::texts::to_text;

/// How layers are packed for a registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// `zstd`: faster to unpack, needs a recent engine on the pulling side. Else `gzip`, which every
    /// engine reads.
    pub zstd: bool,
    /// Layers that are packed otherwise are packed again, those of base images too.
    pub force: bool,
    /// From 0 to 9, for zstd to 22; `None` is BuildKit's own choice.
    pub level: Option<u8>,
}

/// The text names no compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not gzip or zstd, with `,force` and `,level=N` (gzip: 0 to 9, zstd: 0 to 22) if needed")]
pub struct InvalidCompression;

impl Compression {
    /// Whether it differs from gzip without options, which every exporter of BuildKit makes by itself.
    #[must_use]
    pub fn is_asked(self) -> bool {
        self != Self::default()
    }

    /// Attributes of BuildKit's image exporter, to be appended to `type=image` (BuildKit README, "Output", image).
    #[must_use]
    pub fn attributes(self) -> String {
        let mut attributes = String::new();
        if self.is_asked() {
            attributes.push_str(if self.zstd { ",compression=zstd" } else { ",compression=gzip" });
        }
        if self.force {
            attributes.push_str(",force-compression=true");
        }
        if let Some(level) = self.level {
            attributes += ",compression-level=";
            attributes += &level.to_string();
        }
        attributes
    }
}

impl FromStr for Compression {
    type Err = InvalidCompression;

    fn from_str(text: &str) -> Result<Self, InvalidCompression> {
        let mut words = text.split(',').map(str::trim);
        let zstd = match words.next() {
            Some("gzip") => false,
            Some("zstd") => true,
            _ => return Err(InvalidCompression),
        };
        let mut compression = Self { zstd, ..Self::default() };
        for word in words {
            match word.split_once('=') {
                None if word == "force" => compression.force = true,
                Some(("level", level)) => {
                    let highest = if zstd { 22 } else { 9 };
                    let level = level.parse().ok().filter(|level| *level <= highest);
                    compression.level = Some(level.ok_or(InvalidCompression)?);
                }
                _ => return Err(InvalidCompression),
            }
        }
        Ok(compression)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.zstd { "zstd" } else { "gzip" })?;
        if self.force {
            f.write_str(",force")?;
        }
        self.level.map_or(Ok(()), |level| write!(f, ",level={level}"))
    }
}

to_text!(Compression);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, attributes) in [
            ("gzip", ""),
            ("zstd", ",compression=zstd"),
            ("zstd,force,level=19", ",compression=zstd,force-compression=true,compression-level=19"),
            ("gzip,level=9", ",compression=gzip,compression-level=9"),
        ] {
            let compression: Compression = text.parse().unwrap();
            assert_eq!(
                (compression.to_string().as_str(), compression.attributes().as_str()),
                (text, attributes)
            );
        }
        for text in ["", "lz4", "gzip,level=10", "zstd,level=-1", "zstd,fast"] {
            assert!(text.parse::<Compression>().is_err(), "{text}");
        }
    }
}
