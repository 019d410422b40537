//! Many images from one definition (`bake`): each target of what `docker buildx bake --print` prints becomes the inputs of
//! one image.
//!
//! In: `{"target":{"api":{"context":"api","args":{"A":"1"}}}}`. Out: `image: api`, `context: api`, `build-args: A=1`.

mod target;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::lists::InputText as _;
use super::problems::Problems;
use super::raw::RawInputs;
use crate::error::{Error, Result};
use target::Target;
pub(crate) use target::image_name;

/// The inputs of one image, as text.
#[derive(Clone, Default)]
pub(crate) struct ImageInputs {
    pub raw: RawInputs,
    /// False if the image is there only because others are built on it.
    pub asked: bool,
    /// Names of one part, such as `api` of a Compose file's `image: api`: the image has them in the engine that it is
    /// loaded into. No registry is asked to hold them.
    pub local_names: Vec<String>,
}

impl From<&RawInputs> for ImageInputs {
    fn from(raw: &RawInputs) -> Self {
        Self { raw: raw.clone(), asked: true, local_names: Vec::new() }
    }
}

/// Most targets of a definition, those that others are built on included.
const TARGETS: usize = 1000;

/// Inputs that the definition has in place of the action, each with what `set` calls it.
const OF_DEFINITION: [(&str, &str); 26] = [
    ("context", "*.context"),
    ("file", "*.dockerfile"),
    ("dockerfile-inline", ""),
    ("target", "*.target"),
    ("build-args", "*.args.NAME"),
    ("build-args-file", "*.args.NAME"),
    ("build-contexts", "*.contexts.NAME"),
    ("labels", "*.labels.NAME"),
    ("labels-file", "*.labels.NAME"),
    ("annotations", "*.annotations"),
    ("annotations-file", "*.annotations"),
    ("tags", "TARGET.tags"),
    ("tags-file", "TARGET.tags"),
    ("secrets", "*.secrets"),
    ("secret-envs", "*.secrets"),
    ("secret-files", "*.secrets"),
    ("ssh", "*.ssh"),
    ("network", ""),
    ("add-hosts", ""),
    ("shm-size", ""),
    ("ulimit", ""),
    ("outputs", "*.output"),
    ("attests", "*.attest"),
    ("cache-from", "*.cache-from"),
    ("cache-to", "*.cache-to"),
    ("no-cache-filters", "*.no-cache-filter"),
];

/// Inputs that no definition can say, and one build of many images does not take.
const OF_ONE_IMAGE: [&str; 5] = ["extra-args", "cgroup-parent", "digest", "digests", "call"];

/// Tells whether the inputs describe many images.
#[must_use]
pub(crate) fn is_asked(raw: &RawInputs) -> bool {
    raw.bake.trimmed().is_some()
}

/// What `docker buildx bake` is asked.
pub(crate) struct BakeQuestion {
    pub files: Vec<String>,
    pub targets: Vec<String>,
    pub set: Vec<String>,
}

impl BakeQuestion {
    /// Reads the inputs `bake`, `targets` and `set`.
    ///
    /// # Errors
    /// If there are inputs that do not go with `bake`, or a file is none of this machine's.
    pub(crate) fn read(raw: &RawInputs) -> Result<Self> {
        let problems = &mut Problems::default();
        let files = raw.bake.items();
        for file in &files {
            if file.contains("://") || file.starts_with("git@") || file == "-" {
                let why = format!("`{file}` is not a file: check the repository out and name the file in it");
                problems.add("bake", why);
            } else if let Err(error) = fs_err::metadata(file) {
                problems.add("bake", error);
            }
        }
        refuse_others(raw, problems);
        let set = raw.set.items();
        for item in set.iter().filter(|item| !item.contains('=')) {
            problems.add("set", format!("`{item}` is not TARGET.KEY=value"));
        }
        let mut targets = raw.targets.comma_items();
        if targets.is_empty() {
            targets.push("default".to_owned());
        }
        let is_name = |name: &str| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
                && !name.starts_with('-')
        };
        for target in targets.iter().filter(|target| !is_name(target)) {
            problems.add("targets", format!("`{target}` is no name of a target"));
        }
        std::mem::take(problems).finish()?;
        Ok(Self { files, targets, set })
    }
}

/// Notes inputs that say what the definition says.
fn refuse_others(raw: &RawInputs, problems: &mut Problems) {
    let defaults: Vec<_> = RawInputs::schema().collect();
    for (name, value) in raw.entries() {
        let default = defaults.iter().find(|(_, known, _)| *known == name).and_then(|(.., default)| *default);
        let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else { continue };
        if default == Some(value) {
            continue;
        }
        if let Some((_, key)) = OF_DEFINITION.iter().find(|(known, _)| *known == name) {
            let or_set = if key.is_empty() { String::new() } else { format!(", or with set: {key}=…") };
            problems.add(&name, format!("does not go with bake: say it in the definition{or_set}"));
        } else if OF_ONE_IMAGE.contains(&name.as_str()) {
            problems.add(&name, "does not go with bake");
        }
    }
}

/// Makes the inputs of each image: those that are asked for, in the order of the question, then those that they are built
/// on. `printed`: what `docker buildx bake --print` wrote.
///
/// # Errors
/// One error that names everything in the definition that cannot be done.
pub(crate) fn images(raw: &RawInputs, printed: &[u8]) -> Result<Vec<ImageInputs>> {
    let unreadable = |why: String| Error::input("failed to read what docker buildx bake prints").cause(why);
    let definition: Value = serde_json::from_slice(printed).map_err(|error| unreadable(error.to_string()))?;
    let definition = plain(definition);
    let targets = definition["target"].as_object().ok_or_else(|| unreadable("it has no targets".into()))?;
    if targets.len() > TARGETS {
        let why = format!("it has {} targets, and {TARGETS} is the most", targets.len());
        return Err(Error::input("bake: the definition is too large").cause(why));
    }
    let mut asked = Vec::new();
    let mut groups = BTreeSet::new();
    flatten("default", &definition, targets, &mut groups, &mut asked);
    let linked = targets.keys().filter(|name| !asked.contains(name));
    let all: Vec<(&String, bool)> =
        asked.iter().map(|name| (*name, true)).chain(linked.map(|name| (name, false))).collect();
    let problems = &mut Problems::default();
    let mut images = Vec::new();
    for (at, (name, asked)) in all.iter().enumerate() {
        let mut target = Target::new(raw, name, *asked, problems);
        if let Some(fields) = targets[*name].as_object() {
            target.read(fields);
        }
        // Services of a Compose file often share one image and its name: the first of them sets it.
        if all[..at].iter().any(|(other, _)| targets[*other] == targets[*name]) {
            target.raw.tags = None;
            target.local_names.clear();
        }
        images.push(ImageInputs { raw: target.raw, asked: *asked, local_names: target.local_names });
    }
    std::mem::take(problems).finish()?;
    Ok(images)
}

/// The definition with the texts that it means: bake prints `${` as `$${` and `%{` as `%%{`, because what it prints is a
/// definition again.
fn plain(value: Value) -> Value {
    let text = |text: String| text.replace("$${", "${").replace("%%{", "%{");
    match value {
        Value::String(escaped) => Value::String(text(escaped)),
        Value::Array(list) => list.into_iter().map(plain).collect(),
        Value::Object(map) => map.into_iter().map(|(name, value)| (text(name), plain(value))).collect(),
        other => other,
    }
}

/// Adds the targets of a group and of its groups. The question itself is the group `default`. A target comes before a
/// group of the same name, as with bake.
fn flatten<'a>(
    name: &'a str,
    definition: &'a Value,
    targets: &'a Map<String, Value>,
    groups: &mut BTreeSet<&'a str>,
    asked: &mut Vec<&'a String>,
) {
    if !groups.insert(name) {
        return;
    }
    for member in definition["group"][name]["targets"].as_array().into_iter().flatten() {
        let Some(member) = member.as_str() else { continue };
        match targets.get_key_value(member) {
            Some((target, _)) if !asked.contains(&target) => asked.push(target),
            Some(_) => {}
            None => flatten(member, definition, targets, groups, asked),
        }
    }
}
