//! `build-once key`: the build key, what it is made of, and what differs from another one.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::budget;
use crate::error::{Error, Result};
use crate::facts::explain::{self, Earlier};
use crate::facts::{gather, keys};
use crate::failure::FailureKind;
use crate::image::ImageReference;
use crate::image::hex;
use crate::key::explain::{from_listing, listing, shown};
use crate::key::files::Kind;
use crate::key::names::escape;
use crate::key::{BuildKey, PlatformKey};
use crate::pipeline::Prepared;
use crate::trust::ImageRun;

/// The key as text or JSON. Values of build arguments are shown as digests only.
///
/// # Errors
/// If a file cannot be read, or an image has no digest.
pub(crate) async fn run(prepared: &Prepared, as_json: bool) -> Result<String> {
    let mut keys = build_keys(prepared).await?;
    let asked = prepared.request.images.iter().filter(|image| image.asked).count();
    if asked > 1 {
        return Ok(of_many(prepared, &keys, as_json));
    }
    let (key, platforms) = keys.swap_remove(0);
    if as_json {
        return Ok(listing(&key, &platforms));
    }
    let mut text = format!("{}\n", key.hex);
    // Writing to a String cannot fail; the results are dropped.
    for own in &platforms {
        let _ = writeln!(text, "{:<14} {:<30} {}", "platform-key", own.platform, own.key.hex);
    }
    for entry in &key.entries {
        let _ = writeln!(text, "{:<14} {:<30} {}", entry.kind.as_str(), entry.name, shown(entry));
    }
    for (context, tree) in &key.trees {
        if tree.len() <= MOST_FILES {
            tree.visit(|path, entry| {
                let _ = writeln!(text, "{context:<14} {:<30} {}", escape(path), hex(&entry.fact.digest));
            });
            continue;
        }
        for entry in tree.top() {
            let (name, digest) = (escape(entry.name), hex(&entry.fact.digest));
            let name = match entry.kind {
                Kind::Folder => format!("{name}/ ({} files)", entry.fact.size),
                Kind::File | Kind::Symlink | Kind::Special => name,
            };
            let _ = writeln!(text, "{context:<14} {name:<30} {digest}");
        }
    }
    Ok(text)
}

/// The key of each image that is asked for.
fn of_many(prepared: &Prepared, keys: &[(BuildKey, Vec<PlatformKey>)], as_json: bool) -> String {
    let images = prepared.request.images.iter().zip(keys).filter(|(image, _)| image.asked);
    if as_json {
        let keys: serde_json::Map<String, Value> =
            images.map(|(image, (key, _))| (image.image.to_string(), json!(key.hex))).collect();
        return format!("{:#}\n", Value::from(keys));
    }
    let lines: Vec<String> =
        images.map(|(image, (key, _))| format!("{} {}\n", key.hex, image.image)).collect();
    lines.concat()
}

/// Computes the keys that builds would publish under, and those of the platforms of an image that has several; that of the
/// first image that is asked for comes first.
async fn build_keys(prepared: &Prepared) -> Result<Vec<(BuildKey, Vec<PlatformKey>)>> {
    let ports = &prepared.ports;
    let keys = keys(ports, &prepared.images()).await?;
    for warning in keys.iter().flat_map(|(key, _)| &key.warnings).filter(|warning| warning.is_grave()) {
        ports.console.line(&format!("warning: {warning}; {}", warning.hint()));
    }
    Ok(keys)
}

/// The most files that are printed one by one; of more, the folders are printed. JSON has every file.
const MOST_FILES: u64 = 1000;

/// Compares the present key with an image, a file that `key --json` wrote, or, if `with` is empty, the nearest earlier
/// image.
///
/// # Errors
/// If the key cannot be computed, or the other one's entries are not known.
pub(crate) async fn explain(prepared: &Prepared, with: &str, as_json: bool) -> Result<String> {
    let (key, earlier) = match with {
        "" => nearest(prepared).await?,
        with => {
            let (keys, earlier) = tokio::join!(build_keys(prepared), earlier_named(prepared, with));
            (keys?.swap_remove(0).0, earlier?)
        }
    };
    let ports = &prepared.ports;
    let ImageRun { request: inputs, run, .. } = prepared.first()?;
    let (changes, advice) = explain::compare(ports, inputs, run, &earlier.explained, &key).await;
    let Earlier { name, explained, .. } = earlier;
    if as_json {
        let with = json!({"name": name, "key": explained.key});
        return Ok(format!(
            "{:#}\n",
            json!({"key": key.hex, "with": with, "changes": changes, "advice": advice})
        ));
    }
    let mut text = String::new();
    if changes.is_empty() {
        let _ = writeln!(text, "nothing differs from {name}: the key is {}", key.hex);
    } else {
        let _ = writeln!(text, "{name} has key {}, here it is {}:", explained.key, key.hex);
    }
    for change in changes {
        let _ = writeln!(text, "  {change}");
    }
    if let Some(advice) = advice {
        let _ = writeln!(text, "{advice}");
    }
    Ok(text)
}

async fn nearest(prepared: &Prepared) -> Result<(BuildKey, Earlier)> {
    let (ports, image) = (&prepared.ports, prepared.first()?);
    let facts = gather(ports, &[image]).await?.images.swap_remove(0)?;
    let earlier = explain::find_nearest(ports, image, &facts, explain::Effort::OneRoundTrip).await;
    let key = facts.key.ok_or_else(|| Error::input("a digest is asked for: there is no key to explain"))?;
    let missing = |unknown: Option<String>| {
        let hint = "name one: --explain REFERENCE, or --explain FILE with what key --json printed elsewhere";
        Error::of(
            FailureKind::BadInput,
            match unknown {
                None => format!("there is no earlier image of {} to compare with", image.request.image),
                Some(why) => format!("earlier images of {} were not compared: {why}", image.request.image),
            },
        )
        .hint(hint)
    };
    Ok((key, earlier.map_err(missing)?))
}

/// Reads a file of `key --json`, an image of the engine's, or one of a registry; a tag alone means the repository's.
async fn earlier_named(prepared: &Prepared, with: &str) -> Result<Earlier> {
    if Path::new(with).is_file() {
        return from_file(with);
    }
    let (ports, image) = (&prepared.ports, prepared.first()?);
    if let Some(local) = explain::read_local(ports, with).await {
        return Ok(local);
    }
    let repository = crate::facts::resolve_repository(&[image.request], &ports.env, &ports.aws).await?;
    let tag = repository
        .repository()
        .filter(|_| !with.contains(['/', ':', '@']))
        .map(|home| format!("{home}:{with}"));
    let reference = tag
        .as_deref()
        .unwrap_or(with)
        .parse::<ImageReference>()
        .map_err(|error| Error::input(format!("--explain {with}")).because(&error))?;
    let published = explain::read_published(ports, &reference).await?;
    let Some((explained, bytes)) = published else {
        return Err(Error::input(format!("{reference} does not say what it was made from"))
            .hint("only images that this version of build-once has built do"));
    };
    Ok(Earlier { name: reference.to_string(), explained, bytes })
}

fn from_file(path: &str) -> Result<Earlier> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Error::input(format!("failed to read {path}"))
            .because(error)
            .hint("it holds what build-once key --json printed")
    };
    let text = budget::read_file(std::path::Path::new(path), budget::DOCUMENT_FILE)
        .map_err(|error| failed(&error))?;
    let value: Value = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
    let explained = from_listing(&value).map_err(|error| failed(&error))?;
    Ok(Earlier { name: path.to_owned(), explained, bytes: None })
}
