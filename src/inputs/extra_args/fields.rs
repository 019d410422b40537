//! What extra arguments come to: flags of `docker buildx build` that say what an input says have the same effect as that
//! input, in the key too; the others are passed on.
//!
//! `--build-arg A=1 --no-cache --policy p` becomes an [`Extra`] with one build argument, the switch `no_cache`, and
//! `--policy p` to pass on.

use crate::error::{Error, Result};
use crate::inputs::{BuildInputs, comma_items};
use crate::key::dockerfile::go_bool;

/// The input that a flag means, such as `add-hosts` for `--add-host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    AddHost,
    Annotation,
    BuildArg,
    CacheFrom,
    CacheTo,
    Label,
    Network,
    NoCache,
    NoCacheFilter,
    Pull,
    ShmSize,
    Ulimit,
}

/// Extra arguments after `${NAME}` is replaced in them, sorted by what becomes of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    /// Passed on as they are.
    pub args: Vec<String>,
    /// Those of `args` that count in the key.
    pub counted: Vec<String>,
    /// Of `--build-arg`.
    pub build_args: Vec<(String, String)>,
    /// Of `--label`.
    pub labels: Vec<(String, String)>,
    /// Of `--cache-from` and `--cache-to`.
    pub caches: UserCaches,
    /// Of the other flags that mean an input.
    pub(super) inputs: AsInputs,
}

impl Extra {
    /// Adds a flag that means the input `field`; of two values the last one counts. `source` is the input or variable that
    /// the flag stands in.
    ///
    /// # Errors
    /// Bad input for a value that the flag does not take.
    pub(super) fn add(&mut self, field: Field, source: &str, value: &str) -> Result<()> {
        let pair = || {
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            (name.to_owned(), value.to_owned())
        };
        let switch = || match go_bool(value) {
            // The flag alone is on.
            None if value.is_empty() => Ok(Some(true)),
            None => Err(Error::input(format!("{source}: --no-cache and --pull are true or false"))),
            on => Ok(on),
        };
        let inputs = &mut self.inputs;
        match field {
            Field::AddHost => inputs.add_hosts.extend(comma_items(value)),
            Field::Annotation => inputs.annotations.push(pair()),
            Field::Network => inputs.network = Some(value.to_owned()),
            Field::NoCache => inputs.no_cache = switch()?,
            Field::NoCacheFilter => inputs.no_cache_filters.extend(comma_items(value)),
            Field::Pull => inputs.pull = switch()?,
            Field::ShmSize => inputs.shm_size = Some(value.to_owned()),
            Field::Ulimit => inputs.ulimit.push(value.to_owned()),
            Field::Label => self.labels.push(pair()),
            Field::CacheFrom => self.caches.from.push((source.to_owned(), value.to_owned())),
            Field::CacheTo => self.caches.to.push((source.to_owned(), value.to_owned())),
            // buildx takes the value from its own environment, which build-once does not fill with the step's.
            Field::BuildArg if !value.contains('=') => {
                return Err(Error::input(format!("{source}: --build-arg {value} has no value"))
                    .hint("write --build-arg NAME=${NAME} to take it from the environment"));
            }
            Field::BuildArg => self.build_args.push(pair()),
        }
        Ok(())
    }
}

/// The caches that extra arguments name: pairs of the input or variable that holds the flag, and the flag's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UserCaches {
    /// Of `--cache-from`.
    pub from: Vec<(String, String)>,
    /// Of `--cache-to`.
    pub to: Vec<(String, String)>,
}

/// Values for the fields of [`BuildInputs`] that have the same names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AsInputs {
    add_hosts: Vec<String>,
    annotations: Vec<(String, String)>,
    network: Option<String>,
    no_cache: Option<bool>,
    no_cache_filters: Vec<String>,
    pull: Option<bool>,
    shm_size: Option<String>,
    ulimit: Vec<String>,
}

impl AsInputs {
    /// Puts them after the inputs' own values: of two values the last one counts.
    pub(super) fn add_to(self, build: &mut BuildInputs) {
        build.add_hosts.extend(self.add_hosts);
        build.annotations.extend(self.annotations);
        build.no_cache_filters.extend(self.no_cache_filters);
        build.ulimit.extend(self.ulimit);
        build.network = self.network.or(build.network.take());
        build.shm_size = self.shm_size.or(build.shm_size.take());
        build.no_cache = self.no_cache.unwrap_or(build.no_cache);
        build.pull = self.pull.unwrap_or(build.pull);
    }
}
