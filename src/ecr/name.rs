//! Checks a repository's name by ECR's grammar.

/// Shortest and longest name.
const LENGTH: std::ops::RangeInclusive<usize> = 2..=256;

/// Checks the name of a repository that is to be made: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, parts with `/` between.
///
/// # Errors
/// What ECR refuses in it.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if !LENGTH.contains(&name.len()) {
        let (shortest, longest) = (LENGTH.start(), LENGTH.end());
        return Err(format!("it has {} characters; ECR takes {shortest} to {longest}", name.len()));
    }
    match name.split('/').find(|part| !is_part(part)) {
        Some(part) => Err(format!(
            "ECR does not take the part `{part}`: it takes lower-case letters and digits, and between them `.`, `_`, `__` or `-`"
        )),
        None => Ok(()),
    }
}

fn is_part(part: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator = |text: &str| matches!(text, "." | "_" | "__") || text.chars().all(|c| c == '-');
    part.starts_with(is_word)
        && part.ends_with(is_word)
        && part.split(is_word).filter(|between| !between.is_empty()).all(is_separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_ecr_takes_and_refuses() {
        for name in ["ci", "a/b", "team-a/ci__x", "a.b", "a--b", "0"].map(str::to_owned) {
            assert_eq!(check_name(&name).is_ok(), name.len() > 1, "{name}");
        }
        assert!(check_name(&"a".repeat(256)).is_ok());
        for name in ["", "Ci", "-ci", "ci-", "a//b", "a/", "a..b", "a___b", "a._b", "a b", "a/-b"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name(&"a".repeat(257)).unwrap_err().contains("257 characters"));
    }
}
