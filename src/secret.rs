//! A secret value, which no log and no document can show.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// A secret value. It has no `Display` and no `Serialize`; `Debug` hides it. Copies share one text, which is wiped
/// when the last of them goes.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretString(Arc<Zeroizing<String>>);

impl SecretString {
    /// The value, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretString {
    fn from(value: String) -> Self {
        Self(Arc::new(Zeroizing::new(value)))
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
