//! The input of the analysis of a Dockerfile.

use super::familiar;
use super::triggers::BaseTriggers;
use crate::image::Platform;
use crate::key::MAIN_CONTEXT;

/// Everything beside the Dockerfile's text that decides its analysis.
#[derive(Debug, Clone, Copy)]
pub struct AnalysisRequest<'a> {
    /// The file's name, for messages.
    pub file: &'a str,
    /// The stage to build; `None` is the last one.
    pub target: Option<&'a str>,
    /// Build arguments; of one name the last counts.
    pub build_args: &'a [(String, String)],
    /// The target platforms; empty means the build platform.
    pub platforms: &'a [Platform],
    /// The machine that builds, for `BUILDPLATFORM`, `BUILDARCH` and so on.
    pub build_platform: &'a Platform,
    /// Names of the given build contexts.
    pub build_contexts: &'a [String],
    /// `ONBUILD` instructions of the images and contexts that `FROM` names. Empty before they are looked up.
    pub triggers: &'a [BaseTriggers],
}

impl AnalysisRequest<'_> {
    pub(super) fn build_arg(&self, name: &str) -> Option<&str> {
        self.build_args.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The build context that takes the place of a stage or image called `name`, as the user wrote its name. `name` is
    /// in the short form of [`familiar`]; the user may have written `alpine:latest` for `alpine`.
    pub(super) fn context(&self, name: &str) -> Option<String> {
        // BuildKit replaces neither, whatever the case (`dockerui`, `NamedContext`).
        if ["scratch", MAIN_CONTEXT].iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
            return None;
        }
        self.build_contexts.iter().find(|context| familiar(context) == name).cloned()
    }
}
