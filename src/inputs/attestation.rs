//! Attestations beside the image, as buildx reads `--provenance` and `--sbom`.

use std::fmt;
use std::str::FromStr;

use crate::key::dockerfile::go_bool;
use crate::texts::to_text;

/// Whether an attestation (provenance or SBOM) is made, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Attestation {
    /// None is made.
    #[default]
    Off,
    /// Made with these attributes, such as `mode=max`; with `None`, as buildx makes it for `true`.
    On(Option<String>),
}

impl Attestation {
    /// Whether an attestation is made.
    #[must_use]
    pub fn is_on(&self) -> bool {
        *self != Self::Off
    }

    /// The record of bake's field `attest`. `kind`: `provenance` or `sbom`.
    #[must_use]
    pub(crate) fn of_bake(&self, kind: &str) -> String {
        match self {
            Self::Off => format!("type={kind},disabled=true"),
            Self::On(None) => format!("type={kind}"),
            Self::On(Some(attributes)) => format!("type={kind},{attributes}"),
        }
    }
}

impl FromStr for Attestation {
    type Err = String;

    /// `true` or `false` in any of Go's spellings, or attributes (buildx, `buildflags.CanonicalizeAttest`,
    /// `ParseAttest`).
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(on) = go_bool(text) {
            return Ok(if on { Self::On(None) } else { Self::Off });
        }
        let mut disabled = false;
        for field in text.split(',') {
            let (name, value) = field.trim_matches('"').split_once('=').ok_or_else(|| {
                format!("`{text}` is neither true or false nor attributes such as mode=max")
            })?;
            if name.trim().eq_ignore_ascii_case("mode") && !["min", "max"].contains(&value) {
                return Err(format!("mode is min or max, not `{value}`"));
            }
            if name.trim().eq_ignore_ascii_case("disabled") {
                disabled =
                    go_bool(value).ok_or_else(|| format!("disabled is true or false, not `{value}`"))?;
            }
        }
        Ok(if disabled { Self::Off } else { Self::On(Some(text.to_owned())) })
    }
}

impl fmt::Display for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("false"),
            Self::On(None) => f.write_str("true"),
            Self::On(Some(attributes)) => f.write_str(attributes),
        }
    }
}

to_text!(Attestation);

#[cfg(test)]
mod tests {
    use super::*;

    /// D11
    #[test]
    fn d11_as_buildx_reads_them() {
        for text in ["0", "f", "F", "false", "FALSE", "False", "disabled=true", "mode=max,disabled=1"] {
            assert_eq!(text.parse(), Ok(Attestation::Off), "{text}");
        }
        for text in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(text.parse::<Attestation>().unwrap().to_string(), "true", "{text}");
        }
        for text in ["mode=min", "mode=max,disabled=0", "generator=h/scanner:1,\"a=b\""] {
            assert_eq!(text.parse::<Attestation>().unwrap().to_string(), text);
        }
        for text in ["maybe", "mode=max,on", "disabled=maybe", "fALSE", "mode=foo"] {
            assert!(text.parse::<Attestation>().is_err(), "{text}");
        }
    }
}
