//! D37: each channel of a secret, with a value that breaks naive masks, under the runner's own masking rules. Nothing
//! that a person or a later step can read holds the secret in any form that the runner knows, before the runner has
//! hidden anything; only the masks themselves do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::masker::{Masker, encoded};
use crate::support::{BuildOnce, Lab, Login, Response, Run};

/// The lines of one secret: quotes, what XML and URLs write otherwise, a backslash, more than ASCII.
const NASTY: [&str; 2] = ["d37-one'x\"y&<z>\\*_%41 é", "\"d37-two-quoted&+tail-of-it\""];
/// What a URL, a variable or a header can hold.
const PLAIN: &str = "d37-p*ss_w~rd.41";

/// How a channel gives its secret to a run.
type Give = for<'a> fn(&Lab, BuildOnce<'a>, &str) -> BuildOnce<'a>;

struct Channel {
    name: &'static str,
    secret: String,
    give: Give,
    /// The variables and arguments of docker that may hold it.
    may_hold: &'static [&'static str],
    /// Whether docker's private configuration does.
    config: bool,
}

fn channel(name: &'static str, secret: String, may_hold: &'static [&'static str], give: Give) -> Channel {
    Channel { name, secret, give, may_hold, config: false }
}

fn with_config(name: &'static str, give: Give) -> Channel {
    Channel { name, secret: PLAIN.to_owned(), give, may_hold: &[], config: true }
}

fn channels() -> Vec<Channel> {
    let nasty = || NASTY.join("\n");
    let plain = || PLAIN.to_owned();
    let mut all = vec![
        channel("secrets", nasty(), &["BUILD_ONCE_SECRET_0"], |_, program, secret| {
            program.input("secrets", &format!("\"one={}\"", secret.replace('"', "\"\"")))
        }),
        channel("secret-envs", nasty(), &["BUILD_ONCE_SECRET_0"], |_, program, secret| {
            program.input("secret-envs", "one=GIVEN").env("GIVEN", secret)
        }),
        channel("secret-files", nasty(), &[], |lab, program, secret| {
            lab.write("given", secret);
            program.input("secret-files", &format!("one={}", lab.path("given").display()))
        }),
        channel("github-token", plain(), &["BUILD_ONCE_SECRET_0"], |_, program, secret| {
            program.input("github-token", secret)
        }),
        channel("runtime", plain(), &[], |_, program, secret| program.env("ACTIONS_RUNTIME_TOKEN", secret)),
        channel("proxy", plain(), &["HTTPS_PROXY"], |_, program, secret| {
            program.env("HTTPS_PROXY", &format!("http://ann:{secret}@127.0.0.1:9"))
        }),
        channel("build-context", plain(), &["BUILD_ONCE_SECRET_0"], |lab, program, secret| {
            lab.write("work/Dockerfile", "FROM scratch\nCOPY hello /\n");
            program.input(
                "build-contexts",
                &format!("more=https://ann:{secret}@127.0.0.1:9/r.git#{}", "4".repeat(40)),
            )
        }),
        channel("build-arg", plain(), &["--build-arg"], |_, program, secret| {
            program.input("build-args", &format!("MIRROR=http://ann:{secret}@mirror.example/x"))
        }),
    ];
    all.push(with_config("logins", |lab, program, secret| {
        program.input("logins", &format!("{} ann GIVEN", lab.registry.address())).env("GIVEN", secret)
    }));
    all.push(with_config("docker-auths", |lab, program, secret| {
        let auth = STANDARD.encode(format!("ann:{secret}"));
        lab.docker_config(&json!({"auths": {lab.registry.address(): {"auth": auth}}}));
        lab.registry.require(Login::Basic("ann", PLAIN));
        program
    }));
    all.push(with_config("docker-proxies", |lab, program, secret| {
        let proxy = format!("http://ann:{secret}@127.0.0.1:9");
        lab.docker_config(&json!({"proxies": {"default": {"httpsProxy": proxy, "noProxy": "*"}}}));
        program
    }));
    all
}

/// The secret and each of its lines.
fn parts(secret: &str) -> Vec<&str> {
    [secret].into_iter().chain(secret.lines()).collect()
}

/// Every form of the secret that the runner would hide, of the whole and of each line. The last two are parts of a
/// secret, as `PowerShell` colours them.
fn written(secret: &str) -> Vec<String> {
    let of_part = |part: &&str| [vec![(*part).to_owned()], encoded(part)].concat().into_iter().take(10);
    parts(secret).iter().flat_map(of_part).collect()
}

/// Base64 of longer texts with the secret in them, as in `Authorization: Basic …`.
fn inside(secret: &str) -> Vec<String> {
    let texts = parts(secret)
        .into_iter()
        .flat_map(|part| ["", "x", "xy", "ann:"].map(|user| format!("{user}{part}")));
    texts.map(|text| STANDARD.encode(text)).collect()
}

/// What nothing may hold. Of base64 the first and the last group hold neighbours' bits too.
fn forms(secret: &str) -> Vec<String> {
    let middle = |text: String| text[4..text.len() - 4].to_owned();
    let mut forms = written(secret);
    forms.extend(inside(secret).into_iter().map(middle));
    forms.retain(|form| form.len() > 8);
    forms
}

/// A step's log, an error and a check that quote every form, as BuildKit sends them.
fn echo(secret: &str) -> String {
    let mut log = String::new();
    for text in written(secret)
        .into_iter()
        .chain(inside(secret))
        .flat_map(|form| [format!("it is {form} here\n"), format!("key={form}\n")])
    {
        log.push_str(&text);
    }
    let at = "2026-01-01T00:00:00Z";
    let step = json!({"digest": "sha256:aa", "name": "[2/2] RUN env", "started": at, "completed": at, "error": secret});
    let logs = json!({"vertex": "sha256:aa", "stream": 1, "data": STANDARD.encode(&log), "timestamp": at});
    let stream = json!({"vertexes": [step], "logs": [logs]});
    let last: Vec<String> = log.lines().map(|line| format!("ERROR: failed to solve: {line}\n")).collect();
    format!("{stream}\n{}", last.concat())
}

#[track_caller]
fn scan(lab: &Lab, run: &Run, channel: &Channel) {
    let name = channel.name;
    let masks = run.commands("add-mask");
    let shows = Masker::of(&masks);
    let forms = forms(&channel.secret);
    let leaks = |what: &str, text: &str| {
        for form in &forms {
            assert!(!text.contains(form.as_str()), "{name}: {form} in {what}: {text}");
        }
    };
    let printed = run.stdout.lines().chain(run.stderr.lines());
    let log: Vec<&str> = printed.filter(|line| !line.starts_with("::add-mask::")).collect();
    leaks("the log", &log.join("\n"));
    leaks("the summary", &run.summary);
    for (output, value) in &run.outputs {
        leaks(output, value);
        // The runner drops a job output that a mask fits.
        let crosses = ["digest", "tag", "commit-tag", "key", "zone", "outcome", "built", "pushed"];
        assert!(!crosses.contains(&output.as_str()) || shows.mask(value) == *value, "{name}: {output}");
    }
    for file in ["temp/env", "temp/state", "temp/path"] {
        assert!(std::fs::read(lab.path(file)).unwrap_or_default().is_empty(), "{file} is never written");
    }
    for file in lab.files("temp") {
        leaks(
            &file.display().to_string(),
            &String::from_utf8_lossy(&std::fs::read(&file).unwrap_or_default()),
        );
    }
    for call in &run.calls {
        for (at, argument) in call.args.iter().enumerate() {
            let flag = at.checked_sub(1).map_or("", |before| call.args[before].as_str());
            if !channel.may_hold.contains(&flag) {
                leaks(&format!("an argument of {}", call.args[0]), argument);
            }
        }
        for (variable, value) in call.env.as_object().unwrap() {
            if !channel.may_hold.contains(&variable.as_str()) {
                leaks(&format!("{variable} of {}", call.args.join(" ")), value.as_str().unwrap());
            }
        }
        if !channel.config {
            leaks("the private configuration", &call.config.to_string());
        }
        leaks("the source policy", &call.policy.to_string());
    }
    // What is masked by line is masked whole: with the masks the runner itself would hide what a later step prints.
    let said = channel.secret.lines().map(|line| format!("later: {line}"));
    for line in said.filter(|_| !masks.is_empty()) {
        assert_eq!(shows.mask(&line), "later: ***", "{name}: a later step's log");
    }
    assert!(!masks.is_empty(), "{name}: the runner is not told to hide it");
}

fn program<'a>(lab: &'a Lab, channel: &Channel) -> BuildOnce<'a> {
    let file = |name: &str| lab.path(name).display().to_string();
    let program = lab
        .shared()
        .env("GITHUB_ENV", &file("temp/env"))
        .env("GITHUB_STATE", &file("temp/state"))
        .env("GITHUB_PATH", &file("temp/path"))
        .env("RUNNER_DEBUG", "1");
    (channel.give)(lab, program, &channel.secret)
}

/// D37: built, found again, and a build that prints the secret in every form before it fails.
#[test]
fn d37_each_channel_under_the_runners_masks() {
    for channel in channels() {
        let lab = Lab::new();
        scan(&lab, &program(&lab, &channel).run().succeeds("built"), &channel);
        lab.forget_calls();
        scan(&lab, &program(&lab, &channel).run().succeeds("reused-tag"), &channel);
        lab.forget_calls();
        lab.write("work/hello", "changed");
        lab.rule("buildx build", json!({"stderr": echo(&channel.secret), "exit": 1}));
        let failed = program(&lab, &channel).commit(&"5".repeat(40)).run();
        assert_ne!(failed.code, 0, "{}", failed.all());
        assert!(failed.stdout.contains("it is *** here"), "{}", failed.all());
        scan(&lab, &failed, &channel);
    }
}

/// D37: a key and a plan are data: text and JSON hold no form of the secret.
#[test]
fn d37_what_is_printed_as_data_holds_no_secret() {
    for channel in channels() {
        let lab = Lab::new();
        for command in [&["key"][..], &["key", "--json"], &["plan"], &["plan", "--json"]] {
            let run = program(&lab, &channel).args(command).run();
            assert_eq!(run.code, 0, "{}", run.all());
            for form in forms(&channel.secret) {
                assert!(!run.stdout.contains(&form), "{}: {form} in {}", channel.name, run.stdout);
            }
        }
    }
}

/// D37: a registry that quotes what it was sent, the header and the token it gave.
#[test]
fn d37_a_registry_that_quotes_the_login() {
    let channel = channels().into_iter().find(|channel| channel.name == "logins").unwrap();
    for status in [400, 403, 500] {
        for login in [Login::Basic("ann", PLAIN), Login::Bearer("ann", PLAIN)] {
            let lab = Lab::new();
            lab.registry.require(login);
            let basic = STANDARD.encode(format!("ann:{PLAIN}"));
            let text = format!("bad header Authorization: Basic {basic} of ann:{PLAIN}");
            let body = json!({"errors": [{"code": "DENIED", "message": text}]}).to_string();
            lab.registry.fault("/manifests/", 99, Response::new(status, body.as_str()));
            let run = program(&lab, &channel).input("registry-policy", "required").run();
            assert_ne!(run.code, 0, "{}", run.all());
            scan(&lab, &run, &channel);
        }
    }
}
