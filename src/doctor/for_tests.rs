//! A run for the tests of several checks.

use crate::env::Env;
use crate::inputs::{ImageRequest, RawInputs};
use crate::run::RunContext;
use crate::trust::{Access, access};
use crate::zone::Zone;

pub(super) const HOME: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ci";

/// The rights of a run of this zone.
pub(super) fn access_of(zone: &Zone) -> Access {
    let raw = RawInputs { image: Some("app".into()), repository: Some(HOME.into()), ..RawInputs::default() };
    let env = Env::from([
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_REPOSITORY", "o/r"),
        ("GITHUB_REPOSITORY_ID", "1"),
    ]);
    let run = RunContext { zone: zone.clone(), ..RunContext::read(&env, Some("{}")).unwrap() };
    access(&ImageRequest::read(&raw, &Env::default()).unwrap(), &run)
}
