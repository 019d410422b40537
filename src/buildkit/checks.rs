//! Reads the findings of a Dockerfile's checks from the JSON that `--call=check,format=json` prints. A build's progress
//! has findings too, which `progress` reads.

use serde::Deserialize;

/// A finding of the checks.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The rule and the finding, as one line.
    pub text: String,
    /// The Dockerfile's line, from 1.
    pub line: Option<usize>,
}

/// A line of a source, as BuildKit writes it (`solver/pb`, `Range`).
#[derive(Clone, Deserialize)]
pub(crate) struct Range {
    start: Position,
}

#[derive(Clone, Deserialize)]
struct Position {
    #[serde(default)]
    line: usize,
}

/// The first line of the first range; `None` if BuildKit names no line.
pub(crate) fn first_line(ranges: &[Range]) -> Option<usize> {
    ranges.first().map(|range| range.start.line).filter(|line| *line > 0)
}

/// A warning, with one rule.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Warning {
    #[serde(default)]
    rule_name: String,
    #[serde(default)]
    detail: String,
    location: Option<Location>,
}

#[derive(Deserialize)]
struct Location {
    ranges: Option<Vec<Range>>,
}

/// Why the Dockerfile cannot be read to its end.
#[derive(Deserialize)]
struct BuildError {
    #[serde(default)]
    message: String,
    location: Option<Location>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    warnings: Option<Vec<Warning>>,
    build_error: Option<BuildError>,
}

fn line(location: Option<&Location>) -> Option<usize> {
    first_line(location?.ranges.as_deref()?)
}

/// Reads the output of `--call=check,format=json` (BuildKit, `frontend/subrequests/lint`): the findings, and the error if
/// the Dockerfile cannot be read to its end.
///
/// # Errors
/// If the text is not such JSON.
pub fn parse(text: &[u8]) -> serde_json::Result<(Vec<Finding>, Option<Finding>)> {
    let answer: Answer = serde_json::from_slice(text)?;
    let finding = |warning: Warning| Finding {
        text: format!("{}: {}", warning.rule_name, warning.detail),
        line: line(warning.location.as_ref()),
    };
    let error =
        answer.build_error.map(|error| Finding { line: line(error.location.as_ref()), text: error.message });
    Ok((answer.warnings.unwrap_or_default().into_iter().map(finding).collect(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d45_what_buildx_prints() {
        let text = r#"{"warnings":[{"ruleName":"StageNameCasing","detail":"Stage name 'X' should be lowercase",
            "location":{"ranges":[{"start":{"line":4},"end":{"line":4}}]}},{"ruleName":"A","detail":"b","location":{}}],
            "buildError":{"message":"unknown instruction: RUNN","location":{"ranges":[{"start":{"line":2}}]}}}"#;
        let (found, broken) = parse(text.as_bytes()).unwrap();
        assert_eq!(
            found[0],
            Finding { text: "StageNameCasing: Stage name 'X' should be lowercase".into(), line: Some(4) }
        );
        assert_eq!(found[1].line, None);
        assert_eq!(broken, Some(Finding { text: "unknown instruction: RUNN".into(), line: Some(2) }));
        assert_eq!(parse(b"{}").unwrap(), (vec![], None));
        assert!(parse(b"ERROR").is_err());
    }
}
