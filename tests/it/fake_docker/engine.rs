//! The engine's image store, and what goes between it and registries.

use std::fs;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::{Docker, fail, wire};

fn has_name(image: &Value, name: &str) -> bool {
    image["names"].as_array().unwrap().iter().any(|known| known == name)
}

/// An image as `docker image inspect` describes it. A test writes `tagged` and `size` into the store.
fn described(image: &Value) -> Value {
    json!({
        "Id": image["id"], "RepoTags": image["names"], "RepoDigests": image["digests"],
        "Config": {"Labels": image["labels"]}, "Metadata": {"LastTagTime": image["tagged"]}, "Size": image["size"],
    })
}

impl Docker {
    pub(crate) fn store(&self) -> Vec<Value> {
        let text = fs::read(self.folder.join("store.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    pub(crate) fn keep(&self, images: &[Value]) {
        // Whole or not at all: other commands read it at any time.
        let new = self.folder.join(format!("store-{}.json", std::process::id()));
        fs::write(&new, serde_json::to_vec(images).unwrap()).unwrap();
        fs::rename(new, self.folder.join("store.json")).unwrap();
    }

    /// Puts an image in, or adds its names to the one that is there.
    pub(crate) fn load(&self, id: &str, names: &[String], digests: &[String], labels: &Value) {
        let lock = fs::File::create(self.folder.join("store.lock")).unwrap();
        lock.lock().unwrap();
        let mut images = self.store();
        for image in &mut images {
            image["names"].as_array_mut().unwrap().retain(|name| !names.iter().any(|new| name == new));
        }
        match images.iter_mut().find(|image| image["id"] == id) {
            Some(image) => {
                image["names"].as_array_mut().unwrap().extend(names.iter().map(|name| json!(name)));
                image["digests"].as_array_mut().unwrap().extend(digests.iter().map(|digest| json!(digest)));
            }
            None => images.push(json!({"id": id, "names": names, "digests": digests, "labels": labels})),
        }
        self.keep(&images);
    }

    fn find(&self, name: &str) -> Option<Value> {
        let is = |list: &Value| list.as_array().unwrap().iter().any(|known| known == name);
        self.store()
            .into_iter()
            .find(|image| image["id"] == name || is(&image["names"]) || is(&image["digests"]))
    }

    pub(crate) fn list(&self, filter: &str) -> ExitCode {
        if let Some(names) = filter.strip_prefix("reference=").and_then(|names| names.strip_suffix('*')) {
            let fits = |name: &Value| name.as_str().unwrap().starts_with(names);
            for image in
                self.store().iter().filter(|image| image["names"].as_array().unwrap().iter().any(fits))
            {
                println!("{}", image["id"].as_str().unwrap());
            }
            return ExitCode::SUCCESS;
        }
        let (label, value) = filter.strip_prefix("label=").and_then(|rest| rest.split_once('=')).unwrap();
        for image in self.store().iter().filter(|image| image["labels"][label] == value) {
            println!("{}", image["id"].as_str().unwrap());
        }
        ExitCode::SUCCESS
    }

    pub(crate) fn inspect_image(&self, name: &str) -> ExitCode {
        let Some(image) = self.find(name) else {
            println!("[]");
            return fail(&format!("Error response from daemon: No such image: {name}"));
        };
        println!("{}", json!([described(&image)]));
        ExitCode::SUCCESS
    }

    pub(crate) fn inspect_images(&self, ids: &[&str]) -> ExitCode {
        let found: Vec<Value> =
            ids.iter().filter_map(|id| self.find(id)).map(|image| described(&image)).collect();
        println!("{}", json!(found));
        ExitCode::from(u8::from(found.len() < ids.len()))
    }

    /// The ids of images that containers use; a test adds them to the store's entries.
    pub(crate) fn in_use(&self) -> Vec<String> {
        let used = self.store().into_iter().filter(|image| image["used"] == true);
        used.map(|image| image["id"].as_str().unwrap().to_owned()).collect()
    }

    /// As docker does: a name is taken from its image, the last one with the image; an id goes if it has one name at most.
    pub(crate) fn remove_images(&self, names: &[&str]) -> ExitCode {
        let lock = fs::File::create(self.folder.join("store.lock")).unwrap();
        lock.lock().unwrap();
        let (mut images, mut code) = (self.store(), ExitCode::SUCCESS);
        for &name in names {
            let Some(at) = images.iter().position(|image| image["id"] == name || has_name(image, name))
            else {
                eprintln!("Error response from daemon: No such image: {name}");
                code = ExitCode::FAILURE;
                continue;
            };
            let left: Vec<Value> = images[at]["names"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|known| *known != name)
                .cloned()
                .collect();
            let by_id = images[at]["id"] == name;
            if (by_id && left.len() > 1) || (left.is_empty() && images[at]["used"] == true) {
                eprintln!("Error response from daemon: conflict: unable to delete {name} (must be forced)");
                code = ExitCode::FAILURE;
            } else if by_id || (left.is_empty() && images[at]["digests"].as_array().unwrap().is_empty()) {
                images.remove(at);
            } else {
                images[at]["names"] = json!(left);
            }
        }
        self.keep(&images);
        code
    }

    pub(crate) fn pull(&self, reference: &str) -> ExitCode {
        let Some(host) = wire::stub(reference) else {
            return fail(&format!(
                "Error response from daemon: Get \"https://{reference}\": dial tcp: no such host"
            ));
        };
        match wire::post(host, "/_pull", &json!({"reference": reference})) {
            Ok(image) => {
                println!(
                    "{}: Pulling from {reference}\nStatus: Downloaded newer image for {reference}",
                    image["digest"]
                );
                let repository = reference.split('@').next().unwrap();
                let by_digest = format!("{repository}@{}", image["digest"].as_str().unwrap());
                let id =
                    if self.scenario["containerd"] == true { &image["digest"] } else { &image["config"] };
                self.load(id.as_str().unwrap(), &[], &[by_digest], &image["labels"]);
                ExitCode::SUCCESS
            }
            Err(text) => fail(&format!("Error response from daemon: {text}")),
        }
    }

    pub(crate) fn tag(&self, image: &str, name: &str) -> ExitCode {
        let Some(found) = self.find(image) else {
            return fail(&format!("Error response from daemon: No such image: {image}"));
        };
        self.load(found["id"].as_str().unwrap(), &[name.to_owned()], &[], &Value::Null);
        ExitCode::SUCCESS
    }
}
