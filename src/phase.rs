//! The parts of a build.

/// A part of a build, for the times in the summary and for what is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Sending the context to the builder.
    Context,
    /// Reading caches.
    CacheImport,
    /// Resolving and fetching bases.
    Base,
    /// Running the Dockerfile's steps.
    Steps,
    /// Packing layers.
    Export,
    /// Sending them to the registry.
    Push,
    /// Writing caches.
    CacheExport,
}

impl Phase {
    /// The words for a sentence, such as "stopped while reading the layer cache".
    #[must_use]
    pub const fn doing(self) -> &'static str {
        match self {
            Self::Context => "sending the context",
            Self::CacheImport => "reading the layer cache",
            Self::Base => "fetching base images",
            Self::Steps => "running the steps",
            Self::Export => "packing the layers",
            Self::Push => "pushing",
            Self::CacheExport => "writing the layer cache",
        }
    }
}
