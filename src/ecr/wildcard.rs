//! Patterns in which `*` stands for any text: ECR's scanning filters and exclusions of mutability, and IAM's policies.

/// Tells whether the whole text fits the pattern.
#[must_use]
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(between) = last.replace(part) {
            let Some((_, after)) = rest.split_once::<&str>(between) else { return false };
            rest = after;
        }
    }
    last.map_or(rest.is_empty(), |end| rest.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, holds) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "x", true),
            ("*-cache-*", "pr-1-cache-x", true),
            ("*-cache-*", "cache-x", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c", false),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(fits(pattern, text), holds, "{pattern} {text}");
        }
    }
}
