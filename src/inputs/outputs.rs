//! `outputs` and `attests`, as docker/build-push-action has them: what an image is made of is what other inputs say.

use super::lists::items;
use super::problems::Problems;
use crate::key::dockerfile::{csv, go_bool};

/// What `outputs` asks for.
#[derive(Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "what is asked, each independent of the others")]
pub(super) struct Outputs {
    /// Whether there are any.
    pub given: bool,
    /// Publish.
    pub push: bool,
    pub load: bool,
    /// Under no name of its own.
    pub by_digest: bool,
    /// Names of the image.
    pub names: Vec<String>,
    pub annotations: Vec<String>,
    /// What the input `compression` would be.
    pub compression: String,
}

/// Where the result of a build without an image goes, and what to write.
fn refused(kind: &str) -> &'static str {
    match kind {
        "oci" | "docker" => {
            "writes a file, and a reused image writes none: write `load: true` and `docker save` in a step after it"
        }
        _ => {
            "writes files, and a reused image writes none: write a step `docker buildx build --output …`, or copy them out of the image with `docker create` and `docker cp` in a step after it"
        }
    }
}

pub(super) fn outputs(problems: &mut Problems, text: Option<&str>) -> Outputs {
    let mut outputs = Outputs::default();
    for line in text.map(super::lists::lines).unwrap_or_default() {
        outputs.given = true;
        if let Err(why) = outputs.read(&line) {
            problems.add("outputs", format!("`{line}` {why}"));
        }
    }
    outputs
}

impl Outputs {
    /// One destination (buildx, `ParseExports`; BuildKit's README, "Output").
    fn read(&mut self, line: &str) -> Result<(), String> {
        let fields = csv(line)?;
        if let [only] = fields.as_slice()
            && !only.starts_with("type=")
        {
            return Err(refused("local").to_owned());
        }
        let mut pairs = Vec::new();
        for field in &fields {
            let (name, value) =
                field.split_once('=').ok_or_else(|| format!("has `{field}`, which is not NAME=value"))?;
            pairs.push((name.trim().to_ascii_lowercase(), value));
        }
        let get = |wanted: &str| pairs.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| *value);
        let kind = get("type").ok_or("has no type")?;
        let is_image = match kind {
            "cacheonly" => return Ok(()),
            "image" | "registry" => true,
            "docker" if get("dest").is_none() => {
                self.load = true;
                false
            }
            "docker" | "oci" | "local" | "tar" => return Err(refused(kind).to_owned()),
            _ => return Err(format!("has the type {kind}, which BuildKit does not know")),
        };
        let on = |name: &str| match get(name) {
            None => Ok(false),
            Some(text) => {
                go_bool(text).ok_or_else(|| format!("has {name}={text}, which is neither true nor false"))
            }
        };
        self.push |= kind == "registry" || (is_image && on("push")?);
        self.by_digest |= on("push-by-digest")?;
        let mut compression: Vec<String> = Vec::new();
        for (name, value) in &pairs {
            match name.as_str() {
                "name" => self.names.extend(value.split(',').map(|name| name.trim().to_owned())),
                // Read above; and what is done anyway, or has no effect on what a registry gets.
                "type" | "push" | "push-by-digest" | "name-canonical" | "unpack" | "store" => {}
                "oci-mediatypes" if go_bool(value) == Some(true) => {}
                "compression" => compression.insert(0, (*value).to_owned()),
                "force-compression" if go_bool(value) == Some(false) => {}
                "force-compression" if go_bool(value) == Some(true) => compression.push("force".to_owned()),
                "compression-level" => compression.push(format!("level={value}")),
                name if name.starts_with("annotation") => self.annotations.push(annotation(name, value)?),
                name => {
                    return Err(format!("has {name}={value}, which this action does not take: leave it out"));
                }
            }
        }
        if !compression.is_empty() {
            if get("compression").is_none() {
                compression.insert(0, "gzip".to_owned());
            }
            self.compression = compression.join(",");
        }
        Ok(())
    }
}

/// `annotation[-LEVEL][[PLATFORM]].NAME` (BuildKit, `exptypes/annotations.go`), as the input `annotations` has it.
fn annotation(name: &str, value: &str) -> Result<String, String> {
    let wrong = || format!("has {name}, which is not annotation.NAME");
    let rest = name.strip_prefix("annotation").ok_or_else(wrong)?;
    let (level, key) = rest.split_once('.').filter(|(_, key)| !key.is_empty()).ok_or_else(wrong)?;
    let level = match level.strip_prefix('-') {
        Some(level) => level.to_owned(),
        None => format!("manifest{level}"),
    };
    Ok(format!("{level}:{key}={value}"))
}

/// What `attests` says of provenance and SBOM, each as the input of that name has it.
pub(super) fn attests(problems: &mut Problems, text: Option<&str>) -> [Option<String>; 2] {
    let [mut provenance, mut sbom] = [None, None];
    for line in text.map(items).unwrap_or_default() {
        let mut read = || {
            let fields = csv(&line)?;
            let (types, rest): (Vec<_>, Vec<_>) =
                fields.into_iter().partition(|field| field.starts_with("type="));
            let rest = if rest.is_empty() { "true".to_owned() } else { rest.join(",") };
            match types.as_slice() {
                [only] if only == "type=provenance" => provenance = Some(rest),
                [only] if only == "type=sbom" => sbom = Some(rest),
                _ => return Err("is neither type=provenance nor type=sbom".to_owned()),
            }
            Ok::<(), String>(())
        };
        if let Err(why) = read() {
            problems.add("attests", format!("`{line}` {why}"));
        }
    }
    [provenance, sbom]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Outputs, String> {
        let mut problems = Problems::default();
        let outputs = outputs(&mut problems, Some(text));
        problems.finish().map(|()| outputs).map_err(|error| error.to_string())
    }

    #[test]
    fn d45_an_image_is_what_other_inputs_say() {
        let by_digest =
            read("type=image,\"name=h.io/a:1,h.io/a:2\",push-by-digest=true,name-canonical=true,push=true")
                .unwrap();
        assert!(by_digest.push && by_digest.by_digest && !by_digest.load);
        assert_eq!(by_digest.names, ["h.io/a:1", "h.io/a:2"]);
        let packed = read("type=registry,name=h.io/a,compression=zstd,force-compression=true,compression-level=3,oci-mediatypes=true,annotation.a=b,annotation-index.c=d").unwrap();
        assert_eq!((packed.push, packed.compression.as_str()), (true, "zstd,force,level=3"));
        assert_eq!(packed.annotations, ["manifest:a=b", "index:c=d"]);
        assert!(read("type=docker").unwrap().load && read("type=docker,name=x").unwrap().load);
        let nowhere = read("type=cacheonly").unwrap();
        assert!(nowhere.given && !nowhere.push && !nowhere.load);
        assert!(!read("type=image").unwrap().push && !read("").unwrap().given);
    }

    #[test]
    fn d45_files_are_refused_with_what_to_write() {
        for (text, instead) in [
            ("./out", "docker cp"),
            ("-", "docker cp"),
            ("type=local,dest=./out", "docker cp"),
            ("type=tar,dest=x.tar", "docker cp"),
            ("type=oci,dest=x.tar", "docker save"),
            ("type=docker,dest=x.tar", "docker save"),
            ("type=floppy", "does not know"),
            ("dest=x,a=b", "has no type"),
            ("type=image,push=maybe", "neither true nor false"),
            ("type=image,rewrite-timestamp=true", "leave it out"),
            ("type=image,\"name=a", "never closed"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(instead) && error.contains("input `outputs`"), "{text}: {error}");
        }
    }

    #[test]
    fn d45_attestations_as_their_own_inputs() {
        let mut problems = Problems::default();
        let text = "type=provenance,mode=min\ntype=sbom,generator=h/s:1";
        let [provenance, sbom] = attests(&mut problems, Some(text));
        assert_eq!((provenance.as_deref(), sbom.as_deref()), (Some("mode=min"), Some("generator=h/s:1")));
        assert_eq!(attests(&mut problems, Some("type=sbom"))[1].as_deref(), Some("true"));
        problems.finish().unwrap();
        let mut problems = Problems::default();
        attests(&mut problems, Some("type=vex,a=b"));
        assert!(problems.finish().unwrap_err().to_string().contains("input `attests`: `type=vex,a=b`"));
    }
}
