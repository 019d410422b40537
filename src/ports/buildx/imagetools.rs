//! Aliases: `docker buildx imagetools create`.

use super::BuildxVersion;

/// Arguments after `docker buildx`. Without `--prefer-index=false` a single-platform source
/// would be wrapped in an index, and the alias would have another digest (buildx PR 2482).
pub(super) fn create_args(source: &str, targets: &[String], version: &BuildxVersion) -> Vec<String> {
    let mut args = vec!["imagetools".to_owned(), "create".to_owned()];
    if version.has_prefer_index() {
        args.push("--prefer-index=false".to_owned());
    }
    for target in targets {
        args.extend(["--tag".to_owned(), target.clone()]);
    }
    args.push(source.to_owned());
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_goes_where_it_is_known() {
        let args =
            |version| create_args("h/r@sha256:0", &["h/r:a".into()], &BuildxVersion::parse(version).unwrap());
        assert_eq!(
            args("v0.29.1"),
            ["imagetools", "create", "--prefer-index=false", "--tag", "h/r:a", "h/r@sha256:0"]
        );
        assert_eq!(args("v0.13.1"), ["imagetools", "create", "--tag", "h/r:a", "h/r@sha256:0"]);
    }
}
