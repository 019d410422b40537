//! Flags of `docker buildx build` among extra arguments, read as buildx reads them: long names in full, short ones in
//! groups, a value after `=`, at once, or in the next word (`--memory 1g`, `-m=1g`, `-m1g`; Go's package pflag).

use super::fields::{Extra, Field};
use crate::error::{Error, Result};
use crate::guards::Guard;
use crate::image::is_own_label;

/// What becomes of a flag. What can change the image counts in the key, whether a workflow adds it or the runner's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Taken out: it is as if the input of this meaning had been given, in the key too.
    Input(Field),
    /// Passed on, and counts in the key.
    Counts,
    /// Passed on, and does not count: it gives the build room or rights, in which runners may differ.
    Room,
    /// Passed on, and does not count: buildx takes it because `docker build` has it, and does nothing (`commands/build.go`,
    /// `ignore`).
    Ignored,
    /// Refused, because it would break what the program promises. The text names what to use instead.
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

/// The flags that `docker buildx build --help` of buildx 0.29 shows; from `compress` on, those that it does not show:
/// ignored and experimental ones, and those of older and newer versions (`commands/build.go`).
const FLAGS: [Flag; 57] = [
    flag("add-host", None, true, Use::Input(Field::AddHost)),
    flag("allow", None, true, Use::Refuse("allow")),
    flag("annotation", None, true, Use::Input(Field::Annotation)),
    flag("attest", None, true, Use::Refuse("provenance or sbom")),
    flag("build-arg", None, true, Use::Input(Field::BuildArg)),
    flag("build-context", None, true, Use::Refuse("build-contexts")),
    flag("builder", None, true, Use::Refuse("builder")),
    flag("cache-from", None, true, Use::Input(Field::CacheFrom)),
    flag("cache-to", None, true, Use::Input(Field::CacheTo)),
    flag("call", None, true, Use::Refuse("a step of your own, for what builds no image")),
    flag("cgroup-parent", None, true, Use::Room),
    flag("check", None, false, Use::Refuse("a step of your own, for what builds no image")),
    flag("debug", Some('D'), false, Use::Refuse("a re-run with debug logging")),
    flag("file", Some('f'), true, Use::Refuse("file")),
    flag("help", Some('h'), false, Use::Refuse("docker buildx build --help on a machine of yours")),
    flag("iidfile", None, true, Use::Refuse("the output digest")),
    flag("label", None, true, Use::Input(Field::Label)),
    flag("load", None, false, Use::Refuse("load")),
    flag("metadata-file", None, true, Use::Refuse("the output metadata")),
    flag("network", None, true, Use::Input(Field::Network)),
    flag("no-cache", None, false, Use::Input(Field::NoCache)),
    flag("no-cache-filter", None, true, Use::Input(Field::NoCacheFilter)),
    flag("output", Some('o'), true, Use::Refuse("push and load")),
    flag("platform", None, true, Use::Refuse("platforms")),
    flag("progress", None, true, Use::Refuse("log")),
    flag("provenance", None, true, Use::Refuse("provenance")),
    flag("pull", None, false, Use::Input(Field::Pull)),
    flag("push", None, false, Use::Refuse("push")),
    flag("quiet", Some('q'), false, Use::Refuse("log")),
    flag("sbom", None, true, Use::Refuse("sbom")),
    flag("secret", None, true, Use::Refuse("secrets, secret-envs or secret-files")),
    flag("shm-size", None, true, Use::Input(Field::ShmSize)),
    flag("ssh", None, true, Use::Refuse("ssh")),
    flag("tag", Some('t'), true, Use::Refuse("tags")),
    flag("target", None, true, Use::Refuse("target")),
    flag("ulimit", None, true, Use::Input(Field::Ulimit)),
    flag("compress", None, false, Use::Ignored),
    flag("cpu-period", None, true, Use::Ignored),
    flag("cpu-quota", None, true, Use::Ignored),
    flag("cpu-shares", Some('c'), true, Use::Ignored),
    flag("cpuset-cpus", None, true, Use::Ignored),
    flag("cpuset-mems", None, true, Use::Ignored),
    flag("detach", None, false, Use::Refuse("nothing: the result is awaited")),
    flag("force-rm", None, false, Use::Ignored),
    flag("image", None, true, Use::Ignored),
    flag("invoke", None, true, Use::Refuse("docker run, after the build")),
    flag("isolation", None, true, Use::Ignored),
    flag("memory", Some('m'), true, Use::Ignored),
    flag("memory-swap", None, true, Use::Ignored),
    flag("policy", None, true, Use::Counts),
    flag("print", None, true, Use::Refuse("a step of your own, for what builds no image")),
    flag("ref-file", None, true, Use::Refuse("the output metadata")),
    flag("rm", None, false, Use::Ignored),
    flag("root", None, true, Use::Refuse("builder")),
    flag("security-opt", None, true, Use::Ignored),
    flag("server-config", None, true, Use::Refuse("buildkitd-config")),
    flag("squash", None, false, Use::Ignored),
];

/// Sorts arguments in which `${NAME}` is replaced already, and adds them to `checked`. `source` is the input or variable
/// that holds them.
///
/// # Errors
/// Bad input for a flag that is refused, with what to use instead.
pub(super) fn check(args: &[String], source: &str, checked: &mut Extra) -> Result<()> {
    if !Guard::ExtraFlags.holds() {
        checked.args.extend_from_slice(args);
        return Ok(());
    }
    let mut words = args.iter().peekable();
    while let Some(word) = words.next() {
        let found = find(word, words.peek().copied()).map_err(|refused| refused.error(source))?;
        let next = if found.takes_next {
            let missing = || Error::input(format!("{source}: {} needs a value", without_value(word)));
            Some(words.next().ok_or_else(missing)?)
        } else {
            None
        };
        let value = found.value.or(next.map(String::as_str)).unwrap_or_default();
        match found.what {
            Use::Input(Field::Annotation | Field::Label) if is_own_label(without_value(value)) => {
                let why = format!("{source}: {} is build-once's own", without_value(value));
                return Err(Error::input(why).hint("use a name of your own"));
            }
            Use::Input(field) => checked.add(field, source, value)?,
            what => {
                let flag = std::iter::once(word).chain(next);
                checked.args.extend(flag.clone().cloned());
                if what == Use::Counts {
                    checked.counted.extend(flag.cloned());
                }
            }
        }
    }
    Ok(())
}

/// A flag as one argument has it.
struct Found<'a> {
    what: Use,
    value: Option<&'a str>,
    /// Its value is the next argument.
    takes_next: bool,
}

/// A flag, or another argument, that is refused.
struct Refused {
    what: String,
    instead: &'static str,
}

impl Refused {
    fn error(self, source: &str) -> Error {
        let Self { what, instead } = self;
        Error::input(format!("{source}: {what} is not allowed")).hint(format!("use {instead} instead"))
    }
}

fn find<'a>(word: &'a str, next: Option<&String>) -> std::result::Result<Found<'a>, Refused> {
    if word == "--" || word == "-" || !word.starts_with('-') {
        // A second path, or the end of flags: buildx would build another folder, or none.
        let what = format!("`{}`, which is no flag,", without_value(word));
        return Err(Refused { what, instead: "context" });
    }
    let Some(long) = word.strip_prefix("--") else { return find_short(word) };
    let (name, value) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (long, None),
    };
    match FLAGS.iter().find(|flag| flag.long == name) {
        Some(Flag { what: Use::Refuse(instead), .. }) => Err(Refused { what: format!("--{name}"), instead }),
        Some(flag) => Ok(Found { what: flag.what, value, takes_next: flag.takes_value && value.is_none() }),
        // A flag of a later buildx: a next argument that is no flag is taken for its value.
        None => {
            let takes_next = value.is_none() && next.is_some_and(|next| !next.starts_with('-'));
            Ok(Found { what: Use::Counts, value, takes_next })
        }
    }
}

/// Short flags in one argument, such as `-m1g`. All but the last have no value.
fn find_short(word: &str) -> std::result::Result<Found<'_>, Refused> {
    for (at, letter) in word.char_indices().skip(1) {
        let refused = |instead| Err(Refused { what: format!("-{letter}"), instead });
        match FLAGS.iter().find(|flag| flag.short == Some(letter)) {
            Some(Flag { what: Use::Refuse(instead), .. }) => return refused(instead),
            Some(Flag { takes_value: false, .. }) => {}
            Some(flag) => {
                let rest = &word[at + letter.len_utf8()..];
                let value = (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest));
                return Ok(Found { what: flag.what, value, takes_next: value.is_none() });
            }
            // A letter of a later buildx: whether a value follows it is not known.
            None => return refused("the long form"),
        }
    }
    Ok(Found { what: Use::Counts, value: None, takes_next: false })
}

/// What stands before the `=`. Messages show no values, which may be secrets put in the wrong place.
fn without_value(word: &str) -> &str {
    word.split('=').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<Extra> {
        let mut checked = Extra::default();
        check(&shell_words::split(text).unwrap(), "extra-args", &mut checked).map(|()| checked)
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
            "--cgroup-parent=x --policy a",
            "-m 1g -m=1g -m1g -c 5 --memory-swap -1",
            "--from-the-future=1 --another --third value --rm",
        ] {
            assert_eq!(checked(text).unwrap().args, shell_words::split(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn what_the_key_counts_by_name_is_taken_out() {
        let checked =
            checked("--build-arg A=--push --label=a=b=c --rm --label empty --build-arg=E=").unwrap();
        assert_eq!(checked.args, ["--rm"]);
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(checked.build_args, pairs(&[("A", "--push"), ("E", "")]));
        assert_eq!(checked.labels, pairs(&[("a", "b=c"), ("empty", "")]));
        assert!(self::checked("--build-arg TOKEN").is_err());
    }

    #[test]
    fn caches_are_taken_out() {
        let checked = checked("--cache-to h/r:c --rm --cache-from=type=gha --cache-to=type=inline").unwrap();
        assert_eq!(checked.args, ["--rm"]);
        let values =
            |list: &[(String, String)]| list.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
        assert_eq!(values(&checked.caches.to), ["h/r:c", "type=inline"]);
        assert_eq!(values(&checked.caches.from), ["type=gha"]);
    }
    // D81, D88
    #[test]
    fn d88_a_flag_is_the_input_of_its_meaning() {
        let text = "--add-host b:2.2.2.2,a=1.1.1.1 --network=none --no-cache --no-cache-filter s --pull=false \
                    --annotation k=v=w --shm-size 1g --ulimit nofile=1";
        let checked = checked(text).unwrap();
        assert!(checked.args.is_empty() && checked.counted.is_empty(), "{checked:?}");
        let raw = crate::inputs::RawInputs {
            image: Some("app".into()),
            network: Some("host".into()),
            pull: Some("true".into()),
            ..Default::default()
        };
        let mut build = crate::inputs::ImageRequest::read(&raw, &crate::env::Env::default()).unwrap().build;
        checked.inputs.add_to(&mut build);
        assert_eq!(build.add_hosts, ["b:2.2.2.2", "a=1.1.1.1"]);
        assert_eq!((build.network.as_deref(), build.shm_size.as_deref()), (Some("none"), Some("1g")));
        assert_eq!((build.no_cache, build.pull), (true, false));
        assert_eq!(build.annotations, [("k".to_owned(), "v=w".to_owned())]);
        assert!(self::checked("--no-cache=maybe").is_err());
    }

    #[test]
    fn d81_room_does_not_count_and_what_is_not_known_does() {
        let checked = checked("--memory 1g -c 5 --cgroup-parent=x --from-the-future v --policy p").unwrap();
        assert_eq!(checked.counted, ["--from-the-future", "v", "--policy", "p"]);
        assert_eq!(checked.args.len(), 9);
    }
}
