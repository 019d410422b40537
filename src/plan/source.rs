//! Names an action, and the image that an action works on.

use std::fmt;

use crate::image::ImageReference;

/// The number of an action in its plan, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) struct ActionId(usize);

impl ActionId {
    /// The action after `count` others.
    pub(crate) const fn after(count: usize) -> Self {
        Self(count + 1)
    }

    /// The action's place among the plan's actions.
    #[must_use]
    pub(crate) const fn index(self) -> usize {
        self.0 - 1
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The image that an action works on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source<T = ImageReference> {
    /// An image from before the run.
    Known(T),
    /// An image that an earlier action makes; its digest is known then.
    BuiltBy {
        action: ActionId,
        /// The reference that the image is pushed under.
        name: ImageReference,
    },
}

impl<T> Source<T> {
    /// The action that makes the image, if one does.
    #[must_use]
    pub(crate) const fn action(&self) -> Option<ActionId> {
        match self {
            Self::Known(_) => None,
            Self::BuiltBy { action, .. } => Some(*action),
        }
    }
}
