//! `extra-args` and the runner's own `BUILD_ONCE_EXTRA_ARGS`.

use super::written::Written;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::guards::Guard;
use crate::image::is_own_label;
use crate::inputs::Inputs;
use crate::run::RunContext;

/// Flags that would break what the program promises, with the input that serves instead.
const REFUSED: [(&str, &str); 10] = [
    ("--output", "push and load"),
    ("-o", "push and load"),
    ("--push", "push"),
    ("--load", "load"),
    ("--tag", "tags"),
    ("-t", "tags"),
    ("--metadata-file", "the output metadata"),
    ("--iidfile", "the output digest"),
    ("--progress", "log"),
    ("--builder", "builder"),
];

/// Whether an argument is one of those flags, also among short ones written together (`-qt NAME`,
/// `-tNAME`), as pflag reads them.
fn refused(arg: &str) -> Option<(&'static str, &'static str)> {
    let flag = arg.split('=').next().unwrap_or_default();
    if let Some(found) = REFUSED.iter().find(|(refused, _)| *refused == flag) {
        return Some(*found);
    }
    let letters = arg.strip_prefix('-').filter(|rest| !rest.starts_with('-'))?;
    // -q and -D take no value; after any other the rest is one.
    let letter = letters.chars().find(|c| !matches!(c, 'q' | 'D'))?;
    REFUSED.iter().find(|(refused, _)| refused.len() == 2 && refused.ends_with(letter)).copied()
}

/// Refuses caches and build contexts that aim at another zone, and labels of our own.
///
/// # Errors
/// Bad input, with what the argument aims at.
pub(super) fn refuse_foreign(args: &[String], written: &Written<'_>) -> Result<()> {
    let after = args.iter().skip(1).map(Some).chain([None]);
    for (arg, next) in args.iter().zip(after) {
        let (flag, value) = match arg.split_once('=') {
            Some((flag, value)) => (flag, value),
            None => (arg.as_str(), next.map_or("", String::as_str)),
        };
        let refusal = match flag {
            "--cache-to" => written.write_option(value).err(),
            "--cache-from" => written.read_option(value).err(),
            "--build-context" => {
                let source = value.split_once('=').map_or("", |(_, source)| source);
                source.starts_with("docker-image:").then(|| written.read_option(source).err()).flatten()
            }
            "--label" | "--annotation" => {
                let name = value.split('=').next().unwrap_or_default();
                is_own_label(name).then(|| format!("{name} is build-once's own"))
            }
            _ => None,
        };
        if let Some(why) = refusal {
            return Err(Error::input(format!("extra-args: {flag}: {why}")).hint("leave it out"));
        }
    }
    Ok(())
}

/// Refuses those flags.
///
/// # Errors
/// Bad input, with the name of what to use.
pub(super) fn check(args: &[String], source: &str) -> Result<()> {
    for arg in args {
        if let Some((flag, instead)) = refused(arg).filter(|_| Guard::ExtraFlags.holds()) {
            return Err(Error::input(format!("{source}: {flag} is not allowed"))
                .hint(format!("use {instead} instead")));
        }
    }
    Ok(())
}

/// The run's own names, for `${NAME}`.
pub(super) fn names(inputs: &Inputs, run: &RunContext, key: &str) -> [(&'static str, String); 6] {
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

/// The input as it counts in the key: expanded, because what a name stands for reaches the image. Only the key
/// cannot count in itself, and where a cache lies decides nothing.
///
/// # Errors
/// As for the build.
pub fn for_key(inputs: &Inputs, run: &RunContext, env: &Env) -> Result<Vec<String>> {
    let args = &inputs.build.extra_args;
    let names = names(inputs, run, "${KEY}");
    let expanded = expand(args, &names, env, "extra-args")?;
    let is_cache =
        |arg: &str| ["--cache-to", "--cache-from"].contains(&arg.split('=').next().unwrap_or_default());
    let before = std::iter::once("").chain(args.iter().map(String::as_str));
    let all = args.iter().zip(expanded).zip(before);
    Ok(all
        .map(|((raw, expanded), before)| {
            let cache = is_cache(raw) || (is_cache(before) && !before.contains('='));
            if cache { raw.clone() } else { expanded }
        })
        .collect())
}

/// Expands `${NAME}` from the run's own names, then from the environment; a name that is
/// nowhere is an error, because an empty text in an argument is seldom what was meant.
pub(super) fn expand(
    args: &[String],
    names: &[(&str, String)],
    env: &Env,
    source: &str,
) -> Result<Vec<String>> {
    args.iter()
        .map(|arg| {
            let mut expanded = String::new();
            let mut rest = arg.as_str();
            while let Some((before, after)) = rest.split_once("${") {
                let Some((name, after)) = after.split_once('}') else {
                    return Err(Error::input(format!("{source}: a ${{ is not closed")));
                };
                let own = names.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
                let value = own.or_else(|| env.get(name)).ok_or_else(|| {
                    Error::input(format!("{source}: ${{{name}}} is not known")).hint(
                        "IMAGE, TARGET, KEY, ZONE, BRANCH, PLATFORM and variables of the environment are",
                    )
                })?;
                expanded.push_str(before);
                expanded.push_str(value);
                rest = after;
            }
            expanded.push_str(rest);
            Ok(expanded)
        })
        .collect()
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
        let env = Env::from([("V", "1"), ("DIR", "/c")]);
        let inputs = Inputs::read(
            &raw("--build-arg A=${V} --label k=${KEY} --cache-to=dest=${DIR} --cache-from ${DIR}"),
            &env,
        );
        assert_eq!(
            for_key(&inputs.unwrap(), &run, &env).unwrap(),
            ["--build-arg", "A=1", "--label", "k=${KEY}", "--cache-to=dest=${DIR}", "--cache-from", "${DIR}"]
        );
    }

    #[test]
    fn what_would_break_the_contract_is_refused() {
        for arg in [
            "--output=type=tar",
            "-o",
            "--push",
            "--metadata-file",
            "--iidfile=x",
            "--progress=plain",
            "-t",
            "-th/r:x",
            "-qt",
            "-Dqoout",
        ] {
            assert!(check(&strings(&[arg]), "extra-args").is_err(), "{arg}");
        }
        assert!(
            check(&strings(&["--cgroup-parent=x", "--build-arg", "A=--push", "-q", "-ft"]), "extra-args")
                .is_ok()
        );
    }
}
