//! The parts of a build.

/// What a build's time went into.
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
    /// What is being done, for a sentence.
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
