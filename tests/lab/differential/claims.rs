//! (d): what a run says of itself, against the registry and the engine.

use serde_json::Value;

use super::desk::{Desk, How, Ran};
use super::store::Registry;
use super::world::World;
use crate::harness::KEY;

/// Sentences about what is not so.
pub fn untrue(desk: &Desk<'_>, how: &How, ran: &Ran) -> Vec<String> {
    let mut list =
        Claims { how, ran, registry: &desk.registry, engine: desk.engine(&how.host), said: Vec::new() };
    list.exit();
    list.outcome();
    if how.get("repository").is_some_and(|name| name.starts_with(World::host())) {
        list.registry();
        list.tags();
    }
    list.engine();
    list.said
}

struct Claims<'a> {
    how: &'a How,
    ran: &'a Ran,
    registry: &'a Registry,
    engine: &'a Registry,
    said: Vec<String>,
}

impl Claims<'_> {
    fn must(&mut self, so: bool, sentence: impl Fn() -> String) {
        if !so {
            self.said.push(sentence());
        }
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.ran.output(name) == value
    }

    fn has(&self, name: &str) -> bool {
        !self.ran.output(name).is_empty()
    }

    fn exit(&mut self) {
        let (failed, good) = (self.is("outcome", "failed"), self.ran.code == Some(0));
        let code = self.ran.code;
        self.must(failed != good, || format!("exit code {code:?} and outcome failed={failed}"));
        let class = self.has("failure-class");
        self.must(failed == class, || format!("failed={failed}, failure-class is there: {class}"));
        self.must(self.has("reason"), || "no reason".to_owned());
        // A pull by digest computes none.
        let by_digest = self.how.get("digest").is_some();
        self.must(self.has("key") || failed || by_digest, || "no key".to_owned());
        let warns = self.ran.log.contains("::warning");
        self.must(!self.is("degraded", "true") || warns, || "degraded without a warning".to_owned());
        let number = |name: &str| self.ran.output(name).parse::<u32>().unwrap_or(0);
        let (cached, total) = (number("cached-steps"), number("total-steps"));
        self.must(cached <= total, || format!("{cached} of {total} steps from the cache"));
    }

    fn outcome(&mut self) {
        let outcome = self.ran.output("outcome").to_owned();
        let want: &[(&str, &str)] = match &*outcome {
            "built" => &[("built", "true"), ("pushed", "true")],
            "built-local" => &[("built", "true"), ("pushed", "false"), ("digest", "")],
            "reused-digest" | "reused-key" | "reused-tag" | "reused-local" => {
                &[("built", "false"), ("pushed", "false")]
            }
            _ => &[],
        };
        for (name, value) in want {
            let is = self.ran.output(name).to_owned();
            self.must(is == *value, || format!("{outcome}, and {name} is {is:?}, not {value:?}"));
        }
        if matches!(&*outcome, "built" | "reused-key" | "reused-tag") {
            self.must(self.has("digest"), || format!("{outcome} without a digest"));
            self.must(self.has("tag") || self.how.get("digest").is_some(), || {
                format!("{outcome} without a tag")
            });
        }
    }

    fn registry(&mut self) {
        let digest = self.ran.output("digest").to_owned();
        let manifest = (!digest.is_empty()).then(|| self.registry.manifest(&digest)).flatten();
        self.must(digest.is_empty() || manifest.is_some(), || {
            format!("digest {digest} is not in the registry")
        });
        if !digest.is_empty() {
            let (repository, image) =
                (self.how.get("repository").unwrap_or_default(), self.ran.output("image").to_owned());
            self.must(image == format!("{repository}@{digest}"), || format!("image is {image}"));
        }
        let tag = self.ran.output("tag").to_owned();
        if !tag.is_empty() {
            let names = self.registry.digest(&tag);
            self.must(names.as_deref() == Some(&*digest), || {
                format!("tag {tag} names {names:?}, the digest is {digest:?}")
            });
        }
        if let Some(manifest) = manifest.filter(|_| self.is("built", "true")) {
            self.manifest(&manifest);
        }
        // What this run put there is there even if it failed later.
        // An image for one platform that was asked for has a tag of its own.
        let told = self.ran.output("commit-tag").to_owned();
        let is_own = told.starts_with("sha-rf9d832d9-") && told.ends_with(&format!("-{}", self.how.commit));
        let commit =
            if is_own { told } else { format!("sha-rf9d832d9-{}-{}", self.how.image, self.how.commit) };
        if let Some(names) = self.registry.digest(&commit) {
            self.must(digest == names, || {
                format!("the commit's tag names {names}, the digest is {digest:?}")
            });
            let built =
                self.is("built", "true") && self.is("pushed", "false") && self.is("outcome", "failed");
            self.must(!built, || "built, and its commit's tag is set, but pushed is false".to_owned());
        } else {
            self.must(!self.is("pushed", "true"), || "pushed, and the commit has no tag".to_owned());
        }
    }

    fn manifest(&mut self, manifest: &Value) {
        let key = manifest["annotations"][KEY].as_str().map(str::to_owned);
        let said = self.ran.output("key").to_owned();
        self.must(key.is_none_or(|key| key == said), || {
            "the image carries another key than the output".to_owned()
        });
        let annotations: Vec<String> =
            self.how.get("annotations").unwrap_or_default().lines().map(str::to_owned).collect();
        let degraded = self.is("degraded", "true");
        for line in annotations {
            let (name, value) = line.split_once('=').unwrap();
            let (level, name) = name.split_once(':').unwrap_or(("manifest", name));
            let child =
                manifest["manifests"][0]["digest"].as_str().and_then(|child| self.registry.manifest(child));
            let at = match (level, child) {
                ("index", _) | (_, None) => manifest.clone(),
                (_, Some(child)) => child,
            };
            let there = at["annotations"][name] == value;
            self.must(there || degraded, || {
                format!("annotation {line} is not in the image, and nothing says so")
            });
        }
        if self.how.get("compression") == Some("zstd") && manifest["manifests"].is_null() {
            let last = manifest["layers"].as_array().and_then(|layers| layers.last().cloned());
            let is_so =
                last.is_none_or(|layer| layer["mediaType"].as_str().unwrap_or_default().ends_with("zstd"));
            // Layers that the builder has already stay as they are (README, `compression`).
            let said = self.ran.log.contains("zstd packs new layers alone");
            self.must(is_so || degraded || said, || {
                "compression zstd, and the last layer is not, and nothing says so".to_owned()
            });
        }
    }

    fn tags(&mut self) {
        let own = format!("{}:", self.how.get("repository").unwrap_or_default());
        let digest = self.ran.output("digest").to_owned();
        let asked: Vec<String> =
            self.how.get("tags").unwrap_or_default().lines().map(str::to_owned).collect();
        for tag in asked.iter().filter_map(|tag| tag.strip_prefix(&own)) {
            let names = self.registry.digest(tag);
            let good = names.as_deref() == Some(&*digest);
            let expected = self.ran.code == Some(0)
                && self.how.get("mode") != Some("pull")
                && self.how.get("push") != Some("false")
                && self.is("degraded", "false");
            self.must(!expected || good, || {
                format!("tag {tag} names {names:?}, the digest is {digest}, and nothing says so")
            });
            self.must(names.is_none() || self.how.get("push") != Some("false"), || {
                format!("push: false, and {tag} is set")
            });
        }
    }

    fn engine(&mut self) {
        let name = self.ran.output("local-image").to_owned();
        let good = self.ran.code == Some(0);
        if name.is_empty() {
            self.must(!good || self.how.get("load") != Some("true"), || {
                "load: true, and no local-image".to_owned()
            });
            self.must(!self.is("outcome", "built-local") || self.how.get("load") == Some("false"), || {
                "built-local, and no local-image".to_owned()
            });
        } else {
            let local = self.engine.image(&name);
            self.must(local.is_some(), || format!("local-image {name} is not in the engine"));
            let local = local.unwrap_or_default();
            let label = local["Config"]["Labels"][KEY].as_str().unwrap_or_default().to_owned();
            let key = self.ran.output("key").to_owned();
            self.must(label == key || label.is_empty() || key.is_empty(), || {
                format!("local-image {name} is of key {label}")
            });
        }
        if good && self.how.get("load") == Some("false") {
            let is_there = self.engine.image(&format!("{}:latest", self.how.image)).is_some();
            self.must(!is_there, || format!("load: false, and the engine has {}", self.how.image));
        }
    }
}
