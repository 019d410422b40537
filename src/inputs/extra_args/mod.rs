//! More arguments for `docker buildx build`: the input `extra-args`, and after it the variable
//! `BUILD_ONCE_EXTRA_ARGS`, which the owner of the runner sets.
//!
//! In: `--build-arg A=${BRANCH} --policy=p` as words. `${NAME}` is replaced first ([`expand`]), then `flags` says what
//! becomes of each flag, and `fields` holds the result.

mod fields;
mod flags;

pub(crate) use fields::{Extra, UserCaches};

use super::ImageRequest;
use super::user_tags::replaced;
use crate::env::{self, Env};
use crate::error::{Error, Result};
use crate::run::RunContext;

/// The names that build-once itself defines for `${NAME}`.
fn names(inputs: &ImageRequest, run: &RunContext, key: &str) -> [(&'static str, String); 6] {
    let platforms = inputs.build.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    [
        ("IMAGE", inputs.image.as_str().replace([':', '/'], "-")),
        ("TARGET", inputs.build.target.clone().unwrap_or_default()),
        ("KEY", key.to_owned()),
        ("ZONE", run.zone.name().to_owned()),
        ("BRANCH", run.branch.as_deref().map(crate::image::sanitise).unwrap_or_default()),
        ("PLATFORM", platforms),
    ]
}

/// Those of the input and of the runner's owner, in this order: of two values the last one counts. `key` is what
/// `${KEY}` stands for.
///
/// # Errors
/// If a flag is refused, or a `${NAME}` is not known.
pub(crate) fn extra(inputs: &ImageRequest, run: &RunContext, env: &Env, key: &str) -> Result<Extra> {
    let names = names(inputs, run, key);
    // Flags are checked after the replacement: a name may stand for a flag.
    let mut extra = Extra::default();
    let mut add =
        |args: &[String], source| flags::check(&expand(args, &names, env, source)?, source, &mut extra);
    let of_owner = shell_words::split(env.get(env::BUILD_ONCE_EXTRA_ARGS).unwrap_or_default())
        .map_err(|error| Error::input(env::BUILD_ONCE_EXTRA_ARGS).because(&error))?;
    add(&inputs.build.extra_args, "extra-args")?;
    add(&of_owner, env::BUILD_ONCE_EXTRA_ARGS)?;
    Ok(extra)
}

/// The extra arguments as the key counts them. What a name stands for reaches the image and so counts, but for
/// `${KEY}`, which stays as it is written: the key cannot be a part of itself.
///
/// # Errors
/// As [`extra`].
pub(crate) fn for_key(inputs: &ImageRequest, run: &RunContext, env: &Env) -> Result<Extra> {
    extra(inputs, run, env, "${KEY}")
}

/// Copies flags that have an input of their own, such as `--annotation`, into that input, so that they are checked and
/// count in the key as if they stood there. The build passes them from the input alone. In an annotation `${KEY}` stays
/// until the key is known.
///
/// # Errors
/// As [`extra`].
pub(crate) fn add_to_inputs(inputs: &mut ImageRequest, run: &RunContext, env: &Env) -> Result<()> {
    for_key(inputs, run, env)?.inputs.add_to(&mut inputs.build);
    Ok(())
}

/// Replaces `${NAME}` by one of `names`, else by a variable of the environment. A name that neither has is an error,
/// because an empty text in an argument is seldom what was meant.
fn expand(args: &[String], names: &[(&str, String)], env: &Env, source: &str) -> Result<Vec<String>> {
    let not_closed = || Error::input(format!("{source}: a ${{ is not closed"));
    let value = |name: &str| {
        let own = names.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        own.or_else(|| env.get(name)).map(str::to_owned).ok_or_else(|| {
            Error::input(format!("{source}: ${{{name}}} is not known"))
                .hint("IMAGE, TARGET, KEY, ZONE, BRANCH, PLATFORM and variables of the environment are")
        })
    };
    args.iter().map(|arg| replaced(arg, not_closed, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(items: &[&str]) -> Vec<String> {
        items.iter().map(|&item| item.to_owned()).collect()
    }

    #[test]
    fn names_expand_and_stay_one_argument() {
        let env = Env::from([("CACHE_DIR", "/c d")]);
        let args = strings(&["--cache-to=type=local,dest=${CACHE_DIR}/${IMAGE}", "plain", "$NOT"]);
        let expanded = expand(&args, &[("IMAGE", "app".into())], &env, "extra-args").unwrap();
        assert_eq!(expanded, ["--cache-to=type=local,dest=/c d/app", "plain", "$NOT"]);
        assert!(expand(&strings(&["${ABSENT}"]), &[], &env, "extra-args").is_err());
        assert!(expand(&strings(&["${OPEN"]), &[], &env, "extra-args").is_err());
    }

    #[test]
    fn the_key_counts_what_names_stand_for() {
        let raw = |text: &str| crate::inputs::RawInputs {
            image: Some("app".into()),
            extra_args: Some(text.into()),
            ..Default::default()
        };
        let run = RunContext::read(&Env::default(), None).unwrap();
        let env = Env::from([
            ("V", "1"),
            ("DIR", "/c"),
            ("BUILD_ONCE_EXTRA_ARGS", "--build-arg B=${IMAGE} --memory 1g --cache-from ${DIR}"),
        ]);
        let text =
            "--build-arg A=${V} --policy=${V} --label k=${KEY} --cache-to=dest=${DIR} --cache-from ${DIR}";
        let counted = for_key(&ImageRequest::read(&raw(text), &env).unwrap(), &run, &env).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(counted.build_args, [pair("A", "1"), pair("B", "app")]);
        assert_eq!((counted.labels, counted.counted), (vec![pair("k", "${KEY}")], strings(&["--policy=1"])));
    }
}
