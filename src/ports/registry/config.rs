//! Reads an image's configuration: labels, platform, `ONBUILD` instructions.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::budget::CHILDREN;
use crate::error::Error;
use crate::failure::FailureKind;
use crate::image::{Digest, ImageReference, Manifest, triggers};

use super::answer::Failure;
use super::transport::Answer;
use super::{Probe, Registry};

impl Registry {
    /// The labels of a single image, from its configuration; an index has none of its own.
    ///
    /// # Errors
    /// If the configuration cannot be read or is not what its digest says.
    pub(crate) async fn labels(
        &self,
        reference: &ImageReference,
        manifest: &Manifest,
    ) -> Result<HashMap<String, String>, Error> {
        let Some(config) = manifest.config() else { return Ok(HashMap::new()) };
        let config = self.config(reference, config.digest().as_ref()).await?;
        let labels = config["config"]["Labels"].as_object();
        Ok(labels
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect())
    }

    /// The `ONBUILD` instructions of an image; of an index, the different lists of its images for these platforms
    /// ([`Manifest::children_for`]).
    ///
    /// # Errors
    /// If the registry gives no clear answer.
    pub(crate) async fn triggers(
        &self,
        reference: &ImageReference,
        platforms: &[String],
    ) -> Result<BTreeSet<Vec<String>>, Error> {
        let ask = async |reference: &ImageReference| match self.probe(reference).await {
            Probe::Present(manifest) => Ok(manifest),
            Probe::Absent { .. } => {
                let what = format!("{} has no image {reference}", reference.registry());
                Err(Error::of(FailureKind::BaseNotFound, what).hint("check the image's name and digest"))
            }
            Probe::Unknown(error) => Err(error),
        };
        let top = ask(reference).await?;
        let images = if top.config().is_some() {
            vec![Arc::clone(&top)]
        } else {
            let wanted = top.children_for(platforms);
            if wanted.len() > CHILDREN {
                let what = format!("{reference} has {} images for these platforms", wanted.len());
                return Err(Error::of(FailureKind::DigestMismatch, what)
                    .cause(format!("more than {CHILDREN} are not looked at")));
            }
            let wanted = wanted.into_iter();
            try_join_all(wanted.map(async |digest| ask(&reference.repository().at(digest)).await)).await?
        };
        let configs: BTreeSet<String> =
            images.iter().filter_map(|image| Some(image.config()?.digest().to_string())).collect();
        let answers = try_join_all(configs.iter().map(async |digest| {
            let config = self.config(reference, digest).await?;
            Ok::<_, Error>(triggers(&config["config"]))
        }));
        Ok(answers.await?.into_iter().collect())
    }

    /// Reads the platform from a single image's configuration: `architecture`, `os` and so on; empty for an index, and for an
    /// artifact that is no image.
    ///
    /// # Errors
    /// If the configuration cannot be read or is not what its digest says.
    pub(crate) async fn platform(
        &self,
        reference: &ImageReference,
        manifest: &Manifest,
    ) -> Result<Map<String, Value>, Error> {
        let Some(config) = manifest.config() else { return Ok(Map::new()) };
        let mut config = self.config(reference, config.digest().as_ref()).await?;
        let names = ["architecture", "os", "os.version", "os.features", "variant"];
        let member = |name: &str| Some((name.to_owned(), config.get_mut(name)?.take()));
        Ok(names.into_iter().filter_map(member).filter(|(_, value)| !value.is_null()).collect())
    }

    /// Reads a configuration and checks its digest.
    async fn config(&self, reference: &ImageReference, digest: &str) -> Result<Value, Error> {
        let what = || {
            Error::of(FailureKind::NotARegistry, format!("failed to read the configuration of {reference}"))
        };
        let bytes = match self.get(reference, Method::GET, "blobs", digest).await {
            Ok(Answer::Found(reply)) => reply.bytes,
            Ok(Answer::NotFound) | Err(Failure::NoRepository) => {
                return Err(what().cause("it is not in the registry"));
            }
            Err(Failure::Error(error)) => return Err(*error),
        };
        let got = Digest::of(&bytes);
        if got.as_str() != digest {
            return Err(Error::of(
                FailureKind::DigestMismatch,
                format!("the registry sent wrong content for {reference}"),
            )
            .cause(format!("expected {digest}, got {got}")));
        }
        serde_json::from_slice(&bytes).map_err(|error| what().because(&error))
    }
}
