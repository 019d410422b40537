//! Reads one target of a definition: each field becomes the input of the same meaning.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::image::ImageReference;
use crate::inputs::contexts::local_path;
use crate::inputs::lists::{InputText as _, quoted_item};
use crate::inputs::problems::Problems;
use crate::inputs::raw::RawInputs;
use crate::key::dockerfile::familiar;
use crate::key::dockerfile::{csv, csv_field};

/// The name of a target's image.
#[must_use]
pub(crate) fn image_name(prefix: Option<&str>, target: &str) -> String {
    let target = target.to_ascii_lowercase();
    prefix.map_or_else(|| target.clone(), |prefix| format!("{prefix}-{target}"))
}

/// A target while it is read.
pub(super) struct Target<'a> {
    name: &'a str,
    asked: bool,
    /// The inputs of its image.
    pub(super) raw: RawInputs,
    /// Its names that no registry holds.
    pub(super) local_names: Vec<String>,
    /// The input `image`, which begins the names.
    prefix: Option<String>,
    /// What the input `allow` grants.
    granted: Vec<String>,
    problems: &'a mut Problems,
}

impl<'a> Target<'a> {
    pub(super) fn new(raw: &RawInputs, name: &'a str, asked: bool, problems: &'a mut Problems) -> Self {
        let prefix = raw.image.trimmed().map(str::to_owned);
        let own = RawInputs {
            image: Some(image_name(prefix.as_deref(), name)),
            bake: None,
            targets: Some(name.to_owned()),
            set: None,
            allow: None,
            ..raw.clone()
        };
        Self {
            name,
            asked,
            raw: own,
            local_names: Vec::new(),
            prefix,
            granted: raw.allow.comma_items(),
            problems,
        }
    }

    fn refuse(&mut self, why: impl std::fmt::Display) {
        self.problems.add("bake", format!("target {}: {why}", self.name));
    }

    /// Reads all fields. One that is not known is refused: it may change the image.
    pub(super) fn read(&mut self, fields: &Map<String, Value>) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let context = fields.get("context").and_then(text).unwrap_or_else(|| ".".to_owned());
        self.context(&context);
        for (field, value) in fields {
            match field.as_str() {
                "pull" if value == &Value::Bool(true) => self.raw.pull = Some("true".to_owned()),
                "no-cache" if value == &Value::Bool(true) => self.raw.no_cache = Some("true".to_owned()),
                "call" if value == "build" || value == "" => {}
                // A target that is only linked to prints as `cacheonly`.
                "output" if !self.asked => {}
                "context" | "description" | "dockerfile" | "pull" | "no-cache" => {}
                "contexts" => self.contexts(value),
                "dockerfile-inline" => self.raw.dockerfile_inline = text(value),
                "args" => self.raw.build_args = self.pairs(field, value),
                "labels" => self.raw.labels = self.pairs(field, value),
                "annotations" => self.raw.annotations = Some(self.list(field, value)),
                "tags" => self.tags(value),
                "target" => self.raw.target = text(value),
                "platforms" => {
                    // The input counts more: a job may build one platform of all images. `local` is the machine's own,
                    // as without platforms.
                    let given = (*value != json!(["local"])).then(|| self.list(field, value));
                    self.raw.platforms = self.raw.platforms.take().or(given);
                }
                "secret" => self.secrets(value),
                "ssh" => self.raw.ssh = self.ssh(value),
                "cache-from" => self.raw.cache_from = Some(self.list(field, value)),
                "cache-to" => self.raw.cache_to = Some(self.list(field, value)),
                "output" => self.raw.outputs = Some(self.lines(field, value)),
                "attest" => self.raw.attests = Some(self.lines(field, value)),
                "no-cache-filter" => self.raw.no_cache_filters = Some(self.list(field, value)),
                "network" => self.raw.network = text(value),
                "shm-size" => self.raw.shm_size = text(value),
                "ulimits" => self.raw.ulimit = Some(self.list(field, value)),
                "extra-hosts" => self.raw.add_hosts = self.pairs(field, value),
                "entitlements" => self.entitlements(value),
                "call" => {
                    self.refuse("its call is not build: run docker buildx bake --call in a step of its own");
                }
                other => self.refuse(format!("build-once does not know its field `{other}`")),
            }
        }
        self.dockerfile(&context, fields.get("dockerfile").and_then(Value::as_str));
    }

    fn context(&mut self, context: &str) {
        if let Some(path) = local_path(context) {
            self.inside(path);
        }
        self.raw.context = Some(context.to_owned());
    }

    /// bake's Dockerfile is relative to the context; `cwd://` names the working folder.
    fn dockerfile(&mut self, context: &str, dockerfile: Option<&str>) {
        if self.raw.dockerfile_inline.is_some() {
            return;
        }
        let Some(dockerfile) = dockerfile else { return };
        let file = match (dockerfile.strip_prefix("cwd://"), local_path(context)) {
            (Some(of_folder), _) => of_folder.to_owned(),
            (None, Some(folder)) => Path::new(folder).join(dockerfile).display().to_string(),
            // A file of the repository.
            (None, None) => {
                self.raw.file = Some(dockerfile.to_owned());
                return;
            }
        };
        self.inside(&file);
        self.raw.file = Some(file);
    }

    /// Reads the names. One without a `/` is a name in the engine: in a registry it would be one of Docker Hub's own
    /// library, where users cannot publish.
    fn tags(&mut self, value: &Value) {
        let (tags, local): (Vec<_>, Vec<_>) =
            self.texts("tags", value).into_iter().partition(|tag| tag.contains('/'));
        for name in local {
            match name.parse::<ImageReference>() {
                Ok(_) if name.contains(':') => self.local_names.push(name),
                Ok(_) => self.local_names.push(format!("{name}:latest")),
                Err(error) => self.refuse(format!("its tag `{name}`: {}", error.reason())),
            }
        }
        self.raw.tags = Some(quoted(&tags));
    }

    fn contexts(&mut self, value: &Value) {
        let mut contexts = Vec::new();
        for (name, value) in value.as_object().into_iter().flatten() {
            let Some(value) = value.as_str() else { continue };
            // Other than `docker buildx build`, bake does not spell the names of its contexts as BuildKit looks for them
            // (buildx, `toBuildOpt` and `ParseContextNames`).
            let spelled = familiar(name);
            if spelled != *name {
                self.refuse(format!("its context `{name}` is not used by bake: call it `{spelled}`"));
            }
            let value = if let Some(target) = value.strip_prefix("target:") {
                format!("target:{}", image_name(self.prefix.as_deref(), target))
            } else {
                if let Some(path) = local_path(value) {
                    self.inside(path);
                }
                value.to_owned()
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
    fn list(&mut self, field: &str, value: &Value) -> String {
        quoted(&self.texts(field, value))
    }

    /// A list of records, which the input has as it is.
    fn lines(&mut self, field: &str, value: &Value) -> String {
        self.texts(field, value).join("\n")
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
            match csv(&text) {
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

/// The fields of a record as CSV, the type first: `type=gha,scope=x`.
fn record(fields: &Map<String, Value>) -> String {
    let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
    fields.sort_by_key(|(name, _)| (*name != "type", *name));
    let text = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        csv_field(&format!("{name}={value}"))
    };
    fields.into_iter().map(text).collect::<Vec<_>>().join(",")
}

/// The items as a list that [`crate::inputs::lists::items`] reads back.
fn quoted(list: &[String]) -> String {
    list.iter().map(|item| quoted_item(item)).collect::<Vec<_>>().join("\n")
}
