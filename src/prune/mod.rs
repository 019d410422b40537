//! Decides which images, tags and caches go, and in which order. Pure: what it needs to read and to write, it gets by
//! [`Store`] and [`Project`].
//!
//! ```text
//! Store::listing, Store::links, Project::state ─▶ Survey     what there is
//! (Survey, Policy, now) ─▶ Plan{groups, kept}                plan(), pure
//! Plan ─▶ apply: before each batch a new Survey and Plan; what is in both is done
//! ```
//!
//! A tag that the tag scheme did not make, or that another GitHub repository made, is never removed, and protects what
//! it names. Where something cannot be read, nothing is removed.

mod apply;
mod graph;
mod limit;
mod links;
mod listing;
mod look;
mod plan;
mod policy;
mod project;
mod reason;
mod render;
mod rules;
mod survey;
#[cfg(test)]
mod tests;

pub(crate) use apply::{Applied, apply};
pub(crate) use links::{Links, read_links};
pub(crate) use listing::{Listing, Outcome, Step, Store, Version};
pub(crate) use look::survey_and_plan;
pub(crate) use plan::Plan;
pub(crate) use policy::{Policy, Scope};
pub(crate) use project::{Closed, Project, ProjectState, Wanted};
pub(crate) use render::{Rendered, json, line, markdown, too_large};
