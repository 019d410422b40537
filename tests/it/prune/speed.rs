//! What a plan costs: 10,000 tags over 3,000 images, 500 closed pull requests, answers after 20 ms.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::{image, prune};
use crate::support::Lab;
use crate::support::ecr::Ecr;
use crate::support::github::GitHub;

/// Tags of an image, by its number: some of `main`, most of pull requests.
fn tags(number: usize) -> Vec<String> {
    let pull = number % 700 + 1;
    let mut tags = vec![
        format!("pr-{pull}-key-rf9d832d9-app-{number:032x}"),
        format!("pr-{pull}-sha-rf9d832d9-app-{number:040x}"),
        format!("pr-{pull}-sha-rf9d832d9-app-{:040x}", number + 1_000_000),
    ];
    if number.is_multiple_of(3) {
        tags.push(format!("sha-rf9d832d9-app-{number:040x}"));
    }
    tags
}

struct Cost {
    seconds: f64,
    mib: u64,
    registry: usize,
    github: usize,
}

/// Runs the plan once.
fn measure(program: crate::support::BuildOnce<'_>, requests: impl Fn() -> (usize, usize)) -> Cost {
    let start = Instant::now();
    let mut running = program.start();
    let mut peak = 0;
    while running.is_running() {
        peak = peak.max(running.peak_memory());
        std::thread::sleep(Duration::from_millis(5));
    }
    let run = running.finish();
    assert_eq!((run.code, run.output("outcome")), (0, "planned"), "{}", run.error_or_log());
    let (registry, github) = requests();
    Cost { seconds: start.elapsed().as_secs_f64(), mib: peak / 1024, registry, github }
}

fn github() -> GitHub {
    let github = GitHub::start();
    for number in 1..=500 {
        github.close(number, 5);
    }
    (501..=700).for_each(|number| github.open(number));
    github
}

/// The figures of `docs/prune.md`: `BUILD_ONCE_PRUNE_FIGURES=FILE cargo it prune::speed` writes its table.
#[test]
fn a_plan_over_ten_thousand_tags() {
    let figures = std::env::var_os("BUILD_ONCE_PRUNE_FIGURES");
    // How long a plan takes depends on how busy the machine is: only who asks for figures has them measured.
    let pace = if figures.is_some() { Duration::from_millis(20) } else { Duration::ZERO };
    let mut table = String::from(
        "| registry | run | seconds | peak memory | requests to the registry | to GitHub |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let mut row = |what: &str, cost: &Cost| {
        let Cost { seconds, mib, registry, github } = cost;
        assert!(*mib < 128, "{what}: {mib} MiB");
        assert!(figures.is_none() || *seconds < 60.0, "{what}: {seconds} s");
        writeln!(table, "| {what} | {seconds:.1} | {mib} MiB | {registry} | {github} |").unwrap();
    };

    let (lab, git) = (Lab::new(), github());
    for number in 0..3000 {
        let digest = lab.registry.store(&image(&number.to_string(), true));
        for tag in tags(number) {
            lab.registry.tag(&tag, &digest);
        }
    }
    assert_eq!(lab.registry.tags().len(), 10_000);
    lab.registry.page(1000);
    lab.registry.slow(pace);
    git.slow(pace);
    let folder = lab.path("manifests").display().to_string();
    let plan = || prune(&lab, &git).input("manifest-cache", &folder).input("max-delete", "100000");
    let asked = || (lab.registry.asked().len(), git.asked().len());
    let first = measure(plan(), asked);
    row("distribution specification | first", &first);
    lab.registry.forget_requests();
    git.forget_requests();
    let second = measure(plan(), asked);
    row("distribution specification | next day", &second);
    assert!(10 * (second.registry + second.github) <= first.registry + first.github, "{}", second.registry);
    git.check();

    let (lab, git, ecr) = (Lab::new(), github(), Ecr::start());
    for number in 0..3000 {
        let tags = tags(number);
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        ecr.put(&tags, &image(&number.to_string(), true), 10.0);
    }
    ecr.slow(pace);
    git.slow(pace);
    let plan = || ecr.serves(prune(&lab, &git)).input("max-delete", "100000");
    row("ECR | any", &measure(plan(), || (ecr.asked().len(), git.asked().len())));
    if let Some(file) = figures {
        std::fs::write(file, table).unwrap();
    }
}
