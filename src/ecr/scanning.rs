//! Which setting decides whether pushed images are scanned: the registry's rules or the repository's own flag.
//!
//! AWS has deprecated the repository's flag (`PutImageScanningConfiguration`) in favour of the registry's rules
//! (`PutRegistryScanningConfiguration`). Where the registry has a rule, or scans with Amazon Inspector, its rules decide.

use serde::{Deserialize, Serialize};

use super::wildcard::fits;

/// The registry's scanning configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistryScanning {
    /// `BASIC` or `ENHANCED`.
    pub scan_type: String,
    pub rules: Vec<ScanRule>,
}

/// One of its rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScanRule {
    /// `SCAN_ON_PUSH`, `CONTINUOUS_SCAN` or `MANUAL`.
    pub frequency: String,
    /// Patterns of repository names; `*` stands for any text.
    pub filters: Vec<String>,
}

/// The setting that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ruled {
    /// The registry's rules.
    ByRegistry {
        /// True if an image is scanned when it is pushed.
        scans: bool,
        /// The rule in words.
        rule: String,
    },
    /// The repository's own flag.
    ByRepository,
}

impl RegistryScanning {
    /// Tells which setting decides for the repository with this name.
    #[must_use]
    pub(crate) fn judge(&self, name: &str) -> Ruled {
        if self.scan_type != "ENHANCED" && self.rules.is_empty() {
            return Ruled::ByRepository;
        }
        let covering = |rule: &&ScanRule| rule.filters.iter().any(|filter| covers(filter, name));
        let scan_type = &self.scan_type;
        let scanning = self.rules.iter().filter(|rule| rule.frequency != "MANUAL").find(covering);
        let rule = scanning.map_or_else(
            || format!("the registry's rules ({scan_type}), none of which covers the repository"),
            |ScanRule { frequency, filters }| {
                format!("the registry's rule {frequency} for {} ({scan_type})", filters.join(", "))
            },
        );
        Ruled::ByRegistry { scans: scanning.is_some(), rule }
    }
}

/// Tells whether a filter covers a name. Without `*` it covers names that contain it.
fn covers(filter: &str, name: &str) -> bool {
    if filter.contains('*') { fits(filter, name) } else { name.contains(filter) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for (filter, name, expected) in [
            ("*", "ci", true),
            ("ci", "team/ci-x", true),
            ("prod-*", "prod-ci", true),
            ("prod-*", "x-prod-ci", false),
            ("*-ci", "x-ci", true),
        ] {
            assert_eq!(covers(filter, name), expected, "{filter} {name}");
        }
    }

    #[test]
    fn which_setting_rules() {
        let rule = |frequency: &str, filter: &str| ScanRule {
            frequency: frequency.to_owned(),
            filters: vec![filter.to_owned()],
        };
        let of = |scan_type: &str, rules: Vec<ScanRule>| {
            RegistryScanning { scan_type: scan_type.to_owned(), rules }.judge("ci")
        };
        assert_eq!(of("BASIC", vec![]), Ruled::ByRepository);
        let scans = |ruled| matches!(ruled, Ruled::ByRegistry { scans: true, .. });
        assert!(scans(of("BASIC", vec![rule("SCAN_ON_PUSH", "*")])));
        assert!(scans(of("ENHANCED", vec![rule("CONTINUOUS_SCAN", "c*")])));
        for not in [of("ENHANCED", vec![]), of("BASIC", vec![rule("SCAN_ON_PUSH", "prod")])] {
            assert!(matches!(not, Ruled::ByRegistry { scans: false, .. }), "{not:?}");
        }
        assert!(!scans(of("BASIC", vec![rule("MANUAL", "*")])));
    }
}
