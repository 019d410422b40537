//! Collects every bad input, so that one run names them all. Reading goes on after a bad value with some stand-in,
//! which is never used: [`Problems::finish`] makes the run end before that.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};

/// What was found so far, each as ``input `NAME`: REASON``.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// Bad inputs, which end the run.
    bad: Vec<String>,
    /// What is left out; the run goes on without it.
    warnings: Vec<String>,
}

impl Problems {
    /// Notes that the input is bad, and why. The reason must not hold a secret.
    pub(super) fn add(&mut self, input: &str, reason: impl Display) {
        self.bad.push(format!("input `{input}`: {reason}"));
    }

    /// Notes what is left out of an input, and why.
    pub(super) fn warn(&mut self, input: &str, reason: impl Display) {
        self.warnings.push(format!("input `{input}`: {reason}"));
    }

    /// Takes the warnings out.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The items as they are, after noting each that `grammar` refuses. `L` is a list of texts or an optional text.
    pub(super) fn checked<L>(
        &mut self,
        input: &str,
        items: L,
        grammar: impl Fn(&str) -> Result<(), String>,
    ) -> L
    where
        for<'a> &'a L: IntoIterator<Item = &'a String>,
    {
        for reason in (&items).into_iter().filter_map(|item| grammar(item).err()) {
            self.add(input, reason);
        }
        items
    }

    /// The value; after noting an error, the type's default.
    pub(super) fn ok<T: Default, E: Display>(&mut self, input: &str, result: Result<T, E>) -> T {
        result.unwrap_or_else(|error| {
            self.add(input, error);
            T::default()
        })
    }

    /// The parsed value; `None` if there is no text, or after noting why it does not parse.
    pub(super) fn parse<T: FromStr<Err: Display>>(&mut self, input: &str, text: Option<&str>) -> Option<T> {
        text.and_then(|text| text.parse().map_err(|error| self.add(input, error)).ok())
    }

    /// The parsed items, without those that do not parse, which are noted.
    pub(super) fn parse_all<T: FromStr<Err: Display>>(&mut self, input: &str, items: Vec<String>) -> Vec<T> {
        items.iter().filter_map(|item| self.parse(input, Some(item))).collect()
    }

    /// What `text` means among `choices`; after noting an unknown word, what the first choice means.
    pub(super) fn choice<T: Copy>(&mut self, input: &str, text: &str, choices: &[(&str, T)]) -> T {
        choices.iter().find(|(word, _)| *word == text).map_or_else(
            || {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                self.add(input, format!("`{text}` is not one of {}", words.join(", ")));
                choices[0].1
            },
            |(_, value)| *value,
        )
    }

    /// `true` or `false`, in the forms that YAML's core schema and GitHub accept.
    pub(super) fn boolean(&mut self, input: &str, text: &str) -> bool {
        self.choice(input, &text.to_ascii_lowercase(), &[("false", false), ("true", true)])
    }

    /// A duration: `90s`, `10m`, `2h` or `14d`. A number without a unit is refused: some would mean seconds by it,
    /// others minutes.
    pub(super) fn duration(&mut self, input: &str, text: &str) -> Duration {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let unit = match &text[digits..] {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3_600),
            "d" => Some(86_400),
            _ => None,
        };
        let number = text[..digits].parse::<u64>().ok();
        let Some(seconds) = number.zip(unit).and_then(|(number, unit)| number.checked_mul(unit)) else {
            self.add(
                input,
                format!("`{text}` is not a duration: expected a number with s, m, h or d, such as 10m"),
            );
            return Duration::ZERO;
        };
        Duration::from_secs(seconds)
    }

    /// # Errors
    /// One that names every bad input.
    pub(super) fn finish(self) -> Result<()> {
        match self.bad.as_slice() {
            [] => Ok(()),
            [only] => Err(Error::input(only.clone())),
            all => Err(Error::input(format!("{} inputs are not valid\n  {}", all.len(), all.join("\n  ")))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let mut problems = Problems::default();
        for (text, seconds) in [("90s", 90), ("10m", 600), ("2h", 7_200), ("14d", 1_209_600)] {
            assert_eq!(problems.duration("x", text).as_secs(), seconds);
        }
        assert!(problems.finish().is_ok());
        // D74
        for text in ["", "m", "45", "1w", "-1", "99999999999999999999", "18446744073709551615d"] {
            let mut problems = Problems::default();
            problems.duration("x", text);
            assert!(problems.finish().is_err(), "{text}");
        }
    }

    #[test]
    fn every_problem_is_named() {
        let mut problems = Problems::default();
        problems.boolean("load", "yes");
        problems.choice("mode", "pul", &[("build", 1), ("pull", 2)]);
        let text = problems.finish().unwrap_err().to_string();
        assert!(text.contains("input `load`: `yes` is not one of false, true"), "{text}");
        assert!(text.contains("input `mode`: `pul` is not one of build, pull"), "{text}");
    }
}
