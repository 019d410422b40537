//! `dist/install.sh` with a fake `curl` and `uname`, and no other program than the ones it needs:
//! nothing here can reach the network.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test: starts bash, plants files")]

mod lab;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use lab::{CURL, LINUX, Lab, PROGRAM, Run, VERSION, sum};

#[test]
fn downloads_checks_and_keeps() {
    let lab = Lab::new();
    let secrets = [("GITHUB_TOKEN", "t0ken"), ("INPUT_GITHUB_TOKEN", "t0ken"), ("INPUT_IMAGE", "$(>pwned)")];
    lab.run(&secrets).assert_path(&lab.cached());
    lab.assert_installed();
    let url =
        format!("https://github.com/build-once/build-once/releases/download/v{VERSION}/build-once-{LINUX}");
    assert_eq!(lab.urls(), [url]);
    let calls = lab.calls();
    for wanted in [
        "--proto\n=https\n",
        "--tlsv1.2\n",
        "--fail\n",
        "--location\n",
        "--retry\n",
        "--max-time\n",
        "--connect-timeout\n",
    ] {
        assert!(calls.contains(wanted), "{wanted} in {calls}");
    }
    assert!(!calls.contains("t0ken") && !lab.path("pwned").exists(), "{calls}");
}

#[test]
fn a_cached_program_is_not_fetched_again() {
    let lab = Lab::new();
    lab.run(&[]).assert_path(&lab.cached());
    lab.run(&[]).assert_path(&lab.cached());
    assert_eq!(lab.urls().len(), 1);
}

/// D20: another user of the machine who may write there could change the program after it was checked.
#[test]
fn d20_a_cache_that_others_may_write_is_not_run_from() {
    use std::os::unix::fs::PermissionsExt as _;
    for below in ["tool cache", "tool cache/build-once/1.2.3"] {
        let lab = Lab::new();
        lab.run(&[]).assert_path(&lab.cached());
        fs::set_permissions(lab.path(below), fs::Permissions::from_mode(0o777)).unwrap();
        let temp = lab.path("own temp");
        fs::create_dir(&temp).unwrap();
        let run = lab.run(&[("RUNNER_TEMP", temp.to_str().unwrap())]);
        let program = Path::new(run.stdout.trim());
        assert!(program.starts_with(&temp), "{below}: {} {}", run.stdout, run.stderr);
        assert_eq!(fs::read(program).unwrap(), PROGRAM);
        let folder = fs::metadata(program.parent().unwrap()).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
        assert_eq!(lab.urls().len(), 1, "it is not fetched again");
    }
}

#[test]
fn a_cached_program_that_lost_its_mode_gets_it_back() {
    let lab = Lab::new();
    lab.plant(std::str::from_utf8(PROGRAM).unwrap());
    lab.run(&[]).assert_path(&lab.cached());
    lab.assert_installed();
    assert!(lab.urls().is_empty());
}

#[test]
fn without_a_tool_cache_it_is_the_users_cache() {
    let lab = Lab::new();
    let below = format!("build-once/{VERSION}/{LINUX}/build-once");
    lab.run(&[("RUNNER_TOOL_CACHE", "")]).assert_path(&lab.path("home/.cache").join(&below));
    let xdg = lab.path("xdg");
    lab.run(&[("RUNNER_TOOL_CACHE", ""), ("XDG_CACHE_HOME", xdg.to_str().unwrap())])
        .assert_path(&xdg.join(below));
}

#[test]
fn a_tool_cache_that_cannot_be_written_is_replaced_by_the_jobs_folder() {
    let lab = Lab::new();
    fs::write(lab.path("file"), "").unwrap();
    let (bad, temp) = (lab.path("file/tools"), lab.path("job's temp"));
    let bad = ("RUNNER_TOOL_CACHE", bad.to_str().unwrap());
    lab.run(&[bad, ("RUNNER_TEMP", temp.to_str().unwrap())])
        .assert_path(&temp.join(format!("build-once/{VERSION}/{LINUX}/build-once")));
    lab.run(&[bad]).assert_failed(60, &["no folder", "RUNNER_TOOL_CACHE"]);
}

// F75
#[test]
fn a_tampered_copy_is_replaced() {
    for planted in ["evil", ""] {
        let lab = Lab::new();
        lab.plant(planted);
        let run = lab.run(&[]);
        run.assert_path(&lab.cached());
        assert!(run.stderr.contains("not the released program"), "{}", run.stderr);
        lab.assert_installed();
        assert_eq!(lab.urls().len(), 1);
    }
}

#[test]
fn a_tampered_copy_is_not_used_when_nothing_better_can_be_had() {
    let lab = Lab::new();
    lab.plant("evil");
    lab.curl_fails("6");
    lab.run(&[]).assert_failed(30, &["failed to download"]);
}

// F75
#[test]
fn a_planted_link_is_not_followed() {
    for content in ["evil", std::str::from_utf8(PROGRAM).unwrap()] {
        let lab = Lab::new();
        fs::write(lab.path("outside"), content).unwrap();
        fs::create_dir_all(lab.cached().parent().unwrap()).unwrap();
        symlink(lab.path("outside"), lab.cached()).unwrap();
        lab.run(&[]).assert_path(&lab.cached());
        lab.assert_installed();
        assert_eq!(fs::read_to_string(lab.path("outside")).unwrap(), content);
    }
}

#[test]
fn a_planted_folder_or_link_to_one_does_not_catch_the_program() {
    let lab = Lab::new();
    fs::create_dir_all(lab.cached().join("inside")).unwrap();
    lab.run(&[]).assert_path(&lab.cached());
    lab.assert_installed();

    let program = Path::new("build-once").join(VERSION).join(LINUX).join("build-once");
    for part in program.ancestors().filter(|part| part.parent().is_some()) {
        let lab = Lab::new();
        fs::create_dir_all(lab.path("outside")).unwrap();
        let link = lab.path("tool cache").join(part);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(lab.path("outside"), link).unwrap();
        lab.run(&[]).assert_path(&lab.cached());
        lab.assert_installed();
        assert_eq!(fs::read_dir(lab.path("outside")).unwrap().count(), 0, "{}", part.display());
    }
}

#[test]
fn the_tool_cache_itself_may_be_a_link() {
    let lab = Lab::new();
    symlink(lab.path("tool cache"), lab.path("link")).unwrap();
    let link = lab.path("link");
    let real = fs::canonicalize(lab.path("tool cache")).unwrap();
    lab.run(&[("RUNNER_TOOL_CACHE", link.to_str().unwrap())])
        .assert_path(&real.join(format!("build-once/{VERSION}/{LINUX}/build-once")));
}

// F73
#[test]
fn a_wrong_download_is_removed() {
    let lab = Lab::new();
    let expected = sum(&lab.asset(LINUX));
    fs::write(lab.asset(LINUX), "something else").unwrap();
    let got = sum(&lab.asset(LINUX));
    lab.run(&[]).assert_failed(40, &[&expected, &got, "github.com", "not the released program"]);
    assert!(!lab.cached().exists());
    lab.assert_only_program();
}

// F73
#[test]
fn a_truncated_download_is_removed() {
    let lab = Lab::new();
    fs::write(lab.path("bin/partial"), &PROGRAM[..7]).unwrap();
    lab.run(&[]).assert_failed(40, &["expected SHA-256"]);
    lab.curl_fails("18"); // curl saw it itself
    lab.run(&[]).assert_failed(30, &["exit code 18"]);
    assert!(!lab.cached().exists());
    lab.assert_only_program();
}

// F74
#[test]
fn what_cannot_be_downloaded_is_unavailable() {
    for code in ["22", "6", "7", "28", "35"] {
        let lab = Lab::new();
        lab.curl_fails(code);
        lab.run(&[]).assert_failed(
            30,
            &[
                "failed to download",
                "github.com",
                "curl: something",
                "BUILD_ONCE_DOWNLOAD_URL",
                "BUILD_ONCE_BIN",
            ],
        );
        lab.assert_only_program();
    }
}

#[test]
fn a_full_disk_is_said_to_be_one() {
    let lab = Lab::new();
    lab.curl_fails("23");
    lab.run(&[]).assert_failed(50, &["failed to write", "disk"]);
}

#[test]
fn what_has_no_sum_is_not_downloaded() {
    let lab = Lab::new();
    let good = sum(&lab.asset(LINUX));
    let rows = [
        format!("{good}  build-once-aarch64-apple-darwin\n"),
        format!("{good}  build-once-{LINUX}.sig\n"),
        format!("{good}  x/build-once-{LINUX}\n"),
        format!("{}  build-once-{LINUX}\n", &good[..63]),
    ];
    for row in rows {
        lab.sums(&row);
        lab.run(&[])
            .assert_failed(40, &["no line for build-once-x86_64-unknown-linux-musl", "BUILD_ONCE_BIN"]);
    }
    assert!(lab.urls().is_empty());
    // As `sha256sum --binary` writes it, and without an end of line.
    lab.sums(&format!("{good} *build-once-{LINUX}"));
    lab.run(&[]).assert_path(&lab.cached());
}

#[test]
fn before_the_first_release_it_says_so() {
    let lab = Lab::new();
    lab.sums("# Written by the release workflow.\n");
    lab.run(&[]).assert_failed(40, &["not released", "BUILD_ONCE_BIN"]);
    fs::remove_file(lab.path("dist/SHA256SUMS")).unwrap();
    lab.run(&[]).assert_failed(40, &["not released"]);
    assert!(lab.urls().is_empty());
}

#[test]
fn a_version_that_is_none_is_refused() {
    for version in ["", "../../evil", "1.2.3/../..", "latest"] {
        let lab = Lab::new();
        fs::write(lab.path("dist/VERSION"), version).unwrap();
        lab.run(&[]).assert_failed(40, &["dist/VERSION"]);
        assert!(lab.urls().is_empty());
    }
}

// F76
#[test]
fn every_platform_gets_its_own_program_and_others_none() {
    let rows = [
        ("Linux", "x86_64", LINUX),
        ("Linux", "aarch64", "aarch64-unknown-linux-musl"),
        ("Darwin", "arm64", "aarch64-apple-darwin"),
        ("Darwin", "x86_64", "x86_64-apple-darwin"),
    ];
    for (system, machine, triple) in rows {
        let lab = Lab::new();
        fs::write(lab.asset(triple), PROGRAM).unwrap();
        lab.sums(&format!("{}  build-once-{triple}\n", sum(&lab.asset(triple))));
        let path = lab.path(&format!("tool cache/build-once/{VERSION}/{triple}/build-once"));
        lab.run(&[("FAKE_SYSTEM", system), ("FAKE_MACHINE", machine)]).assert_path(&path);
    }
    let lab = Lab::new();
    for (system, machine) in [("Linux", "riscv64"), ("MINGW64_NT-10.0", "x86_64"), ("FreeBSD", "amd64")] {
        lab.run(&[("FAKE_SYSTEM", system), ("FAKE_MACHINE", machine)])
            .assert_failed(60, &[system, machine, "Linux and macOS", "x86_64 and arm64"]);
    }
    assert!(lab.urls().is_empty());
}

#[test]
fn a_program_of_ones_own_is_taken_as_it_is() {
    let lab = Lab::new();
    let own = lab.executable("my program", "#!/bin/sh\n");
    lab.run(&[("BUILD_ONCE_BIN", own.to_str().unwrap())]).assert_path(&own);
    let root = fs::canonicalize(lab.root.path()).unwrap();
    lab.run(&[("BUILD_ONCE_BIN", "my program")]).assert_path(&root.join("my program"));
    // Even where there is nothing to download.
    lab.sums("");
    lab.run(&[("BUILD_ONCE_BIN", own.to_str().unwrap()), ("FAKE_SYSTEM", "Plan9")]).assert_path(&own);
    assert!(lab.urls().is_empty());
}

#[test]
fn a_program_of_ones_own_must_be_there() {
    let lab = Lab::new();
    fs::write(lab.path("plain"), "").unwrap();
    for bad in ["absent", "plain", "dist"] {
        lab.run(&[("BUILD_ONCE_BIN", bad)]).assert_failed(2, &["BUILD_ONCE_BIN", bad]);
    }
}

#[test]
fn a_mirror_stands_in_for_the_releases() {
    let asset = format!("v{VERSION}/build-once-{LINUX}");
    let rows = [("https://mirror.example/tools/", "=https"), ("http://10.0.0.1:8080/tools", "=http,https")];
    for (base, protocols) in rows {
        let lab = Lab::new();
        lab.run(&[("BUILD_ONCE_DOWNLOAD_URL", base)]).assert_path(&lab.cached());
        assert_eq!(lab.urls(), [format!("{}/{asset}", base.trim_end_matches('/'))]);
        assert!(lab.calls().contains(&format!("--proto\n{protocols}\n")), "{}", lab.calls());
    }
}

#[test]
fn a_mirror_is_not_trusted_with_the_sum_nor_shown_with_its_password() {
    let lab = Lab::new();
    fs::write(lab.asset(LINUX), "the mirror's own").unwrap();
    let run = lab.run(&[("BUILD_ONCE_DOWNLOAD_URL", "https://user:s3cret@mirror.example/x")]);
    run.assert_failed(40, &["from mirror.example is not"]);
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
    for bad in ["file:///etc", "mirror.example", "-o/etc/passwd"] {
        lab.run(&[("BUILD_ONCE_DOWNLOAD_URL", bad)]).assert_failed(2, &["BUILD_ONCE_DOWNLOAD_URL"]);
    }
}

#[test]
fn wget_will_do() {
    let lab = Lab::new();
    fs::remove_file(lab.path("bin/curl")).unwrap();
    lab.run(&[]).assert_failed(60, &["neither curl nor wget"]);
    lab.executable("bin/wget", CURL);
    lab.run(&[]).assert_path(&lab.cached());
    lab.assert_installed();
    assert!(lab.calls().starts_with("wget\n"), "{}", lab.calls());
}

#[test]
fn without_a_way_to_check_nothing_is_run() {
    let lab = Lab::new();
    lab.run(&[]).assert_path(&lab.cached());
    for tool in ["sha256sum", "shasum"] {
        fs::remove_file(lab.path("bin").join(tool)).ok();
    }
    lab.run(&[]).assert_failed(60, &["sha256sum"]);
}

#[test]
fn in_a_workflow_the_failure_is_annotated() {
    let lab = Lab::new();
    lab.sums("");
    let run = lab.run(&[("GITHUB_ACTIONS", "true")]);
    run.assert_failed(40, &["\n::error title=build-once::build-once 1.2.3 is not released"]);
    let run = lab.run(&[("GITHUB_ACTIONS", "true"), ("BUILD_ONCE_BIN", "a\n::add-mask::b%")]);
    run.assert_failed(2, &["a ::add-mask::b%25"]);
    assert!(!run.stderr.contains("\n::add-mask"), "{}", run.stderr);
}

#[test]
fn jobs_that_start_at_once_share_one_program() {
    let lab = Lab::new();
    lab.plant("evil");
    let running: Vec<_> = (0..8)
        .map(|_| lab.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    for child in running {
        Run::of(&child.wait_with_output().unwrap()).assert_path(&lab.cached());
    }
    lab.assert_installed();
}

/// D96: every failure of the script sets every output, as the program does.
#[test]
fn d96_all_outputs_are_set_where_the_program_is_not_there() {
    type Failure = (fn(&Lab), &'static [(&'static str, &'static str)], i32, &'static str);
    let failures: [Failure; 7] = [
        (|_| {}, &[("BUILD_ONCE_BIN", "/absent")], 2, "input"),
        (|_| {}, &[("BUILD_ONCE_DOWNLOAD_URL", "ftp://x")], 2, "input"),
        (|lab| lab.curl_fails("6"), &[], 30, "unavailable"),
        (|lab| lab.curl_fails("23"), &[], 50, "resource"),
        (|lab| lab.sums("# none\n"), &[], 40, "integrity"),
        (|lab| fs::write(lab.asset(LINUX), "other").unwrap(), &[], 40, "integrity"),
        (|_| {}, &[("FAKE_MACHINE", "riscv64")], 60, "unsupported"),
    ];
    for (spoil, env, code, class) in failures {
        let lab = Lab::new();
        spoil(&lab);
        let file = lab.path("outputs");
        let run = lab.run(&[env, &[("GITHUB_OUTPUT", file.to_str().unwrap())]].concat());
        run.assert_failed(code, &[]);
        let text = fs::read_to_string(&file).unwrap();
        let set: Vec<(&str, &str)> = text.lines().map(|line| line.split_once('=').unwrap()).collect();
        let names: Vec<&str> = set.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, build_once::testing::OUTPUTS.map(|(name, ..)| name));
        let told =
            [("outcome", "failed"), ("failure-class", class), ("failure-cause", class), ("built", "false")];
        assert!(told.iter().all(|pair| set.contains(pair)), "{text}");
        assert!(set.iter().any(|(name, value)| *name == "reason" && run.stderr.contains(value)), "{text}");
    }
}
