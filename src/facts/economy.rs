//! What a layer cache costs and saves, remembered over the last runs (`cache-mode: auto`).

use serde::{Deserialize, Serialize};

/// The annotation of a cache's manifest that holds it.
pub(crate) const ECONOMY: &str = "io.github.build-once.cache-economy";

/// One run: seconds that writing the cache took, and that reading it saved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds of the export; if it was skipped, those of the last one.
    pub cost: f64,
    /// Seconds that the steps took less than without a cache, the import's own taken off.
    pub saved: f64,
    /// Whether nothing was written.
    #[serde(default)]
    pub skipped: bool,
}

/// What is remembered of a cache.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Economy {
    /// Seconds that all steps take without a cache, as last seen.
    pub full: f64,
    /// The last runs that could read the cache, oldest first.
    pub samples: Vec<Sample>,
}

/// How many runs are remembered, and after how many that did not write one writes again: layers
/// grow stale, and what a cache saves shows only while it is fresh.
const REMEMBERED: usize = 5;
/// Runs that must have spoken before anything is left out.
const ENOUGH: usize = 3;

/// Times of one build, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// Running the steps that were not cached.
    pub steps: f64,
    /// Reading the cache.
    pub import: f64,
    /// Writing it; none if it was not written.
    pub export: Option<f64>,
    /// Steps that were cached, and all of them.
    pub cached: (usize, usize),
}

impl Economy {
    /// Reads the annotation; what it cannot read counts as nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let economy: Self = serde_json::from_str(text).ok()?;
        let sane = |seconds: f64| seconds.is_finite() && seconds.abs() < 1e6;
        let good = sane(economy.full) && economy.samples.iter().all(|s| sane(s.cost) && sane(s.saved));
        good.then_some(economy)
    }

    /// As the annotation.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Why the cache is not worth writing now; none if it is, or too little is known.
    #[must_use]
    pub fn verdict(&self) -> Option<String> {
        let (cost, saved) = (self.sum(|sample| sample.cost), self.sum(|sample| sample.saved));
        let rested = self.samples.len() >= REMEMBERED && self.samples.iter().all(|sample| sample.skipped);
        (self.samples.len() >= ENOUGH && cost > saved && !rested).then(|| {
            format!(
                "over the last {} runs writing it cost {cost:.1} s and reading it saved {saved:.1} s (cache-mode auto)",
                self.samples.len()
            )
        })
    }

    fn sum(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        self.samples.iter().map(of).sum()
    }

    /// With one more build. What it saved shows only once a build without cached steps has been
    /// seen.
    #[must_use]
    pub fn with(mut self, times: Times) -> Self {
        let (cached, total) = times.cached;
        let last = self.samples.last().map_or(0.0, |sample| sample.cost);
        let cost = times.export.unwrap_or(last);
        if cached == 0 && total > 0 {
            self.full = times.steps;
        }
        if self.full > 0.0 {
            let saved = if cached == 0 { 0.0 } else { self.full - times.steps } - times.import;
            self.samples.push(Sample { cost, saved: round(saved), skipped: times.export.is_none() });
        }
        self.full = round(self.full);
        for sample in &mut self.samples {
            sample.cost = round(sample.cost);
        }
        let over = self.samples.len().saturating_sub(REMEMBERED);
        self.samples.drain(..over);
        self
    }

    /// What the last build cost and saved, in words.
    #[must_use]
    pub fn says(&self) -> Option<String> {
        let last = self.samples.last()?;
        let cost =
            if last.skipped { "not written".to_owned() } else { format!("written in {:.1} s", last.cost) };
        Some(format!("layer cache: {cost}; reading it saved {:.1} s", last.saved))
    }
}

fn round(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(economy: Economy, steps: f64, export: Option<f64>, cached: usize) -> Economy {
        economy.with(Times { steps, import: 0.5, export, cached: (cached, 4) })
    }

    #[test]
    fn a_cache_that_costs_more_than_it_saves_is_left_out_after_three_runs() {
        let mut economy = run(Economy::default(), 10.0, Some(4.0), 0);
        assert_eq!((economy.full, economy.verdict()), (10.0, None));
        economy = run(economy, 9.0, Some(4.0), 1);
        assert_eq!(economy.verdict(), None);
        economy = run(economy, 9.0, Some(4.0), 1);
        assert!(economy.verdict().unwrap().contains("cost 12.0 s"), "{economy:?}");
        // Until it has rested.
        for left in (0..5).rev() {
            economy = run(economy, 9.0, None, 1);
            assert_eq!(economy.verdict().is_some(), left > 0, "{economy:?}");
        }
    }

    #[test]
    fn a_cache_that_pays_is_kept() {
        let mut economy = run(Economy::default(), 60.0, Some(4.0), 0);
        for _ in 0..9 {
            economy = run(economy, 5.0, Some(4.0), 3);
        }
        assert_eq!((economy.verdict(), economy.samples.len()), (None, 5));
        assert_eq!(Economy::parse(&economy.text()), Some(economy.clone()));
        assert_eq!(economy.says().unwrap(), "layer cache: written in 4.0 s; reading it saved 54.5 s");
    }

    #[test]
    fn what_cannot_be_read_counts_as_nothing() {
        for text in ["", "{}", r#"{"full":1e300,"samples":[]}"#, r#"{"full":1,"samples":[{"cost":1}]}"#] {
            assert_eq!(Economy::parse(text), None, "{text}");
        }
    }
}
