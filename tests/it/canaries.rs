//! One run with a secret in every channel, then a look everywhere: log, outputs, summary,
//! files, the arguments and the environment of every child. `support::result` looks for
//! [`CANARY`] after every run of every test; here each channel has a canary of its own, so
//! that what belongs somewhere is found there and nowhere else.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::json;

use crate::support::{Aws, CANARY, Call, Lab, Login, Run};

/// A canary's forms: plain, in base64 at each offset, in a URL, in JSON, in hex.
fn forms(canary: &str) -> Vec<String> {
    let at = |offset: usize| {
        let text = STANDARD.encode(format!("{}{canary}", "x".repeat(offset)));
        // The first and the last group hold neighbours' bits too.
        text[4..text.len() - 4].to_owned()
    };
    let each = |form: fn(u8) -> String| canary.bytes().map(form).collect::<Vec<_>>().concat();
    let hex = each(|byte| format!("{byte:02x}"));
    let url = each(|byte| format!("%{byte:02X}"));
    vec![canary.to_owned(), at(0), at(1), at(2), URL_SAFE.encode(canary), hex, url]
}

struct Channel {
    name: &'static str,
    value: String,
    /// Which variables of which command may hold it.
    variables: &'static [&'static str],
    /// Whether docker's private configuration holds it.
    config: bool,
    /// Whether the runner is told to hide it.
    masked: bool,
}

fn channel(name: &'static str, variables: &'static [&'static str], config: bool, masked: bool) -> Channel {
    Channel { name, value: format!("{CANARY}-{name}-7f3a91"), variables, config, masked }
}

fn channels() -> Vec<Channel> {
    vec![
        channel("by-value", &["BUILD_ONCE_SECRET_0"], false, true),
        channel("by-env", &["BUILD_ONCE_SECRET_1"], false, true),
        // D17
        channel("by-file", &[], false, true),
        channel("password", &[], true, true),
        channel("github", &[], false, false),
        channel("runtime", &[], false, true),
        channel("oidc", &[], false, false),
        channel("aws", &[], false, false),
        channel("proxy", &["HTTPS_PROXY"], false, true),
        channel("other", &[], false, false),
    ]
}

#[track_caller]
fn scan(lab: &Lab, run: &Run, channels: &[Channel]) {
    let masks: Vec<&str> = run.commands("add-mask").iter().map(|mask| mask.message.as_str()).collect();
    // Links lead to programs.
    let files = lab.files("temp").into_iter().chain(lab.files("home")).filter(|path| !path.is_symlink());
    let files: Vec<(String, String)> = files
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap_or_default()))
        .map(|(path, bytes)| (path, String::from_utf8_lossy(&bytes).into_owned()))
        .collect();
    for Channel { name, value, variables, config, masked } in channels {
        assert_eq!(masks.contains(&value.as_str()), *masked, "{name}: {masks:?}");
        for form in forms(value) {
            let said = run.stdout.lines().filter(|line| !line.starts_with("::add-mask::"));
            let told = run.outputs.values().map(String::as_str).chain([run.summary.as_str(), &run.stderr]);
            for text in said.chain(told) {
                assert!(!text.contains(&form), "{name}: {text}");
            }
            for (file, text) in &files {
                assert!(!text.contains(&form), "{name} in {file}");
            }
            for call in &run.calls {
                assert!(!call.line().contains(&form), "{name}: docker {}", call.line());
                for (variable, held) in call.env.as_object().unwrap() {
                    let belongs = variables.contains(&variable.as_str())
                        && (variable.ends_with("_PROXY") || call.line().starts_with("buildx build"));
                    assert!(
                        belongs || !held.as_str().unwrap().contains(&form),
                        "{name}: {variable} of {}",
                        call.line()
                    );
                }
                assert!(
                    *config || !call.config.to_string().contains(&form),
                    "{name}: configuration of {}",
                    call.line()
                );
            }
        }
    }
}

fn value<'a>(channels: &'a [Channel], name: &str) -> &'a str {
    &channels.iter().find(|channel| channel.name == name).unwrap().value
}

fn program<'a>(lab: &'a Lab, channels: &[Channel]) -> crate::support::BuildOnce<'a> {
    let get = |name| value(channels, name);
    lab.write("secret-file", get("by-file"));
    lab.shared()
        .input("secrets", &format!("one={}", get("by-value")))
        .input("secret-envs", "two=DOCKER_TOKEN")
        .env("DOCKER_TOKEN", get("by-env"))
        .input("secret-files", &format!("three={}", lab.path("secret-file").display()))
        .input("logins", &format!("{} ann DOCKER_PASSWORD", lab.registry.address()))
        .env("DOCKER_PASSWORD", get("password"))
        .env("GITHUB_TOKEN", get("github"))
        .env("ACTIONS_RUNTIME_TOKEN", get("runtime"))
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", get("oidc"))
        .env("AWS_SECRET_ACCESS_KEY", get("aws"))
        .env("HTTPS_PROXY", &format!("http://ann:{}@127.0.0.1:9", get("proxy")))
        .env("SOME_OTHER_SECRET", get("other"))
        .input("cache-write", "always")
        .input("provenance", "mode=max")
}

/// Built, found again, failed, and asked for a plan and a key: nobody sees a secret.
#[test]
fn every_channel_on_every_path() {
    let channels = channels();
    let lab = Lab::new();
    let password: &'static str = Box::leak(value(&channels, "password").to_owned().into_boxed_str());
    lab.registry.require(Login::Bearer("ann", password));
    let built = program(&lab, &channels).run().succeeds("built");
    scan(&lab, &built, &channels);
    let call = built.build();
    assert_eq!(call.env["BUILD_ONCE_SECRET_0"], value(&channels, "by-value"), "it is where it belongs");
    let auth = STANDARD.encode(format!("ann:{password}"));
    assert_eq!(call.config["auths"], json!({lab.registry.address(): {"auth": auth}}));

    lab.forget_calls();
    scan(&lab, &program(&lab, &channels).run().succeeds("reused-tag"), &channels);
    lab.forget_calls();
    scan(&lab, &program(&lab, &channels).commit(&"4".repeat(40)).run().succeeds("reused-key"), &channels);

    lab.rule("buildx build", json!({"stderr": "ERROR: failed to solve: 401 Unauthorized\n", "exit": 1}));
    for path in ["Dockerfile", "hello"] {
        lab.write(&format!("work/{path}"), "FROM scratch\nCOPY . /\n# changed\n");
        lab.forget_calls();
        scan(&lab, &program(&lab, &channels).run().fails(20, "access"), &channels);
    }
    for command in ["plan", "key"] {
        let run = program(&lab, &channels).args(&[command, "--json"]).run();
        assert_eq!(run.code, 0, "{}", run.all());
        for form in channels.iter().flat_map(|channel| forms(&channel.value)) {
            let printed = run.stdout.lines().chain(run.stderr.lines());
            assert!(
                !printed.filter(|line| !line.starts_with("::add-mask::")).any(|line| line.contains(&form)),
                "{command}: {form}"
            );
        }
    }
}

/// ECR's token, and a proxy that fails: its URL is in the chain of causes.
#[test]
fn a_token_and_a_proxy() {
    let mut channels = channels();
    let lab = Lab::new();
    let aws = Aws::start("");
    let program = program(&lab, &channels);
    channels.retain(|channel| !matches!(channel.name, "password" | "aws"));
    let program = program.input("logins", "").unset("DOCKER_PASSWORD");
    let program = program.input("repository", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ci");
    let run = aws.serves(program).run().succeeds("built-local").degraded();
    assert!(run.commands("add-mask").iter().any(|mask| mask.message == format!("{CANARY}-ecr")));
    scan(&lab, &run, &channels);
}

/// A build argument is no secret: it is in the image's history. Its place is the build's
/// command and the image; nothing that we write quotes it.
#[test]
fn a_build_argument() {
    let lab = Lab::new();
    let canary = "canary-of-an-argument-7f3a91";
    let run = lab.shared().input("build-args", &format!("NPM_TOKEN={canary}")).run().succeeds("built");
    assert!(run.build().values("--build-arg").contains(&&*format!("NPM_TOKEN={canary}")));
    let others: Vec<String> =
        run.calls.iter().filter(|call| !call.line().starts_with("buildx build")).map(Call::line).collect();
    for form in forms(canary) {
        let told = run.outputs.values().chain([&run.summary, &run.stdout, &run.stderr]).chain(&others);
        assert!(!told.into_iter().any(|text| text.contains(&form)), "{form}");
        for file in lab.files("temp") {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(!text.contains(&form), "{}", file.display());
        }
        let manifest = lab.registry.manifest(&format!("ci/{}", run.output("tag"))).unwrap().to_string();
        assert!(!manifest.contains(&form), "{manifest}");
    }
    assert!(run.stdout.contains("NPM_TOKEN"), "the log warns of its name: {}", run.stdout);
}
