//! The arguments of `docker buildx imagetools create`, which sets an alias.

/// buildx 0.15 has it (PR 2482). Without it a single-platform source would be wrapped in an
/// index, and the alias would have another digest.
const KEEPS_DIGEST: &str = "--prefer-index=false";

/// Arguments after `docker buildx`.
pub(super) fn create_args(source: &str, target: &str) -> [String; 6] {
    ["imagetools", "create", KEEPS_DIGEST, "--tag", target, source].map(str::to_owned)
}

/// True if buildx does not know the flag. To ask its version first would cost a process for every alias.
pub(super) fn is_too_old(stderr: &str) -> bool {
    stderr.contains("unknown flag: --prefer-index")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_kept() {
        assert_eq!(
            create_args("h/r@sha256:0", "h/r:a"),
            ["imagetools", "create", "--prefer-index=false", "--tag", "h/r:a", "h/r@sha256:0"]
        );
    }
}
