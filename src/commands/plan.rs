//! `build-once plan`: the plan, and nothing written.

use crate::error::Result;
use crate::pipeline::{Decided, decide};
use crate::plan::{Rendered, json, text};

/// The plan as text or JSON.
///
/// # Errors
/// What `run` would fail with before its first write.
pub(crate) async fn run(prepared: &crate::pipeline::Prepared, as_json: bool) -> Result<String> {
    let Decided { facts, plan, .. } = decide(prepared).await?;
    let rendered = Rendered {
        inputs: &prepared.inputs,
        run: &prepared.run,
        access: &prepared.access,
        facts: &facts,
        plan: &plan,
    };
    Ok(if as_json { format!("{:#}\n", json(&rendered)) } else { text(&rendered) })
}
