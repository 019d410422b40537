//! The files that a run leaves for later steps.

use std::path::PathBuf;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::ports::temporary::{PrivateFolder, RUN, temporary_folder};
use crate::shown;

/// The files of a run: the plan, and buildx's metadata. In a workflow later steps can read them; elsewhere they are
/// removed at the end.
#[derive(Default)]
pub(super) struct RunFiles {
    /// `None` outside of workflows.
    pub(super) plan: Option<PathBuf>,
    /// buildx's metadata file of each image.
    pub(super) metadata: Vec<PathBuf>,
    /// Removes the folder when the run ends; `None` if it stays.
    _folder: Option<PrivateFolder>,
}

impl RunFiles {
    /// Makes the folder, and writes the plan in a workflow.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn create(env: &Env, images: usize, plan: impl FnOnce() -> serde_json::Value) -> Result<Self> {
        let failed = |error: std::io::Error| Error::of_io("failed to write the plan", &error);
        let parent = temporary_folder(env);
        let folder = PrivateFolder::new(RUN, &parent).map_err(failed)?;
        let name =
            |at| if at == 0 { "metadata.json".to_owned() } else { format!("metadata-{}.json", at + 1) };
        let metadata = (0..images).map(|at| folder.path().join(name(at))).collect();
        if !env.in_github_actions() {
            return Ok(Self { plan: None, metadata, _folder: Some(folder) });
        }
        // The runner empties its temporary folder after the job.
        let path = folder.keep().join("plan.json");
        let mut plan = plan();
        shown::hide_in(&mut plan);
        fs_err::write(&path, format!("{plan:#}\n")).map_err(failed)?;
        Ok(Self { plan: Some(path), metadata, _folder: None })
    }
}
