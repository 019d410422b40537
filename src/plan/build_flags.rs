//! Flags of `docker buildx build` among extra arguments, read as buildx reads them (pflag:
//! long names in full, short ones in groups, a value after `=`, at once, or in the next word).

use super::raw_caches::ByHand;
use crate::error::{Error, Result};
use crate::guards::Guard;
use crate::image::is_own_label;

/// What becomes of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Passed on.
    Pass,
    /// Passed on; its value is a name that must not be one of build-once's own.
    Named,
    /// Taken out: it counts in the key as the input of this name does.
    BuildArg,
    Label,
    /// A cache: taken out, and held to the rules for caches.
    CacheFrom,
    CacheTo,
    /// It would break what the program promises; this serves instead.
    Refuse(&'static str),
}

struct Flag {
    long: &'static str,
    short: Option<char>,
    takes_value: bool,
    what: Use,
}

const fn flag(long: &'static str, short: Option<char>, takes_value: bool, what: Use) -> Flag {
    Flag { long, short, takes_value, what }
}

/// `docker buildx build --help` of 0.29, then the flags it does not show (`commands/build.go`:
/// ignored ones for docker's sake, experimental ones, those of older and newer versions).
const FLAGS: [Flag; 57] = [
    flag("add-host", None, true, Use::Pass),
    flag("allow", None, true, Use::Refuse("allow")),
    flag("annotation", None, true, Use::Named),
    flag("attest", None, true, Use::Refuse("provenance or sbom")),
    flag("build-arg", None, true, Use::BuildArg),
    flag("build-context", None, true, Use::Refuse("build-contexts")),
    flag("builder", None, true, Use::Refuse("builder")),
    flag("cache-from", None, true, Use::CacheFrom),
    flag("cache-to", None, true, Use::CacheTo),
    flag("call", None, true, Use::Refuse("a step of your own, for what builds no image")),
    flag("cgroup-parent", None, true, Use::Pass),
    flag("check", None, false, Use::Refuse("a step of your own, for what builds no image")),
    flag("debug", Some('D'), false, Use::Refuse("a re-run with debug logging")),
    flag("file", Some('f'), true, Use::Refuse("file")),
    flag("help", Some('h'), false, Use::Refuse("docker buildx build --help on a machine of yours")),
    flag("iidfile", None, true, Use::Refuse("the output digest")),
    flag("label", None, true, Use::Label),
    flag("load", None, false, Use::Refuse("load")),
    flag("metadata-file", None, true, Use::Refuse("the output metadata")),
    flag("network", None, true, Use::Pass),
    flag("no-cache", None, false, Use::Pass),
    flag("no-cache-filter", None, true, Use::Pass),
    flag("output", Some('o'), true, Use::Refuse("push and load")),
    flag("platform", None, true, Use::Refuse("platforms")),
    flag("progress", None, true, Use::Refuse("log")),
    flag("provenance", None, true, Use::Refuse("provenance")),
    flag("pull", None, false, Use::Pass),
    flag("push", None, false, Use::Refuse("push")),
    flag("quiet", Some('q'), false, Use::Refuse("log")),
    flag("sbom", None, true, Use::Refuse("sbom")),
    flag("secret", None, true, Use::Refuse("secrets, secret-envs or secret-files")),
    flag("shm-size", None, true, Use::Pass),
    flag("ssh", None, true, Use::Refuse("ssh")),
    flag("tag", Some('t'), true, Use::Refuse("tags")),
    flag("target", None, true, Use::Refuse("target")),
    flag("ulimit", None, true, Use::Pass),
    flag("compress", None, false, Use::Pass),
    flag("cpu-period", None, true, Use::Pass),
    flag("cpu-quota", None, true, Use::Pass),
    flag("cpu-shares", Some('c'), true, Use::Pass),
    flag("cpuset-cpus", None, true, Use::Pass),
    flag("cpuset-mems", None, true, Use::Pass),
    flag("detach", None, false, Use::Refuse("nothing: the result is awaited")),
    flag("force-rm", None, false, Use::Pass),
    flag("image", None, true, Use::Pass),
    flag("invoke", None, true, Use::Refuse("docker run, after the build")),
    flag("isolation", None, true, Use::Pass),
    flag("memory", Some('m'), true, Use::Pass),
    flag("memory-swap", None, true, Use::Pass),
    flag("policy", None, true, Use::Pass),
    flag("print", None, true, Use::Refuse("a step of your own, for what builds no image")),
    flag("ref-file", None, true, Use::Refuse("the output metadata")),
    flag("rm", None, false, Use::Pass),
    flag("root", None, true, Use::Refuse("builder")),
    flag("security-opt", None, true, Use::Pass),
    flag("server-config", None, true, Use::Refuse("buildkitd-config")),
    flag("squash", None, false, Use::Pass),
];

/// Extra arguments that may be used, expanded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// Passed on as they are.
    pub args: Vec<String>,
    /// Build arguments among them.
    pub build_args: Vec<(String, String)>,
    /// Labels among them.
    pub labels: Vec<(String, String)>,
    /// Caches among them.
    pub(super) caches: ByHand,
}

impl Extra {
    /// These, and then the others.
    pub(super) fn and(mut self, others: Self) -> Self {
        self.args.extend(others.args);
        self.build_args.extend(others.build_args);
        self.labels.extend(others.labels);
        self.caches.from.extend(others.caches.from);
        self.caches.to.extend(others.caches.to);
        self
    }
}

/// Sorts expanded arguments.
///
/// # Errors
/// Bad input for what would break the program's contract, with the name of what to use.
pub(super) fn check(args: &[String], source: &str) -> Result<Extra> {
    let refused = |what: &str, instead: &str| {
        Err(Error::input(format!("{source}: {what} is not allowed")).hint(format!("use {instead} instead")))
    };
    if !Guard::ExtraFlags.holds() {
        return Ok(Extra { args: args.to_vec(), ..Extra::default() });
    }
    let mut checked = Extra::default();
    let mut words = args.iter().peekable();
    while let Some(word) = words.next() {
        if word == "--" || word == "-" || !word.starts_with('-') {
            // A second path, or the end of flags: buildx would build another folder, or none.
            return refused(&format!("`{}`, which is no flag,", shown(word)), "context");
        }
        let short = !word.starts_with("--");
        let found = if short {
            match group(word) {
                Ok(found) => found,
                Err((name, instead)) => return refused(&format!("-{name}"), instead),
            }
        } else {
            let (name, value) = match word[2..].split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (&word[2..], None),
            };
            match FLAGS.iter().find(|flag| flag.long == name) {
                Some(Flag { what: Use::Refuse(instead), .. }) => {
                    return refused(&format!("--{name}"), instead);
                }
                Some(flag) => Found { what: flag.what, value, wants: flag.takes_value && value.is_none() },
                // A flag of a later buildx: what follows and is no flag is its value.
                None => Found {
                    what: Use::Pass,
                    value,
                    wants: value.is_none() && words.peek().is_some_and(|next| !next.starts_with('-')),
                },
            }
        };
        let next = if found.wants { words.next() } else { None };
        if found.wants && next.is_none() {
            return Err(Error::input(format!("{source}: {} needs a value", shown(word))));
        }
        let value = found.value.or(next.map(String::as_str)).unwrap_or_default();
        let pair = value.split_once('=');
        let name = pair.map_or(value, |(name, _)| name);
        match found.what {
            Use::Named | Use::Label if is_own_label(name) => {
                let why = format!("{source}: {name} is build-once's own");
                return Err(Error::input(why).hint("use a name of your own"));
            }
            Use::BuildArg => match pair {
                Some((name, value)) => checked.build_args.push((name.to_owned(), value.to_owned())),
                // buildx would take it from its environment, which is not the step's.
                None => {
                    return Err(Error::input(format!("{source}: --build-arg {name} has no value"))
                        .hint("write --build-arg NAME=${NAME} to take it from the environment"));
                }
            },
            Use::Label => checked
                .labels
                .push((name.to_owned(), pair.map(|(_, value)| value).unwrap_or_default().to_owned())),
            Use::CacheFrom => checked.caches.from.push((source.to_owned(), value.to_owned())),
            Use::CacheTo => checked.caches.to.push((source.to_owned(), value.to_owned())),
            _ => {
                checked.args.push(word.clone());
                checked.args.extend(next.cloned());
            }
        }
    }
    Ok(checked)
}

struct Found<'a> {
    what: Use,
    value: Option<&'a str>,
    /// Its value is the next word.
    wants: bool,
}

/// `-abc`: flags without value, the last one perhaps with one, at once or in the next word.
fn group(word: &str) -> std::result::Result<Found<'_>, (char, &'static str)> {
    for (at, letter) in word.char_indices().skip(1) {
        let known = FLAGS.iter().find(|flag| flag.short == Some(letter));
        match known {
            Some(Flag { what: Use::Refuse(instead), .. }) => return Err((letter, instead)),
            Some(Flag { takes_value: false, .. }) => {}
            Some(flag) => {
                let rest = &word[at + letter.len_utf8()..];
                let value = (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest));
                return Ok(Found { what: flag.what, value, wants: value.is_none() });
            }
            // Nobody knows whether it takes a value, and what hides behind it.
            None => return Err((letter, "the long form")),
        }
    }
    Ok(Found { what: Use::Pass, value: None, wants: false })
}

/// The name alone: a value may be a secret put in the wrong place.
fn shown(word: &str) -> &str {
    word.split('=').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<Extra> {
        check(&shell_words::split(text).unwrap(), "extra-args")
    }

    #[test]
    fn what_would_break_the_contract_is_refused() {
        for (text, instead) in [
            ("--output=type=tar", "push and load"),
            ("-o type=tar", "push and load"),
            ("-otype=tar", "push and load"),
            ("-qf x", "log"),
            ("-fx", "file"),
            ("-m 1g -th/r:t", "tags"),
            ("--push", "push"),
            ("--push=true", "push"),
            ("--load=false", "load"),
            ("--metadata-file x", "metadata"),
            ("--iidfile=x", "digest"),
            ("--progress=plain", "log"),
            ("--cgroup-parent x --tag h/r:t", "tags"),
            ("--platform linux/arm64", "platforms"),
            ("--target x", "target"),
            ("--allow security.insecure", "allow"),
            ("--secret id=x", "secret-envs"),
            ("--check", "step of your own"),
            ("--print=outline", "step of your own"),
            ("--call check", "step of your own"),
            ("--attest type=sbom", "sbom"),
            ("--build-context a=b", "build-contexts"),
            ("--label io.github.build-once.key=x", "a name of your own"),
            ("--annotation index:io.github.build-once.key=x", "a name of your own"),
            ("-x", "the long form"),
            ("-- --push", "context"),
            ("-", "context"),
            ("other-folder", "context"),
            ("--no-cache true", "context"),
        ] {
            let text = format!("{:?}", checked(text).map(|_| text).unwrap_err());
            assert!(text.contains(instead), "{text}");
        }
        assert!(checked("--label").is_err());
    }

    #[test]
    fn the_rest_is_passed_on_as_it_is() {
        for text in [
            "--cgroup-parent=x --add-host a:1.2.3.4 --no-cache",
            "-m 1g -m=1g -m1g -c 5 --memory-swap -1",
            "--from-the-future=1 --another --third value --pull",
        ] {
            assert_eq!(checked(text).unwrap().args, shell_words::split(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn what_the_key_counts_by_name_is_taken_out() {
        let checked =
            checked("--build-arg A=--push --label=a=b=c --pull --label empty --build-arg=E=").unwrap();
        assert_eq!(checked.args, ["--pull"]);
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(checked.build_args, pairs(&[("A", "--push"), ("E", "")]));
        assert_eq!(checked.labels, pairs(&[("a", "b=c"), ("empty", "")]));
        assert!(super::check(&["--build-arg".into(), "TOKEN".into()], "extra-args").is_err());
    }

    #[test]
    fn caches_are_taken_out() {
        let checked =
            checked("--cache-to h/r:c --pull --cache-from=type=gha --cache-to=type=inline").unwrap();
        assert_eq!(checked.args, ["--pull"]);
        let values =
            |list: &[(String, String)]| list.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
        assert_eq!(values(&checked.caches.to), ["h/r:c", "type=inline"]);
        assert_eq!(values(&checked.caches.from), ["type=gha"]);
    }
}
