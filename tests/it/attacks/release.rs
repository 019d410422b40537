//! A release has no switch for its guards.

use std::fs;
use std::process::Command;

/// The module on its own, as a program: compiled as a release is, it has neither the function
/// that switches guards off nor a guard whose state is looked up.
#[test]
fn no_guard_can_be_switched_off() {
    let folder = tempfile::tempdir().unwrap();
    let guards = concat!(env!("CARGO_MANIFEST_DIR"), "/src/guards.rs");
    let main = |body: &str| format!("#[path = {guards:?}]\nmod guards;\nfn main() {{ {body} }}\n");
    let compile = |name: &str, body: &str, debug_assertions: &str| {
        let source = folder.path().join(name).with_extension("rs");
        fs::write(&source, main(body)).unwrap();
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let assertions = format!("debug-assertions={debug_assertions}");
        let mut command = Command::new(rustc);
        command.args(["--edition=2024", "-Adead_code", "-C", &assertions]).arg("-o");
        let done = command.arg(folder.path().join(name)).arg(&source).output().unwrap();
        (done.status.success(), String::from_utf8(done.stderr).unwrap())
    };
    let off = "guards::switch_off(\"zone-prefix\").unwrap(); assert!(!guards::Guard::ZonePrefix.holds());";
    let (compiled, said) = compile("debug", off, "yes");
    assert!(compiled, "{said}");
    assert!(Command::new(folder.path().join("debug")).status().unwrap().success());
    let (compiled, said) = compile("release", off, "no");
    assert!(!compiled && said.contains("cannot find function `switch_off`"), "{said}");
    let constant = "const { assert!(guards::Guard::ZonePrefix.holds()) }";
    let (compiled, said) = compile("constant", constant, "no");
    assert!(compiled, "{said}");
    let (compiled, _) = compile("looked-up", constant, "yes");
    assert!(!compiled, "the check above can fail");
}
