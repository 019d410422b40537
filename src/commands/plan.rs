//! `build-once plan`: the plan, and nothing written.

use crate::error::Result;
use crate::pipeline::decide;
use crate::plan::{json, text};

/// The plan as text or JSON.
///
/// # Errors
/// What `run` would fail with before its first write.
pub(crate) async fn run(prepared: &crate::pipeline::Prepared, as_json: bool) -> Result<String> {
    let decided = decide(prepared).await?;
    let images = prepared.images();
    let rendered = decided.rendered(&prepared.run, &images);
    Ok(if as_json { format!("{:#}\n", json(&rendered)) } else { text(&rendered) })
}
