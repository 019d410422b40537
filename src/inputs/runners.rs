//! The input `runners`: on which runner a job builds for a platform, such as `linux/arm64=ubuntu-24.04-arm`.

use std::collections::BTreeMap;

use super::problems::Problems;
use crate::image::Platform;

/// A runner, as `runs-on` takes it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub enum RunsOn {
    Label(String),
    /// A runner with all of these labels.
    Labels(Vec<String>),
}

impl std::fmt::Display for RunsOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(label) => f.write_str(label),
            Self::Labels(labels) => f.write_str(&labels.join(", ")),
        }
    }
}

/// The runner for each platform that the input names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runners(BTreeMap<Platform, RunsOn>);

/// The runner of a platform that the input does not name: GitHub's own, for `linux/amd64`.
const OTHERWISE: &str = "ubuntu-latest";

impl Runners {
    /// The runner for the platform.
    #[must_use]
    pub(crate) fn of(&self, platform: &Platform) -> RunsOn {
        self.0.get(platform).cloned().unwrap_or_else(|| RunsOn::Label(OTHERWISE.to_owned()))
    }

    /// Reads the lines of the input.
    pub(super) fn read(lines: &[String], problems: &mut Problems) -> Self {
        let mut runners = BTreeMap::new();
        for line in lines {
            match entry(line) {
                Ok((platform, runner)) => {
                    if runners.insert(platform.clone(), runner).is_some() {
                        problems.add("runners", format!("{platform} has two lines"));
                    }
                }
                Err(why) => problems.add("runners", why),
            }
        }
        Self(runners)
    }

    /// Notes the platforms that none of the images is built for (`built`: those that one is built for): a wrong letter would send a build to the runner of another
    /// platform.
    pub(super) fn check(&self, built: &[&Platform], problems: &mut Problems) {
        for platform in self.0.keys().filter(|platform| !built.contains(platform)) {
            let mut all: Vec<String> = built.iter().map(ToString::to_string).collect();
            all.sort_unstable();
            all.dedup();
            problems.add(
                "runners",
                format!("no image of this run is built for {platform}, but for {}", all.join(", ")),
            );
        }
    }
}

/// Reads `PLATFORM=LABEL`, `PLATFORM=LABEL, LABEL` or `PLATFORM=[LABEL, LABEL]`.
fn entry(line: &str) -> Result<(Platform, RunsOn), String> {
    let (platform, labels) = line.split_once('=').ok_or_else(|| {
        format!("`{line}` has no `=`: expected PLATFORM=LABEL, such as linux/arm64=ubuntu-24.04-arm")
    })?;
    let platform = platform.parse::<Platform>().map_err(|error| error.to_string())?;
    let labels = labels.trim();
    let inside = labels.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let list: Vec<&str> = inside.unwrap_or(labels).split(',').map(unquoted).collect();
    let is_label = |label: &&str| !label.is_empty() && label.chars().all(is_of_label);
    if let Some(bad) = list.iter().find(|label| !is_label(label)) {
        return Err(format!("`{bad}` in `{line}` is not a label of a runner"));
    }
    let mut labels: Vec<String> = list.into_iter().map(str::to_owned).collect();
    let runner = if inside.is_none() && labels.len() == 1 {
        RunsOn::Label(labels.remove(0))
    } else {
        RunsOn::Labels(labels)
    };
    Ok((platform, runner))
}

/// The label without white space and quotes around it.
fn unquoted(label: &str) -> &str {
    let label = label.trim();
    let quoted = |quote: char| label.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(label).trim()
}

/// A character that GitHub's and other runners' labels have.
fn is_of_label(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@' | '=' | '+' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(lines: &[&str], platform: &str) -> Result<String, String> {
        let problems = &mut Problems::default();
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        let runners = Runners::read(&lines, problems);
        std::mem::take(problems).finish().map_err(|error| error.to_string())?;
        Ok(serde_json::to_string(&runners.of(&platform.parse().unwrap())).unwrap())
    }

    #[test]
    fn a_runner_has_one_label_or_several() {
        for (line, wanted) in [
            ("linux/arm64=ubuntu-24.04-arm", r#""ubuntu-24.04-arm""#),
            (" linux/aarch64 = big ", r#""big""#),
            ("linux/arm64=[self-hosted, arm64]", r#"["self-hosted","arm64"]"#),
            (r#"linux/arm64=["self-hosted","arm64"]"#, r#"["self-hosted","arm64"]"#),
            ("linux/arm64=self-hosted,arm64", r#"["self-hosted","arm64"]"#),
            ("linux/arm64=[arm64]", r#"["arm64"]"#),
            ("linux/arm64=runs-on=1/runner=2cpu-linux-arm64", r#""runs-on=1/runner=2cpu-linux-arm64""#),
            ("linux/amd64=x", r#""ubuntu-latest""#),
        ] {
            assert_eq!(json(&[line], "linux/arm64").as_deref(), Ok(wanted), "{line}");
        }
    }

    #[test]
    fn what_is_no_runner_is_named() {
        for (lines, said) in [
            (&["linux/arm64"][..], "`linux/arm64` has no `=`"),
            (&["arm64=x"], "`arm64` is not a platform"),
            (&["linux/arm64="], "`` in `linux/arm64=` is not a label"),
            (&["linux/arm64=[]"], "is not a label"),
            (&["linux/arm64=[a,]"], "is not a label"),
            (&["linux/arm64=${{ x }}"], "`${{ x }}` in"),
            (&["linux/arm64=a", "linux/aarch64=b"], "linux/arm64 has two lines"),
        ] {
            let error = json(lines, "linux/arm64").unwrap_err();
            assert!(error.contains("input `runners`: ") && error.contains(said), "{said}: {error}");
        }
    }
}
