//! Reads the digest of the exported image from the progress stream, which has it before the push: `sha256:…` of the
//! status `exporting manifest sha256:…`.

use crate::image::Digest;

/// The manifests that the build has exported. Those of caches have other words ("writing cache manifest").
#[derive(Default)]
pub(super) struct Exported {
    index: Option<Digest>,
    manifest: Option<Digest>,
}

impl Exported {
    /// Reads the id of one status (BuildKit `exporter/containerimage/writer.go`).
    pub(super) fn status(&mut self, id: &str) {
        let Some(rest) = id.strip_prefix("exporting manifest ") else { return };
        match rest.strip_prefix("list ") {
            Some(index) => self.index = index.parse().ok().or(self.index.take()),
            None => self.manifest = rest.parse().ok().or(self.manifest.take()),
        }
    }

    /// The digest that a tag would name: the index, or the manifest if there is no index.
    pub(super) fn digest(self) -> Option<Digest> {
        self.index.or(self.manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ids: &[&str]) -> Option<Digest> {
        let mut exported = Exported::default();
        for id in ids {
            exported.status(id);
        }
        exported.digest()
    }

    #[test]
    fn an_index_stands_for_its_manifests() {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let id = |what: &str, digit: &str| format!("exporting {what} {}", digest(digit));
        let manifest = id("manifest", "1");
        let attested = [manifest.clone(), id("attestation manifest", "2"), id("manifest list", "3")];
        let attested: Vec<&str> = attested.iter().map(String::as_str).collect();
        assert_eq!(told(&attested).unwrap().as_str(), digest("3"));
        assert_eq!(told(&[&manifest, &id("config", "4"), "exporting layers"]).unwrap().as_str(), digest("1"));
        assert_eq!(told(&["exporting manifest", "exporting manifest junk", "pushing layers"]), None);
    }
}
