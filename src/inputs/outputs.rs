//! The inputs `outputs` and `attests`, for workflows written for docker/build-push-action. Each line is turned into
//! the inputs of the same meaning: `type=registry,name=h.io/a,compression=zstd` is `push: true`, `tags: h.io/a` and
//! `compression: zstd`; `type=provenance,mode=min` is `provenance: mode=min`.

use super::lists::items;
use super::problems::Problems;
use crate::key::dockerfile::{csv, go_bool};

/// What all lines of `outputs` ask for together, as other inputs say it.
#[derive(Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "what is asked, each independent of the others")]
pub(super) struct Outputs {
    /// Whether there are any lines.
    pub given: bool,
    pub push: bool,
    pub load: bool,
    /// Push without a tag: then `names` are repositories.
    pub by_digest: bool,
    /// Names of the image.
    pub names: Vec<String>,
    pub annotations: Vec<String>,
    /// Empty if the lines say nothing of it.
    pub compression: String,
}

/// Why an output of this type is refused, and what to write instead.
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

/// The attributes of one line, names in lower case.
struct Attributes(Vec<(String, String)>);

impl Attributes {
    /// Splits `type=image,"name=a,b"`. A line that is one word without `type=` is the folder of `type=local` (buildx,
    /// `ParseExports`).
    fn of(line: &str) -> Result<Self, String> {
        let fields = csv(line)?;
        if let [only] = fields.as_slice()
            && !only.starts_with("type=")
        {
            return Err(refused("local").to_owned());
        }
        let pair = |field: String| match field.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_ascii_lowercase(), value.to_owned())),
            None => Err(format!("has `{field}`, which is not NAME=value")),
        };
        fields.into_iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// Of two values the last one counts.
    fn get(&self, wanted: &str) -> Option<&str> {
        self.0.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// A switch, which is off where it is absent.
    fn is_on(&self, name: &str) -> Result<bool, String> {
        let Some(text) = self.get(name) else { return Ok(false) };
        go_bool(text).ok_or_else(|| format!("has {name}={text}, which is neither true nor false"))
    }

    /// What the input `compression` would be, such as `zstd,force,level=3`; empty if no attribute says it.
    fn compression(&self) -> String {
        let option = |(name, value): &(String, String)| match name.as_str() {
            "force-compression" if go_bool(value) == Some(true) => Some(",force".to_owned()),
            "compression-level" => Some(format!(",level={value}")),
            _ => None,
        };
        let options: String = self.0.iter().filter_map(option).collect();
        match self.get("compression") {
            None if options.is_empty() => options,
            kind => kind.unwrap_or("gzip").to_owned() + &options,
        }
    }
}

impl Outputs {
    /// Adds what one line asks for (buildx, `ParseExports`; BuildKit's README, "Output").
    fn read(&mut self, line: &str) -> Result<(), String> {
        let attributes = Attributes::of(line)?;
        match attributes.get("type").ok_or("has no type")? {
            "cacheonly" => return Ok(()),
            "registry" => self.push = true,
            "image" => self.push |= attributes.is_on("push")?,
            "docker" if attributes.get("dest").is_none() => self.load = true,
            kind @ ("docker" | "oci" | "local" | "tar") => return Err(refused(kind).to_owned()),
            kind => return Err(format!("has the type {kind}, which BuildKit does not know")),
        }
        self.by_digest |= attributes.is_on("push-by-digest")?;
        for (name, value) in &attributes.0 {
            match name.as_str() {
                "name" => self.names.extend(value.split(',').map(|name| name.trim().to_owned())),
                // These are read above and below, or are done anyway, or change nothing of what a registry gets.
                "type" | "push" | "push-by-digest" | "compression" | "compression-level"
                | "name-canonical" | "unpack" | "store" => {}
                "oci-mediatypes" if go_bool(value) == Some(true) => {}
                // `oci-artifact` changes the form of attestations alone, and is left out.
                "force-compression" | "oci-artifact" if go_bool(value).is_some() => {}
                name if name.starts_with("annotation") => self.annotations.push(annotation(name, value)?),
                name => {
                    return Err(format!("has {name}={value}, which this action does not take: leave it out"));
                }
            }
        }
        let compression = attributes.compression();
        if !compression.is_empty() {
            self.compression = compression;
        }
        Ok(())
    }
}

/// `annotation[-LEVEL][[PLATFORM]].NAME` (BuildKit, `exptypes/annotations.go`), as a line of the input `annotations`:
/// `annotation-index.a` with the value `b` is `index:a=b`.
fn annotation(name: &str, value: &str) -> Result<String, String> {
    let wrong = || format!("has {name}, which is not annotation.NAME");
    let rest = name.strip_prefix("annotation").ok_or_else(wrong)?;
    let (level, key) = rest.split_once('.').filter(|(_, key)| !key.is_empty()).ok_or_else(wrong)?;
    let level = match level.strip_prefix('-') {
        Some(level) => level.to_owned(),
        // Without a level it is the manifest's; a platform in brackets may follow.
        None => format!("manifest{level}"),
    };
    Ok(format!("{level}:{key}={value}"))
}

/// What `attests` says, as the inputs `provenance` and `sbom` have it.
#[derive(Debug, Default)]
pub(super) struct Attests {
    pub provenance: Option<String>,
    pub sbom: Option<String>,
}

pub(super) fn attests(problems: &mut Problems, text: Option<&str>) -> Attests {
    let mut attests = Attests::default();
    for line in text.map(items).unwrap_or_default() {
        if let Err(why) = attests.read(&line) {
            problems.add("attests", format!("`{line}` {why}"));
        }
    }
    attests
}

impl Attests {
    /// Takes one line, such as `type=sbom,generator=h/s:1`.
    fn read(&mut self, line: &str) -> Result<(), String> {
        let (types, rest): (Vec<_>, Vec<_>) =
            csv(line)?.into_iter().partition(|field| field.starts_with("type="));
        let attributes = if rest.is_empty() { "true".to_owned() } else { rest.join(",") };
        match types.as_slice() {
            [only] if only == "type=provenance" => self.provenance = Some(attributes),
            [only] if only == "type=sbom" => self.sbom = Some(attributes),
            _ => return Err("is neither type=provenance nor type=sbom".to_owned()),
        }
        Ok(())
    }
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
        assert_eq!(read("type=image,oci-artifact=true").unwrap().compression, "");
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
            ("type=image,oci-artifact=maybe", "leave it out"),
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
        let Attests { provenance, sbom } = attests(&mut problems, Some(text));
        assert_eq!((provenance.as_deref(), sbom.as_deref()), (Some("mode=min"), Some("generator=h/s:1")));
        assert_eq!(attests(&mut problems, Some("type=sbom")).sbom.as_deref(), Some("true"));
        problems.finish().unwrap();
        let mut problems = Problems::default();
        attests(&mut problems, Some("type=vex,a=b"));
        assert!(problems.finish().unwrap_err().to_string().contains("input `attests`: `type=vex,a=b`"));
    }
}
