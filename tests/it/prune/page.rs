//! `prune/action.yml` and `docs/prune.md` are as the program says.
