//! What can be wrong with what a key is made from, and what is hard about it.

use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{Workspace, engine, lab};

/// Dockerfile, inputs, exit code, what is said.
type Row = (&'static str, &'static [(&'static str, &'static str)], i32, &'static str);

/// What can be wrong, and what is said of it.
#[test]
fn bad_inputs_are_named() {
    let work = Workspace::new("bad");
    let rows: [Row; 6] = [
        ("FROM\n", &[], 10, "Dockerfile:1: "),
        ("ARG BASE\nFROM ${BASE}\nCOPPY . /\n", &[], 10, "Dockerfile:3: "),
        ("FROM scratch\n", &[("target", "absent")], 10, "target `absent` is not a stage"),
        ("FROM scratch\n", &[("context", "absent")], 2, "absent"),
        ("FROM scratch\n", &[("file", "absent/Dockerfile")], 10, "absent/Dockerfile"),
        ("FROM scratch\n", &[("key", "files"), ("key-files", "absent/**")], 2, "matches no file"),
    ];
    for (dockerfile, inputs, code, said) in rows {
        work.write("Dockerfile", dockerfile);
        let program = inputs.iter().fold(work.program(), |program, (name, value)| program.input(name, value));
        let done = program.command("key").run();
        assert_eq!(done.code, Some(code), "{dockerfile} {inputs:?}: {}", done.log);
        assert!(done.log.contains(said), "{dockerfile} {inputs:?}: {}", done.log);
    }
}

#[test]
fn a_dockerfile_outside_the_context() {
    let work = Workspace::new("outside");
    work.write("app/x", "inside");
    work.write("docker/Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY . /app\n");
    work.write("docker/Dockerfile.dockerignore", "secret\n");
    work.write("app/secret", "1");
    let program = || work.program().input("context", "app").input("file", "docker/Dockerfile");
    let built = program().run().is("built-local");
    assert_eq!(engine(&["run", "--rm", &work.image, "ls", "/app"]), "x");
    work.write("app/secret", "2");
    assert_eq!(program().run().is("reused-local").output("key"), built.output("key"));
    work.write("docker/Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY . /other\n");
    assert!(program().run().is("built-local").output("reason").starts_with("miss: the Dockerfile changed; "));
}

#[test]
fn a_context_that_can_only_be_read() {
    let work = Workspace::new("readonly");
    let mounted = work.root().join("mounted");
    fs::create_dir(&mounted).unwrap();
    let mount = |arguments: &[&str]| Command::new("mount").args(arguments).arg(&mounted).output().unwrap();
    let folder = work.folder();
    if !mount(&["--bind", folder.to_str().unwrap()]).status.success() {
        return eprintln!("skipped: nothing can be mounted here");
    }
    let read_only = mount(&["-o", "remount,ro,bind"]).status.success();
    let there = work.program().command("key").folder(&mounted).run();
    let here = work.program().command("key").run();
    assert!(Command::new("umount").arg(&mounted).status().unwrap().success());
    assert!(read_only);
    assert_eq!((there.code, &there.stdout), (Some(0), &here.stdout), "{}", there.log);
}

#[test]
fn a_file_that_keeps_changing() {
    let work = Workspace::new("changing");
    let path = work.folder().join("growing");
    fs::write(&path, vec![0; 300 << 20]).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (grown, stopped) = (path.clone(), stop.clone());
    let writer = std::thread::spawn(move || {
        let mut growing = fs::OpenOptions::new().append(true).open(grown).unwrap();
        while !stopped.load(Ordering::Relaxed) {
            growing.write_all(b"x").unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    let done = work.program().input("key", "context").command("key").run();
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert_eq!(done.code, Some(2), "{}", done.log);
    assert!(done.log.contains("growing changed while it was being read"), "{}", done.log);
}

#[test]
fn a_file_ten_times_the_memory_is_streamed() {
    let work = Workspace::new("huge");
    fs::File::create(work.folder().join("huge")).unwrap().set_len(3 << 30).unwrap();
    // With room for a tenth of it.
    let output = Command::new("bash")
        .args(["-c", "ulimit -v 300000; exec \"$0\" key --json", env!("CARGO_BIN_EXE_build-once")])
        .current_dir(work.folder())
        .env("INPUT_IMAGE", "huge")
        .env("INPUT_KEY", "context")
        .env("INPUT_BUILD_ARGS", format!("BASE={}", lab().get("BUILD_ONCE_LAB_BASE_IMAGE")))
        .env("INPUT_SSM_PARAMETER", "/e2e/none")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"size\":3221225472"));
}
