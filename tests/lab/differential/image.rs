//! An image as content: what a container would find, and its configuration; no times, no history.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::plain::{Marks, mark};

/// An image, or each platform's image of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// By `os/architecture[/variant]`.
    pub images: BTreeMap<String, Image>,
}

/// One platform's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// By path, without a slash at its beginning.
    pub files: Arc<BTreeMap<String, Fact>>,
    pub config: Value,
    /// A hash of each layer's content, in order.
    layers: Vec<String>,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    kind: &'static str,
    mode: u32,
    owner: (u64, u64),
    /// The target of a link, the hash of a file's bytes, a device's numbers.
    content: String,
    /// The beginning of a short text, for people.
    glimpse: String,
}

/// Where manifests and blobs are.
pub trait Store {
    /// The bytes of a manifest or a blob.
    fn get(&self, kind: Kind, digest: &str) -> Vec<u8>;
}

/// What is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Manifest,
    Blob,
}

/// Reads the image or index with this digest.
pub fn read(store: &dyn Store, digest: &str) -> Content {
    let manifest: Value = serde_json::from_slice(&store.get(Kind::Manifest, digest)).unwrap();
    let mut content = Content::default();
    let Some(children) = manifest["manifests"].as_array() else {
        let (platform, image) = single(store, &manifest);
        content.images.insert(platform, image);
        return content;
    };
    for child in children {
        // Attestations are no image.
        if child["platform"]["os"] == "unknown" {
            continue;
        }
        let manifest = store.get(Kind::Manifest, child["digest"].as_str().unwrap());
        let (platform, image) = single(store, &serde_json::from_slice(&manifest).unwrap());
        content.images.insert(platform, image);
    }
    content
}

fn single(store: &dyn Store, manifest: &Value) -> (String, Image) {
    let digest = manifest["config"]["digest"].as_str().unwrap();
    let mut config: Value = serde_json::from_slice(&store.get(Kind::Blob, digest)).unwrap();
    let part = |name: &str| config[name].as_str().unwrap_or_default().to_owned();
    let mut platform = format!("{}/{}", part("os"), part("architecture"));
    if let Some(variant) = config["variant"].as_str() {
        let _ = write!(platform, "/{variant}");
    }
    let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
    let (mut files, mut hashes) = (BTreeMap::new(), Vec::new());
    for layer in &layers {
        let layer = facts(store, layer);
        apply(&mut files, &layer.entries);
        hashes.push(layer.hash.clone());
    }
    for volatile in ["created", "history", "rootfs", "moby.buildkit.buildinfo.v1"] {
        config.as_object_mut().unwrap().remove(volatile);
    }
    if let Some(fields) = config["config"].as_object_mut() {
        let own = |name: &str| name.starts_with("io.github.build-once.");
        if let Some(labels) = fields.get_mut("Labels").and_then(Value::as_object_mut) {
            labels.retain(|name, _| !own(name));
        }
        // An empty list, none, and a list that is not there say the same.
        fields
            .retain(|_, value| !value.is_null() && value.as_object().is_none_or(|fields| !fields.is_empty()));
    }
    // How many layers: instructions that were dropped or run twice show here, too.
    config["layers"] = layers.len().into();
    (platform, Image { files: Arc::new(files), config, layers: hashes })
}

struct Layer {
    entries: Vec<(String, Fact)>,
    hash: String,
}

/// Layers of base images, which every case has.
static KNOWN: Mutex<BTreeMap<String, Arc<Layer>>> = Mutex::new(BTreeMap::new());

fn facts(store: &dyn Store, layer: &Value) -> Arc<Layer> {
    let digest = layer["digest"].as_str().unwrap().to_owned();
    if let Some(known) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&digest) {
        return known.clone();
    }
    let bytes = store.get(Kind::Blob, &digest);
    let gzip = bytes.starts_with(&[0x1f, 0x8b]);
    let source: Box<dyn std::io::Read> =
        if gzip { Box::new(GzDecoder::new(&*bytes)) } else { Box::new(&*bytes) };
    let entries = entries(tar::Archive::new(source));
    let hash = format!("{:x}", Sha256::digest(format!("{entries:?}")));
    let facts = Arc::new(Layer { entries, hash });
    if bytes.len() > 1 << 16 {
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, facts.clone());
    }
    facts
}

fn entries(mut archive: tar::Archive<Box<dyn std::io::Read + '_>>) -> Vec<(String, Fact)> {
    let mut all: Vec<(String, Fact)> = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).trim_matches('/').to_owned();
        let header = entry.header().clone();
        let mut fact = Fact {
            kind: "file",
            mode: header.mode().unwrap() & 0o7777,
            owner: (header.uid().unwrap(), header.gid().unwrap()),
            content: String::new(),
            glimpse: String::new(),
        };
        let target = || String::from_utf8_lossy(&entry.link_name_bytes().unwrap_or_default()).into_owned();
        match header.entry_type() {
            tar::EntryType::Directory => fact.kind = "folder",
            tar::EntryType::Symlink => (fact.kind, fact.content) = ("link", target()),
            tar::EntryType::Link => {
                let target = target().trim_matches('/').to_owned();
                fact = all.iter().rev().find(|(path, _)| *path == target).unwrap().1.clone();
            }
            tar::EntryType::Char | tar::EntryType::Block => fact.kind = "device",
            tar::EntryType::Fifo => fact.kind = "pipe",
            _ => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                fact.content = format!("{:x}", Sha256::digest(&bytes));
                fact.glimpse = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
            }
        }
        all.push((path, fact));
    }
    all
}

/// Puts a layer over what is there.
fn apply(files: &mut BTreeMap<String, Fact>, layer: &[(String, Fact)]) {
    for (path, fact) in layer {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        if name == ".wh..wh..opq" {
            files.retain(|known, _| !known.starts_with(&prefix) || known.len() == prefix.len());
        } else if let Some(gone) = name.strip_prefix(".wh.") {
            remove(files, &format!("{prefix}{gone}"));
        } else {
            if fact.kind != "folder" {
                remove(files, path);
            }
            files.insert(path.clone(), fact.clone());
        }
    }
}

fn remove(files: &mut BTreeMap<String, Fact>, path: &str) {
    files.remove(path);
    let below = format!("{path}/");
    files.retain(|known, _| !known.starts_with(&below));
}

impl Content {
    /// Its hashes.
    pub fn marks(&self) -> Marks {
        let (mut content, mut layers) = (String::new(), String::new());
        for (platform, image) in &self.images {
            let _ = writeln!(content, "{platform:?} {:?} {}", image.files, sorted(&image.config));
            let _ = writeln!(layers, "{:?}", image.layers);
        }
        Marks { content: mark(&content), layers: mark(&(content + &layers)) }
    }

    /// What is different in the other one, a line each, at most ten.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let platforms = |content: &Self| content.images.keys().cloned().collect::<Vec<_>>();
        if platforms(self) != platforms(other) {
            lines.push(format!("platforms {:?} / {:?}", platforms(self), platforms(other)));
        }
        for (platform, image) in &self.images {
            if let Some(other) = other.images.get(platform) {
                image.differences(other, &mut lines);
            }
        }
        lines.truncate(10);
        lines
    }
}

impl Image {
    fn differences(&self, other: &Self, lines: &mut Vec<String>) {
        let paths: std::collections::BTreeSet<_> = self.files.keys().chain(other.files.keys()).collect();
        for path in paths {
            let (one, two) = (self.files.get(path), other.files.get(path));
            if one != two {
                let show = |fact: Option<&Fact>| fact.map_or("-".to_owned(), Fact::show);
                lines.push(format!("{path:?}: {} / {}", show(one), show(two)));
            }
        }
        if self.config != other.config {
            let mut one = BTreeMap::new();
            let mut two = BTreeMap::new();
            flat("", &self.config, &mut one);
            flat("", &other.config, &mut two);
            let names: std::collections::BTreeSet<_> = one.keys().chain(two.keys()).collect();
            for name in names {
                if one.get(name) != two.get(name) {
                    lines.push(format!("config {name}: {:?} / {:?}", one.get(name), two.get(name)));
                }
            }
        }
    }
}

impl Fact {
    fn show(&self) -> String {
        let content = if self.glimpse.is_empty() { &self.content } else { &self.glimpse };
        format!("{} {:o} {}:{} {content:?}", self.kind, self.mode, self.owner.0, self.owner.1)
    }
}

/// The same text for the same value: the order of an object's fields has no meaning.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name, sorted(value))).collect();
            format!("{fields:?}")
        }
        Value::Array(values) => format!("{:?}", values.iter().map(sorted).collect::<Vec<_>>()),
        value => value.to_string(),
    }
}

fn flat(name: &str, value: &Value, to: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                flat(&format!("{name}.{field}"), value, to);
            }
        }
        value => {
            to.insert(name.to_owned(), value.to_string());
        }
    }
}
