//! Many images from one definition (`bake`): each target of what `docker buildx bake --print` prints becomes the inputs of
//! one image.
//!
//! In: `{"target":{"api":{"context":"api","args":{"A":"1"}}}}`. Out: `image: api`, `context: api`, `build-args: A=1`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::lists::InputText as _;
use super::problems::Problems;
use super::raw::RawInputs;
use crate::error::{Error, Result};

/// The inputs of one image, as text.
#[derive(Clone, Default)]
pub(crate) struct ImageInputs {
    pub raw: RawInputs,
    /// False if the image is there only because others are built on it.
    pub asked: bool,
}

impl From<&RawInputs> for ImageInputs {
    fn from(raw: &RawInputs) -> Self {
        Self { raw: raw.clone(), asked: true }
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
    for (name, asked) in all {
        let mut target = Target::new(raw, name, asked, problems);
        if let Some(fields) = targets[name].as_object() {
            target.read(fields);
        }
        images.push(ImageInputs { raw: target.raw, asked });
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

/// The name of a target's image.
#[must_use]
pub(super) fn image_name(prefix: Option<&str>, target: &str) -> String {
    let target = target.to_ascii_lowercase();
    prefix.map_or_else(|| target.clone(), |prefix| format!("{prefix}-{target}"))
}

/// A target while it is read.
struct Target<'a> {
    name: &'a str,
    asked: bool,
    raw: RawInputs,
    /// The input `image`, which begins the names.
    prefix: Option<String>,
    /// What the input `allow` grants.
    granted: Vec<String>,
    problems: &'a mut Problems,
}

impl<'a> Target<'a> {
    fn new(raw: &RawInputs, name: &'a str, asked: bool, problems: &'a mut Problems) -> Self {
        let prefix = raw.image.trimmed().map(str::to_owned);
        let own = RawInputs {
            image: Some(image_name(prefix.as_deref(), name)),
            bake: None,
            targets: Some(name.to_owned()),
            set: None,
            allow: None,
            ..raw.clone()
        };
        Self { name, asked, raw: own, prefix, granted: raw.allow.comma_items(), problems }
    }

    fn refuse(&mut self, why: impl std::fmt::Display) {
        self.problems.add("bake", format!("target {}: {why}", self.name));
    }

    /// Reads all fields. One that is not known is refused: it may change the image.
    fn read(&mut self, fields: &Map<String, Value>) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let context = fields.get("context").and_then(text).unwrap_or_else(|| ".".to_owned());
        self.context(&context);
        for (field, value) in fields {
            match field.as_str() {
                "context" | "description" | "dockerfile" => {}
                "contexts" => self.contexts(value),
                "dockerfile-inline" => self.raw.dockerfile_inline = text(value),
                "args" => self.raw.build_args = self.pairs(field, value),
                "labels" => self.raw.labels = self.pairs(field, value),
                "annotations" => self.raw.annotations = self.list(field, value),
                "tags" => self.raw.tags = self.list(field, value),
                "target" => self.raw.target = text(value),
                "platforms" => {
                    // The input counts more: a job may build one platform of all images.
                    let given = self.list(field, value);
                    self.raw.platforms = self.raw.platforms.take().or(given);
                }
                "secret" => self.secrets(value),
                "ssh" => self.raw.ssh = self.ssh(value),
                "cache-from" => self.raw.cache_from = self.list(field, value),
                "cache-to" => self.raw.cache_to = self.list(field, value),
                // A target that is only linked to prints as `cacheonly`.
                "output" if self.asked => self.raw.outputs = self.lines(field, value),
                "output" => {}
                "attest" => self.raw.attests = self.lines(field, value),
                "pull" if value == &Value::Bool(true) => self.raw.pull = Some("true".to_owned()),
                "no-cache" if value == &Value::Bool(true) => self.raw.no_cache = Some("true".to_owned()),
                "pull" | "no-cache" => {}
                "no-cache-filter" => self.raw.no_cache_filters = self.list(field, value),
                "network" => self.raw.network = text(value),
                "shm-size" => self.raw.shm_size = text(value),
                "ulimits" => self.raw.ulimit = self.list(field, value),
                "extra-hosts" => self.raw.add_hosts = self.pairs(field, value),
                "entitlements" => self.entitlements(value),
                "call" if value == "build" || value == "" => {}
                "call" => {
                    self.refuse("its call is not build: run docker buildx bake --call in a step of its own")
                }
                other => self.refuse(format!("build-once does not know its field `{other}`")),
            }
        }
        self.dockerfile(&context, fields.get("dockerfile").and_then(Value::as_str));
    }

    fn context(&mut self, context: &str) {
        self.inside(context);
        self.raw.context = Some(context.to_owned());
    }

    /// bake's Dockerfile is relative to the context; `cwd://` names the working folder.
    fn dockerfile(&mut self, context: &str, dockerfile: Option<&str>) {
        if self.raw.dockerfile_inline.is_some() {
            return;
        }
        let Some(dockerfile) = dockerfile else { return };
        let file = if let Some(of_folder) = dockerfile.strip_prefix("cwd://") {
            of_folder.to_owned()
        } else if is_remote(context) {
            dockerfile.to_owned()
        } else {
            Path::new(context).join(dockerfile).display().to_string()
        };
        if !is_remote(context) {
            self.inside(&file);
        }
        self.raw.file = Some(file);
    }

    fn contexts(&mut self, value: &Value) {
        let mut contexts = Vec::new();
        for (name, value) in value.as_object().into_iter().flatten() {
            let Some(value) = value.as_str() else { continue };
            let value = match value.strip_prefix("target:") {
                Some(target) => format!("target:{}", image_name(self.prefix.as_deref(), target)),
                None => {
                    self.inside(value.strip_prefix("oci-layout://").unwrap_or(value));
                    value.to_owned()
                }
            };
            contexts.push(format!("{name}={value}"));
        }
        self.raw.build_contexts = Some(quoted(&contexts));
    }

    fn secrets(&mut self, value: &Value) {
        let (mut envs, mut files) = (Vec::new(), Vec::new());
        for secret in self.records("secret", value) {
            let get =
                |name: &str| secret.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
            let id = get("id").unwrap_or_default();
            match (get("src").or_else(|| get("source")), get("env")) {
                (Some(file), _) => {
                    self.inside(&file);
                    files.push(format!("{id}={file}"));
                }
                (None, Some(variable)) => envs.push(format!("{id}={variable}")),
                // buildx takes the variable of that name, else the file.
                (None, None) => envs.push(format!("{id}={id}")),
            }
        }
        (self.raw.secret_envs, self.raw.secret_files) = (Some(quoted(&envs)), Some(quoted(&files)));
    }

    fn ssh(&mut self, value: &Value) -> Option<String> {
        let mut items = Vec::new();
        for item in value.as_array()? {
            let text = match item {
                Value::Object(fields) => {
                    let id = fields.get("id").and_then(Value::as_str).unwrap_or_default();
                    let paths = fields.get("paths").and_then(Value::as_array).into_iter().flatten();
                    let paths: Vec<&str> = paths.filter_map(Value::as_str).collect();
                    if paths.is_empty() { id.to_owned() } else { format!("{id}={}", paths.join(",")) }
                }
                item => item.as_str().unwrap_or_default().to_owned(),
            };
            if text.contains(',') {
                self.refuse(format!("ssh `{text}` has several keys: name one for each id"));
            }
            items.push(text);
        }
        Some(quoted(&items))
    }

    /// What the target asks for must be granted by the input `allow`, as by bake's own flag.
    fn entitlements(&mut self, value: &Value) {
        let asked: Vec<String> =
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        for entitlement in
            asked.iter().filter(|asked| !self.granted.contains(asked)).cloned().collect::<Vec<_>>()
        {
            self.refuse(format!("it asks for {entitlement}: grant that with the input allow"));
        }
        self.raw.allow = Some(asked.join("\n"));
    }

    /// Notes a path outside the working folder that the input `allow` does not grant, as `fs.read=PATH` or `fs=*`.
    fn inside(&mut self, path: &str) {
        if is_remote(path) {
            return;
        }
        let real = |path: &Path| fs_err::canonicalize(path).or_else(|_| std::path::absolute(path));
        let granted = self.granted.clone();
        let granted = granted
            .iter()
            .filter_map(|grant| grant.strip_prefix("fs.read=").or_else(|| grant.strip_prefix("fs=")));
        let inside = |root: &str| {
            root == "*"
                || matches!((real(Path::new(root)), real(Path::new(path))), (Ok(root), Ok(path)) if path.starts_with(&root))
        };
        let mut roots = granted.chain(["."]);
        if !roots.any(inside) {
            self.refuse(format!(
                "`{path}` is outside the working folder: grant that with the input allow, as fs.read={path}"
            ));
        }
    }

    /// A list, one item a line. An item that is an object is a record, as `type=gha,scope=x`.
    fn list(&mut self, field: &str, value: &Value) -> Option<String> {
        Some(quoted(&self.texts(field, value)))
    }

    /// A list of records, which the input has as it is.
    fn lines(&mut self, field: &str, value: &Value) -> Option<String> {
        Some(self.texts(field, value).join("\n"))
    }

    fn texts(&mut self, field: &str, value: &Value) -> Vec<String> {
        let mut texts = Vec::new();
        for item in value.as_array().into_iter().flatten() {
            match item {
                Value::String(text) => texts.push(text.clone()),
                Value::Object(fields) => texts.push(record(fields)),
                _ => self.refuse(format!("its field `{field}` has an item that is no text")),
            }
        }
        texts
    }

    /// A map, one `NAME=value` a line; `NAME` alone takes the environment's value.
    fn pairs(&mut self, field: &str, value: &Value) -> Option<String> {
        let mut pairs = Vec::new();
        for (name, value) in value.as_object()? {
            match value {
                Value::Null => pairs.push(name.clone()),
                Value::String(value) => pairs.push(format!("{name}={value}")),
                _ => self.refuse(format!("its field `{field}` has a value that is no text")),
            }
        }
        Some(quoted(&pairs))
    }

    /// The items of a list of records, each as its fields. Older versions of buildx print a record as text.
    fn records(&mut self, field: &str, value: &Value) -> Vec<Vec<(String, String)>> {
        let texts = self.texts(field, value);
        let mut records = Vec::new();
        for text in texts {
            match crate::key::dockerfile::csv(&text) {
                Ok(fields) => records.push(
                    fields
                        .iter()
                        .filter_map(|field| field.split_once('='))
                        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                        .collect(),
                ),
                Err(why) => self.refuse(format!("its field `{field}`: {why}")),
            }
        }
        records
    }
}

/// Tells whether a context or path is none of this machine's.
fn is_remote(path: &str) -> bool {
    path.contains("://") || path.starts_with("git@") || path.starts_with("{{")
}

/// The fields of a record as CSV, the type first: `type=gha,scope=x`.
fn record(fields: &Map<String, Value>) -> String {
    let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
    fields.sort_by_key(|(name, _)| (*name != "type", *name));
    let text = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let field = format!("{name}={value}");
        if field.contains([',', '"', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
    };
    fields.into_iter().map(text).collect::<Vec<_>>().join(",")
}

/// The items as a list that [`super::lists::items`] reads back.
fn quoted(list: &[String]) -> String {
    let quote = |item: &String| format!("\"{}\"", item.replace('"', "\"\""));
    list.iter().map(quote).collect::<Vec<_>>().join("\n")
}
