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
    /// The machine that builds: `BUILDPLATFORM` and its kin.
    pub build_platform: &'a Platform,
    /// Names of the given build contexts.
    pub build_contexts: &'a [String],
    /// `ONBUILD` instructions of the images and contexts that `FROM` names, as far as they are known.
    pub triggers: &'a [BaseTriggers],
}

impl AnalysisRequest<'_> {
    pub(super) fn build_arg(&self, name: &str) -> Option<&str> {
        self.build_args.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Finds the given build context of that name. Names are image references: `alpine` is also `alpine:latest`.
    pub(super) fn context(&self, name: &str) -> Option<String> {
        if ["scratch", MAIN_CONTEXT].iter().any(|fixed| name.eq_ignore_ascii_case(fixed)) {
            return None;
        }
        self.build_contexts.iter().find(|own| familiar(own) == name).cloned()
    }
}
