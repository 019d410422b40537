//! Aliases: `docker buildx imagetools create`.

/// buildx 0.15 has it (PR 2482). Without it a single-platform source would be wrapped in an
/// index, and the alias would have another digest.
const KEEPS_DIGEST: &str = "--prefer-index=false";

/// Arguments after `docker buildx`.
pub(super) fn create_args(source: &str, target: &str) -> [String; 6] {
    ["imagetools", "create", KEEPS_DIGEST, "--tag", target, source].map(str::to_owned)
}

/// Whether buildx refused the flag. Asking its version first would cost a process on every alias.
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
