//! Inputs that break the form of something else, or have an odd form themselves.

use crate::support::Lab;
use crate::support::scanner::bare_commands;

/// F40: a context that is not there, or is a file.
#[test]
fn a_context_that_is_no_folder() {
    let lab = Lab::new();
    for context in ["absent/folder", "hello"] {
        let run = lab.shared().input("context", context).run().fails(2, "input");
        assert!(run.error().contains("input `context`") && run.error().contains(context), "{}", run.error());
        assert!(run.calls.is_empty() && lab.registry.asked().is_empty());
    }
}

/// F47: line breaks, commands, Markdown and HTML in every place that takes free text. Either
/// the input is refused by name, or nothing of it leaves its place.
#[test]
fn text_that_is_more_than_text() {
    let nasty = [
        "x\r::error::forged",
        "x%0A::error::forged",
        "::set-output name=digest::forged",
        "##[error]forged",
        "x | forged | y",
        "`forged`",
        "<script>forged</script>",
        "</details>",
        "x\"y'z",
        "forged<<EOF",
        "$(touch forged)",
    ];
    for text in nasty {
        let lab = Lab::new();
        lab.write("work/hello", "hello\n");
        let inputs = [
            ("target", text.to_owned()),
            ("labels", format!("l={text}")),
            ("annotations", format!("a={text}")),
            ("build-args", format!("A={text}")),
            ("key-extra", text.to_owned()),
            ("tags", format!("h.example/r:{text}")),
            ("file", text.to_owned()),
            ("image", text.to_owned()),
            ("repository", text.to_owned()),
            ("platforms", text.to_owned()),
            ("cache-from", text.to_owned()),
            ("builder", text.to_owned()),
        ];
        for (input, value) in inputs {
            let program = if input == "repository" { lab.build_once() } else { lab.shared() };
            let run = program.input(input, &value).run();
            // Both may have any name, and that there is none of it is the build's failure.
            let codes: &[i32] = if ["file", "target"].contains(&input) { &[2, 10] } else { &[0, 2] };
            assert!(codes.contains(&run.code), "{input}={value:?}: {}", run.all());
            let told = run.log.commands.iter().filter(|command| command.name == "error").count();
            assert_eq!(told, usize::from(run.code != 0), "{input}={value:?}: {}", run.stdout);
            let forged = bare_commands(&run.stdout).into_iter().filter(|command| command.message == "forged");
            assert_eq!(forged.count(), 0, "{input}={value:?}: {}", run.stdout);
            assert!(
                !run.summary.contains("<script>") && !run.summary.contains("</details> "),
                "{}",
                run.summary
            );
            assert!(!run.output("digest").contains("forged"));
            assert!(!lab.path("work/forged").exists(), "a shell has run");
            if run.code == 2 {
                assert!(run.error().contains(&format!("input `{input}`")), "{}", run.error());
            }
        }
    }
}

/// F47: a builder of such a name is not there.
#[test]
fn a_builder_with_a_name_that_is_more_than_text() {
    let lab = Lab::new();
    lab.rule("buildx inspect", serde_json::json!({"stderr": "ERROR: no builder found\n", "exit": 1}));
    for name in ["$(touch forged)", "<script>forged</script>", "::error::forged"] {
        let run = lab.shared().input("builder", name).run();
        let codes: &[i32] = &[2, 60];
        assert!(codes.contains(&run.code), "{name}: {}", run.all());
        assert!(!lab.path("work/forged").exists(), "a shell has run");
    }
}

/// A folder in place of a Dockerfile is named.
#[test]
fn a_dockerfile_that_is_the_working_folder() {
    let lab = Lab::new();
    for file in [".", "./"] {
        let run = lab.shared().input("file", file).run().fails(10, "build");
        assert!(run.error().contains(". is no regular file"), "{file}: {}", run.error());
    }
}

/// F56: lists as editors and YAML leave them.
#[test]
fn lists_with_odd_ends() {
    let lab = Lab::new();
    lab.write("work/.ci/args", "\u{feff}B=2\r\n\r\n  C=3  \r\n# no\r\n");
    let run =
        lab.shared().input("build-args", "\u{feff}\n  A=1\r\n\t\r\n").input("build-args-file", ".ci/args");
    assert_eq!(run.run().succeeds("built").build().values("--build-arg"), ["A=1", "B=2", "C=3"]);
    let run = lab.shared().input("image", " app \n").input("mode", " build\n").input("summary", "True");
    let _ = run.input("load", " ").run();
}
