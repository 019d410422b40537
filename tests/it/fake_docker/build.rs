//! `docker buildx build`: replays a progress stream, publishes what the arguments say.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use build_once::testing::Digest;
use serde_json::{Map, Value, json};

use crate::{Docker, fail, wire};

fn pairs(values: &[String]) -> Value {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), json!(value))
    };
    Value::Object(values.iter().map(pair).collect::<Map<_, _>>())
}

impl Docker {
    /// `docker buildx bake`: each target is built as `docker buildx build` of the same flags would, and a rule for that
    /// applies to it. One that fails ends all.
    pub(crate) fn bake(&self) -> ExitCode {
        let definition: Value = serde_json::from_slice(&fs::read(self.value("--file")).unwrap()).unwrap();
        let names = self.args.iter().rev().take_while(|arg| definition["target"].get(arg.as_str()).is_some());
        let mut all = json!({});
        for name in names.collect::<Vec<_>>().into_iter().rev() {
            let metadata = self.folder.join(format!("metadata-{name}-{}", std::process::id()));
            let mut args = Self::args_of(&definition["target"][name]);
            args.extend(["--metadata-file".to_owned(), metadata.display().to_string()]);
            for flag in ["--builder", "--progress"] {
                args.extend([flag.to_owned(), self.value(flag)]);
            }
            let one = Self {
                folder: self.folder.clone(),
                args,
                scenario: self.scenario.clone(),
                after: None.into(),
            };
            if let Some(code) = one.misbehave() {
                return code;
            }
            let code = one.build();
            if code != ExitCode::SUCCESS {
                return code;
            }
            all[name] = serde_json::from_slice(&fs::read(&metadata).unwrap()).unwrap();
            fs::remove_file(metadata).unwrap();
        }
        fs::write(self.value("--metadata-file"), all.to_string()).unwrap();
        ExitCode::SUCCESS
    }

    /// A target's fields as flags of `docker buildx build`.
    fn args_of(target: &Value) -> Vec<String> {
        let here = format!("{}/", std::env::current_dir().unwrap().display());
        let mut args = vec!["buildx".to_owned(), "build".to_owned()];
        let mut add = |flag: &str, value: String| args.extend([format!("--{flag}"), value]);
        let text = |value: &Value| value.as_str().unwrap().replace("$${", "${").replace("%%{", "%{");
        add("file", text(&target["dockerfile"]).trim_start_matches(&here).to_owned());
        for (field, flag) in [("labels", "label"), ("args", "build-arg"), ("contexts", "build-context")] {
            for (name, value) in target[field].as_object().unwrap() {
                add(flag, format!("{name}={}", text(value)));
            }
        }
        for (field, flag) in [
            ("annotations", "annotation"),
            ("tags", "tag"),
            ("cache-from", "cache-from"),
            ("cache-to", "cache-to"),
            ("secret", "secret"),
        ] {
            target[field].as_array().into_iter().flatten().for_each(|value| add(flag, text(value)));
        }
        let platforms: Vec<String> = target["platforms"].as_array().into_iter().flatten().map(text).collect();
        if !platforms.is_empty() {
            add("platform", platforms.join(","));
        }
        for output in target["output"].as_array().unwrap() {
            args.push(if output == "type=docker" {
                "--load".to_owned()
            } else {
                format!("--output={}", text(output))
            });
        }
        args
    }

    pub(crate) fn build(&self) -> ExitCode {
        std::io::stderr().write_all(self.text("progress").as_bytes()).unwrap();
        let pushes = self.has("--push") || self.args.iter().any(|arg| arg.contains("push=true"));
        let mut names = self.values("--tag");
        names.extend(self.args.iter().filter_map(|arg| arg.strip_prefix("-t").map(str::to_owned)));
        let labels = pairs(&self.values("--label"));
        let annotations = pairs(&self.values("--annotation"));
        // Stays the same for the same labels: the test's content is in them, as the key.
        let mut image = json!({"config": format!("sha256:{:064x}", fold(&labels.to_string()))});
        let mut digests = Vec::new();
        if pushes {
            for name in &names {
                let Some(host) = wire::stub(name) else { return fail("ERROR: failed to push: no such host") };
                let request = json!({"name": name, "labels": labels, "annotations": annotations, "platform": self.value("--platform")});
                match wire::post(host, "/_publish", &request) {
                    Ok(published) => image = published,
                    Err(text) => {
                        return fail(&format!(
                            "ERROR: failed to build: failed to solve: failed to push {name}: {text}"
                        ));
                    }
                }
                let repository = name.rsplit_once(':').unwrap().0;
                digests.push(format!("{repository}@{}", image["digest"].as_str().unwrap()));
            }
        }
        for cache in self.values("--cache-to") {
            let reference = cache.split(',').find_map(|field| field.strip_prefix("ref="));
            if let Some((host, reference)) =
                reference.and_then(|reference| Some((wire::stub(reference)?, reference)))
            {
                wire::post(host, "/_publish", &json!({"name": reference, "labels": {}, "annotations": {}}))
                    .unwrap();
            }
        }
        if self.scenario["exports_cache"] != false {
            for cache in self.values("--cache-to") {
                if let Some(folder) = cache.strip_prefix("type=local,dest=") {
                    export(folder.split(',').next().unwrap());
                }
            }
        }
        // The engine's own BuildKit keeps what it pushes.
        let on_engine =
            self.text("driver") == "docker" && matches!(self.value("--builder").as_str(), "" | "default");
        if self.has("--load") || (pushes && on_engine) {
            let containerd = self.scenario["containerd"] == true && pushes;
            let id = if containerd { &image["digest"] } else { &image["config"] };
            self.load(id.as_str().unwrap(), &names, &digests, &labels);
        }
        let mut metadata = json!({"containerimage.digest": image["digest"], "containerimage.config.digest": image["config"]});
        for (name, value) in self.scenario["metadata"].as_object().into_iter().flatten() {
            metadata[name] = value.clone();
        }
        fs::write(self.value("--metadata-file"), metadata.to_string()).unwrap();
        ExitCode::SUCCESS
    }
}

/// A local cache as BuildKit writes it: an OCI layout with one manifest of one layer.
fn export(folder: &str) {
    let blobs = Path::new(folder).join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8], kind: &str| {
        let digest = Digest::of(bytes);
        let path = blobs.join(digest.as_str().trim_start_matches("sha256:"));
        // What is there is not written again.
        if !path.exists() {
            fs::write(path, bytes).unwrap();
        }
        json!({"digest": digest.as_str(), "size": bytes.len(), "mediaType": kind})
    };
    let layer = put(b"layer", "application/vnd.oci.image.layer.v1.tar+gzip");
    let config = put(b"{}", "application/vnd.buildkit.cacheconfig.v0");
    let manifest = json!({"config": config, "layers": [layer]}).to_string();
    let manifest = put(manifest.as_bytes(), "application/vnd.oci.image.manifest.v1+json");
    fs::write(Path::new(folder).join("index.json"), json!({"manifests": [manifest]}).to_string()).unwrap();
}

/// A number for a text: FNV-1a.
fn fold(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
