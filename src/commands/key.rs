//! `build-once key`: the build key and what it is made of.

use std::fmt::Write as _;

use crate::Prepared;
use crate::error::Result;
use crate::facts::compute_key;
use crate::key::names;

/// The key as text or JSON. Values of build arguments are shown as digests only.
///
/// # Errors
/// If a file cannot be read, or an image has no digest.
pub async fn run(prepared: &Prepared, as_json: bool) -> Result<String> {
    let computed = compute_key(&prepared.ports, &prepared.inputs).await?;
    let key = computed.key;
    let files = || {
        let mut files = Vec::new();
        for (context, tree) in &key.trees {
            tree.visit(|path, entry| {
                files.push((context.clone(), names::escape(path), names::hex(&entry.fact.digest)));
            });
        }
        files
    };
    if as_json {
        let entries: Vec<_> = key.entries.iter().map(|entry| serde_json::json!({"kind": entry.kind.as_str(), "name": entry.name, "value": entry.value})).collect();
        let files: Vec<_> = files().into_iter().map(|(context, path, digest)| serde_json::json!({"context": context, "path": path, "sha256": digest})).collect();
        return Ok(format!(
            "{:#}\n",
            serde_json::json!({"key": key.hex, "entries": entries, "files": files})
        ));
    }
    let mut text = format!("{}\n", key.hex);
    for entry in &key.entries {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<14} {:<30} {}", entry.kind.as_str(), entry.name, entry.value);
    }
    for (context, path, digest) in files() {
        let _ = writeln!(text, "{context:<14} {path:<30} {digest}");
    }
    Ok(text)
}
