//! The settings of a repository in Amazon ECR: what the inputs want, what the repository has, and what differs. Pure.
//!
//! Bounds and words are those of AWS's service model (botocore 1.44.8, `ecr/2015-09-21/service-2.json`).

mod lifecycle;
mod lifecycle_rules;
mod mutability;
mod name;
mod preview;
mod scanning;
mod settings;
mod wildcard;

pub(crate) use lifecycle::{Existing, LifecyclePolicy};
pub(crate) use lifecycle_rules::{STANDARD, storage_class};
pub(crate) use mutability::{Mutability, MutabilityKind, TooManyMovingTags};
pub(crate) use name::check_name;
pub(crate) use preview::Preview;
pub(crate) use scanning::{RegistryScanning, Ruled, ScanRule};
pub(crate) use settings::{Answer, Described, EcrInputs, Encryption, NewRepository, RowState, SettingRow};
pub(crate) use wildcard::fits;
