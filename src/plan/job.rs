//! A job of GitHub's that would build a missing image.

use crate::image::Platform;
use crate::inputs::RunsOn;

/// A job that would build a missing image for one platform: an entry of the output `matrix`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MatrixJob {
    pub image: String,
    /// The image's target, with the input `bake`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    pub platform: Platform,
    pub runs_on: RunsOn,
}
