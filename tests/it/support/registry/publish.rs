//! What the fake docker pushes and pulls, and the images that tests put there.

use build_once::testing::{Digest, MEDIA_TYPES};
use serde_json::{Value, json};

use super::State;
use crate::support::http::{Request, Response};

impl State {
    /// What the fake docker asks for: `{name}` is `host/repository:tag`.
    pub(super) fn control(&mut self, request: &Request) -> Response {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        if let Some(text) = self.refusals.get(&request.target) {
            return Response::new(500, text.as_str());
        }
        match request.target.as_str() {
            "/_publish" => {
                let name = local_name(body["name"].as_str().unwrap());
                let repository = name.rsplit_once('/').unwrap().0;
                if self.strict && self.gone.contains(repository) {
                    let text = format!(
                        "unexpected status from HEAD request: 404 Not Found: name unknown: The repository with name '{repository}' does not exist"
                    );
                    return Response::new(500, text);
                }
                let platform = body["platform"].as_str().unwrap_or_default();
                let labels = json!({"Labels": body["labels"]});
                Response::new(
                    200,
                    self.publish_config(&name, platform, &labels, &body["annotations"]).to_string(),
                )
            }
            "/_pull" => {
                let name = local_name(body["reference"].as_str().unwrap());
                let Some((bytes, _)) = self.manifests.get(&name) else {
                    return Response::new(404, "manifest unknown");
                };
                let mut manifest: Value = serde_json::from_slice(bytes).unwrap();
                // Of an index the engine takes one image.
                if let Some(child) = manifest["manifests"][0]["digest"].as_str() {
                    let (repository, _) = name.rsplit_once('/').unwrap();
                    manifest =
                        serde_json::from_slice(&self.manifests[&format!("{repository}/{child}")].0).unwrap();
                }
                let config = manifest["config"]["digest"].as_str().unwrap();
                let file: Value = serde_json::from_slice(&self.blobs[config]).unwrap();
                let answer = json!({"digest": Digest::of(bytes).as_str(), "config": config, "labels": file["config"]["Labels"]});
                Response::new(200, answer.to_string())
            }
            other => Response::new(404, other),
        }
    }

    pub(super) fn publish(&mut self, name: &str, labels: &Value, annotations: &Value) -> Value {
        self.publish_config(name, "", &json!({"Labels": labels}), annotations)
    }

    /// For these platforms; without one for linux/amd64. Several make an index.
    pub(super) fn publish_config(
        &mut self,
        name: &str,
        platforms: &str,
        config: &Value,
        annotations: &Value,
    ) -> Value {
        let platforms: Vec<&str> = platforms.split(',').collect();
        let own = |level: &str| -> serde_json::Map<String, Value> {
            let all = annotations.as_object().unwrap().iter();
            all.filter_map(|(name, value)| Some((name.strip_prefix(level)?.to_owned(), value.clone())))
                .collect()
        };
        if let [platform] = *platforms {
            let levels = own("");
            let plain = levels
                .iter()
                .map(|(name, value)| (name.trim_start_matches("manifest:").to_owned(), value.clone()));
            return self.publish_one(name, platform, config, &plain.collect());
        }
        let repository = name.rsplit_once('/').unwrap().0;
        let mut lines = Vec::new();
        for platform in platforms {
            let mut annotations = own("manifest:");
            annotations.extend(own(&format!("manifest[{platform}]:")));
            let made = self.publish_one(name, platform, config, &annotations);
            let size = self.manifests[name].0.len();
            let (os, architecture) = platform.split_once('/').unwrap();
            lines.push(json!({"mediaType": MEDIA_TYPES[2], "digest": made["digest"], "size": size, "platform": {"os": os, "architecture": architecture}}));
        }
        let index = json!({"schemaVersion": 2, "mediaType": MEDIA_TYPES[0], "manifests": lines, "annotations": own("index:")});
        let index = (index.to_string().into_bytes(), MEDIA_TYPES[0].to_owned());
        let digest = Digest::of(&index.0).to_string();
        self.manifests.insert(format!("{repository}/{digest}"), index.clone());
        self.manifests.insert(name.to_owned(), index);
        json!({"digest": digest, "config": digest})
    }

    fn publish_one(
        &mut self,
        name: &str,
        platform: &str,
        config: &Value,
        plain: &serde_json::Map<String, Value>,
    ) -> Value {
        let (os, architecture) = platform.split_once('/').unwrap_or(("linux", "amd64"));
        let config = json!({"architecture": architecture, "os": os, "config": config, "rootfs": {"type": "layers", "diff_ids": []}});
        let config = config.to_string().into_bytes();
        let config_digest = Digest::of(&config).to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPES[2],
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": config.len(), "digest": config_digest},
            "layers": [],
            "annotations": plain,
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = Digest::of(&manifest).to_string();
        self.blobs.insert(config_digest.clone(), config);
        let repository = name.rsplit_once('/').unwrap().0;
        self.held.insert(format!("{repository}/{config_digest}"));
        // It comes with its first push.
        self.gone.remove(repository);
        self.manifests
            .insert(format!("{repository}/{digest}"), (manifest.clone(), MEDIA_TYPES[2].to_owned()));
        self.manifests.insert(name.to_owned(), (manifest, MEDIA_TYPES[2].to_owned()));
        json!({"digest": digest, "config": config_digest})
    }
}

/// `host/ci:tag` or `host/ci@digest` as `ci/tag` or `ci/digest`.
fn local_name(reference: &str) -> String {
    let path = reference.split_once('/').unwrap().1;
    let (repository, last) = path.split_once('@').or_else(|| path.rsplit_once(':')).unwrap();
    format!("{repository}/{last}")
}
