//! What the layer cache cost and saved: said, and kept with the cache for the next run.

use super::{Journal, StepContext};
use crate::buildkit::ProgressSummary;
use crate::facts::{ECONOMY, Economy, Times};
use crate::image::ImageReference;
use crate::phase::Phase;

/// Never an error: it is a note on a convenience.
pub(super) async fn remember(
    cache: &ImageReference,
    so_far: &Economy,
    wrote: bool,
    context: &StepContext<'_>,
    journal: &mut Journal,
) {
    let Some(progress) = journal.progress.as_ref().filter(|_| journal.built && !journal.gave_up_cache) else {
        return;
    };
    let economy = so_far.clone().with(times(progress, wrote));
    journal.notices.extend(economy.says());
    if let Err(error) = context.ports.registry.annotate(cache, ECONOMY, &economy.text(), context.writes).await
    {
        context
            .ports
            .console
            .line(&format!("could not store the statistics of the layer cache: {}", error.headline()));
    }
}

fn times(progress: &ProgressSummary, wrote: bool) -> Times {
    let of = |phase: Phase| {
        progress.phases.iter().filter(|(known, _)| *known == phase).map(|(_, seconds)| seconds).sum::<f64>()
    };
    Times {
        steps: of(Phase::Steps),
        import: of(Phase::CacheImport),
        export: wrote.then(|| of(Phase::CacheExport)),
        cached: (progress.cached_steps, progress.total_steps),
    }
}
