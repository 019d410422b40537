//! `build-once plan`: the plan, and nothing written but the facts where that is asked for.

use std::path::Path;

use crate::budget;
use crate::error::{Error, Result};
use crate::pipeline::{Decided, Prepared, Replayed, find, replay};
use crate::plan::{json, text};
use crate::saved::Saved;
use crate::shown;

/// The plan as text or JSON. `save`: where what it was made from is written, also if there is no plan.
///
/// # Errors
/// What `run` would fail with before its first write.
pub(crate) async fn run(prepared: &Prepared, as_json: bool, save: Option<&str>) -> Result<String> {
    let images = prepared.images();
    let found = find(prepared, &images).await?;
    if let Some(path) = save {
        let mut saved = found.saved(prepared, &images);
        shown::hide_in(&mut saved);
        fs_err::write(path, format!("{saved:#}\n"))
            .map_err(|error| Error::of_io("failed to save the facts", &error))?;
    }
    let plan = found.plan(&images, &prepared.ports.env)?;
    let decided = Decided { found, plan };
    if as_json {
        return Ok(format!("{:#}\n", decided.json(prepared, &images, true)));
    }
    Ok(text(&decided.rendered(&prepared.run, &images)))
}

/// The plan that follows from saved facts.
///
/// # Errors
/// If the file holds none, or what the run failed with.
pub(crate) fn from_file(path: &str, as_json: bool) -> Result<String> {
    let document = budget::read_text(Path::new(path), budget::DOCUMENT_FILE)
        .map_err(|error| Error::input(format!("failed to read {path}")).because(&error))?;
    from_text(&document, as_json)
}

/// The same from the document itself.
///
/// # Errors
/// The same.
pub(crate) fn from_text(document: &str, as_json: bool) -> Result<String> {
    let replayed: Replayed = replay(Saved::read(document)?)?;
    Ok(replayed.show(|rendered| if as_json { format!("{:#}\n", json(rendered)) } else { text(rendered) }))
}
