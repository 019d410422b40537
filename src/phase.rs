//! The parts of a build.

use crate::texts::words;

words! {
    /// A part of a build, for the times in the summary and for what is tried again.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Phase {
        /// Sending the context to the builder.
        Context = "sending the context",
        /// Reading caches.
        CacheImport = "reading the layer cache",
        /// Resolving and fetching bases.
        Base = "fetching base images",
        /// Running the Dockerfile's steps.
        Steps = "running the steps",
        /// Packing layers.
        Export = "packing the layers",
        /// Sending them to the registry.
        Push = "pushing",
        /// Writing caches.
        CacheExport = "writing the layer cache",
    }
    /// The words for a sentence, such as "stopped while reading the layer cache".
    pub const fn doing;
}
