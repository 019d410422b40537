//! The registry's own page, which needs no repository.

use super::Registry;
use super::transport::base_url;
use crate::error::Result;
use crate::ports::reach::{Reached, unreached};

impl Registry {
    /// Asks for `/v2/` without a login (distribution specification, "Determining support"): nearly every registry answers
    /// 401.
    ///
    /// # Errors
    /// If nothing answers.
    pub(crate) async fn ping(&self, registry: &str) -> Result<Reached> {
        let _permit = self.permits.acquire().await;
        let url = format!("{}/v2/", base_url(registry));
        let _traced = self.exec.trace(|| format!("GET {url}"));
        let answer = self.http(registry).await?.get(url).send().await;
        answer.map(|answer| Reached::of(&answer)).map_err(|error| unreached(registry, error))
    }
}
