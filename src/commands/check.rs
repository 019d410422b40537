//! The input `call: check`: runs the checks of the Dockerfile in place of a build.

use std::collections::BTreeSet;

use crate::buildkit::{BuildSpec, Finding, OutputTarget};
use crate::error::{Error, Result};
use crate::failure::FailureClass;
use crate::inputs::{ContextSource, without_login};
use crate::pipeline::Prepared;
use crate::plan::{Outcome, PlanWarning};
use crate::ports::buildx::Buildx;
use crate::report::Report;

/// Runs the checks and puts their findings into the report.
///
/// # Errors
/// If there are findings, or the checks cannot be run.
pub(crate) async fn run(prepared: &Prepared, report: &mut Report) -> Result<()> {
    let ports = &prepared.ports;
    let Some(inputs) = prepared.request.images.first() else { return Ok(()) };
    let buildx = Buildx::new(ports.docker()?);
    let version = buildx.version().await?;
    let mut build = inputs.build.clone();
    // No step runs, and no image is made.
    (build.secrets, build.labels, build.annotations, build.extra_args) = Default::default();
    if let ContextSource::Remote(url) = &mut build.context {
        *url = without_login(url, &mut build.secrets);
    }
    for (_, context) in &mut build.build_contexts {
        *context = without_login(context, &mut build.secrets);
    }
    let spec = BuildSpec {
        image: inputs.image.to_string(),
        links: Vec::new(),
        builder: inputs.settings.builder.name.clone(),
        build,
        sources: Vec::new(),
        images: Vec::new(),
        ignore: None,
        reads: BTreeSet::new(),
        cache_from: Vec::new(),
        cache_to: Vec::new(),
        local_caches: None,
        names: Vec::new(),
        output: OutputTarget::Discard,
        fresh_builder: false,
        apart: None,
    };
    let found = buildx.check(&spec, &version, &inputs.secrets).await?;
    let file = spec.build.dockerfile().display().to_string();
    for Finding { text, line } in &found {
        ports.console.line(&format!("{file}:{}: {text}", line.unwrap_or_default()));
    }
    let Some(image) = report.images.first_mut() else { return Ok(()) };
    image.checks = found.into_iter().map(|finding| PlanWarning::found(finding, &file)).collect();
    match image.checks.len() {
        0 => {
            image.outcome = Some(Outcome::Checked);
            "the checks of the Dockerfile found nothing".clone_into(&mut image.reason);
            image.done = true;
            Ok(())
        }
        1 => Err(Error::new(FailureClass::Build, format!("{file}: one check found something"))),
        many => Err(Error::new(FailureClass::Build, format!("{file}: the checks found {many} things"))),
    }
}
