//! Builds that go without a part, for when that part fails.

use super::{BuildSpec, LinkedBuild, LocalCaches};

impl BuildSpec {
    /// The same build on buildx's current builder, for when the one made for it fails. That may be the engine's own, which
    /// writes no layer cache but the one in the image.
    #[must_use]
    pub(crate) fn without_own_builder(&self) -> Self {
        let is_inline = |cache: &&String| cache.starts_with("type=inline");
        let cache_to = self.cache_to.iter().filter(is_inline).cloned().collect();
        let local_caches = self.local_caches.clone().map(|caches| LocalCaches { write: None, ..caches });
        let build = match &self.apart {
            Some(namespace) => self.build.clone().apart(namespace),
            None => self.build.clone(),
        };
        let same =
            Self { builder: None, build, cache_to, local_caches, fresh_builder: false, ..self.clone() };
        same.with_links(Self::without_own_builder)
    }

    /// The same build without reading any layer cache. It still writes a local cache, to replace one that is broken.
    #[must_use]
    pub(crate) fn without_cache_imports(&self) -> Self {
        let local_caches = self.local_caches.clone();
        let local_caches = local_caches.map(|caches| LocalCaches { read: Vec::new(), ..caches });
        let same = Self { cache_from: Vec::new(), local_caches, ..self.clone() };
        same.with_links(Self::without_cache_imports)
    }

    /// The same build without writing any layer cache. The builds that it is linked to write none anyway.
    #[must_use]
    pub(crate) fn without_cache_exports(&self) -> Self {
        let local_caches = self.local_caches.clone().map(|caches| LocalCaches { write: None, ..caches });
        Self { cache_to: Vec::new(), local_caches, ..self.clone() }
    }

    /// The same build, linked to others of this kind.
    fn with_links(mut self, change: impl Fn(&Self) -> Self) -> Self {
        for LinkedBuild { spec, .. } in &mut self.links {
            **spec = change(spec);
        }
        self
    }
}
