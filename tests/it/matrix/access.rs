//! AWS, metadata, registries that are not there, logins: rows without an engine.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Aws, BuildOnce, CANARY, Lab, Login, Response, Server, refusal};

const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ci";

/// A run on an ECR repository, whose registry is a proxy that knows nobody.
fn ecr<'a>(lab: &'a Lab, aws: &Aws) -> BuildOnce<'a> {
    aws.serves(lab.build_once().input("repository", ECR)).env("HTTPS_PROXY", "http://127.0.0.1:9")
}

/// F09: retries do not turn a misspelt host into a long wait.
#[test]
fn a_host_that_does_not_exist() {
    let lab = Lab::new();
    let program = || lab.build_once().input("repository", "registry.invalid/ci").input("retries", "1");
    let start = Instant::now();
    let run = program().input("registry-policy", "required").run().fails(30, "unavailable");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert_eq!(run.output("failure-cause"), "dns");
    assert!(run.error().contains("registry.invalid") && run.error().contains("hint: "), "{}", run.error());
    let start = Instant::now();
    let run = program().run().succeeds("built-local").degraded();
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert!(run.commands("warning")[0].message.contains("registry.invalid"), "{}", run.stdout);
}

/// F58: no instance, no credentials: no wait, and who needs them says how to get them.
#[test]
fn nothing_of_aws_is_here() {
    let lab = Lab::new();
    let start = Instant::now();
    let run = lab.build_once().run().succeeds("built-local");
    assert!(run.notices().contains("no repository"), "{}", run.notices());
    lab.another_machine();
    let run = lab.build_once().input("repository", ECR).env("HTTPS_PROXY", "http://127.0.0.1:9").run();
    run.succeeds("built-local").degraded();
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

/// F59: packets vanish, as in a container with a hop limit of 1.
#[test]
fn instance_metadata_that_never_answers() {
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", hole.local_addr().unwrap());
    // A whole run within the bound; a machine that is busy with other tests is given three goes.
    let within = (0..3).any(|_| {
        let lab = Lab::new();
        let start = Instant::now();
        let program = lab.build_once().env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &address);
        let run = program.run().succeeds("built-local");
        let took = start.elapsed();
        let said = "instance metadata does not answer (not EC2, or a container behind hop limit 1)";
        assert!(run.notices().contains(said), "{}", run.notices());
        took < Duration::from_secs(3)
    });
    assert!(within, "three runs took three seconds each");
}

/// F60: 401, 403, or a region that is none.
#[test]
fn instance_metadata_that_refuses_or_lies() {
    for status in [401, 403, 404, 500] {
        let lab = Lab::new();
        let aws = Aws::start("unused/x");
        aws.metadata(Response::new(status, ""), Response::new(200, ""));
        let run = aws.serves(lab.build_once()).run().succeeds("built-local");
        assert!(run.notices().contains("no repository"), "{status}: {}", run.notices());
    }
    let lab = Lab::new();
    let aws = Aws::start(&lab.registry.repository());
    let junk = Response::new(200, "<html>\r\nnot a region</html>");
    aws.metadata(Response::new(200, "session").header("x-aws-ec2-metadata-token-ttl-seconds", "21600"), junk);
    let run = aws.serves(lab.build_once()).run();
    assert_eq!(run.code, 0, "{}", run.all());
}

/// F64 and F67: refusals of which each has its own remedy.
#[test]
fn credentials_that_aws_refuses() {
    let rows = [
        ("ExpiredTokenException", "renew the AWS credentials"),
        ("ExpiredToken", "renew the AWS credentials"),
        ("RequestExpired", "the clock of this machine"),
        ("UnrecognizedClientException", "renew the AWS credentials"),
        ("InvalidSignatureException", "the clock of this machine"),
        ("SignatureDoesNotMatch", "the clock of this machine"),
        ("AccessDeniedException", "allow ecr:GetAuthorizationToken"),
    ];
    for (code, hint) in rows {
        let lab = Lab::new();
        let aws = Aws::start("");
        aws.refuse_token(code);
        let run = ecr(&lab, &aws).input("registry-policy", "required").run().fails(20, "access");
        assert!(run.error().contains(code) && run.error().contains(hint), "{code}: {}", run.error());
        let tokens = aws.asked().iter().filter(|asked| asked.starts_with("GetAuthorizationToken")).count();
        assert_eq!(tokens, 1, "{code}: a refusal is not asked again");
        assert!(run.called("buildx").is_empty(), "nothing is built: {:?}", run.lines());
    }
}

/// F66: AWS is busy, four times by throttling, or twice by an error of its own.
#[test]
fn aws_that_is_busy() {
    let rows =
        [(refusal("ThrottlingException"), 4), (Response::new(500, "{}"), 2), (Response::new(503, "{}"), 2)];
    for (busy, times) in rows {
        let lab = Lab::new();
        let aws = Aws::start(&lab.registry.repository());
        aws.first(vec![busy; times]);
        let start = Instant::now();
        let run = aws.serves(lab.build_once()).run().succeeds("built");
        assert_eq!(run.output("pushed"), "true");
        let asked = aws.asked().iter().filter(|asked| asked.starts_with("GetParameter")).count();
        assert_eq!(asked, times + 1, "{:?}", aws.asked());
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

/// F68: bytes that shells, URLs and configuration files take for something else.
#[test]
fn a_password_with_odd_bytes() {
    for password in ["a:b\"c\\d$e'f`g h#i%j&k=l", "ünï/cödé+==", "-leading", "tab\there", "{\"json\":1}"]
    {
        let password: &'static str = Box::leak(format!("{CANARY} {password}").into_boxed_str());
        for login in [Login::Basic("ann", password), Login::Bearer("ann", password)] {
            let lab = Lab::new();
            lab.registry.require(login);
            let logins = format!("{} ann PASSWORD", lab.registry.address());
            let run = lab.shared().input("logins", &logins).env("PASSWORD", password).run().succeeds("built");
            assert_eq!(run.commands("add-mask")[0].message, password);
        }
    }
}

/// F69: the user's own configuration is broken: read as none, and left as it is.
#[test]
fn a_docker_configuration_that_is_broken() {
    for text in ["", "{", "not json", "[]", "{\"auths\": 1, \"credHelpers\": []}", "\u{feff}{}"] {
        let lab = Lab::new();
        lab.write("home/.docker/config.json", text);
        let _ = lab.shared().run().succeeds("built");
        let _ = lab.shared().run().succeeds("reused-tag");
    }
    let lab = Lab::new();
    lab.docker_config(&json!({"credsStore": "absent", "credHelpers": {lab.registry.address(): "absent"}}));
    let _ = lab.shared().run().succeeds("built");
}

/// F11 and F57 with a page instead of a registry: nothing of it is taken for an answer.
#[test]
fn a_page_instead_of_a_registry() {
    let page = Server::start(|_| {
        Response::new(200, "<html>::error::forged</html>").header("content-type", "text/html")
    });
    let lab = Lab::new();
    let program = || lab.build_once().input("repository", &format!("{}/ci", page.address));
    let _ = program().run().succeeds("built-local").degraded();
    lab.another_machine();
    let run = program().input("registry-policy", "required").run();
    assert_eq!((run.code, run.output("failure-class")), (30, "unavailable"), "{}", run.all());
    assert!(run.called("buildx build").is_empty());
}

/// F57: what may cross jobs names no host, so a mask on it empties none of it.
#[test]
fn what_crosses_jobs_names_no_host() {
    let lab = Lab::new();
    let run = lab.shared().run().succeeds("built");
    for name in ["digest", "tag", "key", "outcome", "zone"] {
        let value = run.output(name);
        assert!(!value.is_empty() && !value.contains(lab.registry.address()), "{name}: {value}");
    }
    assert!(run.output("image").contains(lab.registry.address()));
}
