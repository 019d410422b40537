//! Attacks: a run of less trust tries to make a run of higher trust use, import or report something
//! of its making. Each is played twice on a shared registry: without the guard it aims at, where it
//! must work, so that the test is known to be an attack; and with it, where it must fail for the
//! reason that is stated.

mod content;
mod event;
mod local;
mod local_cache;
mod names;
mod release;
mod text;
mod written;

use crate::support::{BuildOnce, Lab, Run};

/// Another commit of the same content.
const LATER: &str = "7777777777777777777777777777777777777777";

/// One machine, one registry, and the guards that are off.
struct World {
    lab: Lab,
    without: Option<&'static str>,
}

/// How an attack went.
struct Played {
    /// Whether it reached what it was after.
    worked: bool,
    /// All that was said about it, by attacker and victim.
    told: String,
}

impl World {
    fn run(&self, program: BuildOnce<'_>) -> Run {
        self.lab.forget_calls();
        match self.without {
            Some(guards) => program.without(guards).run(),
            None => program.run(),
        }
    }

    fn run_unchecked(&self, program: BuildOnce<'_>) -> Run {
        let program = self.without.into_iter().fold(program, BuildOnce::without);
        program.start().finish_unchecked()
    }

    fn repository(&self) -> String {
        self.lab.registry.repository()
    }

    /// The key of what is checked out, as anybody can compute it.
    fn key(&self) -> String {
        let run = self.lab.build_once().args(&["key", "--json"]).run();
        let key: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        key["key"].as_str().unwrap().to_owned()
    }

    /// The tag under which trusted runs look for it.
    fn trusted_key_tag(&self) -> String {
        format!("{}:key-rf9d832d9-app-{}", self.repository(), &self.key()[..32])
    }

    /// The attacker builds and publishes what it can; then the victim runs, on another machine. It
    /// worked if the victim uses the attacker's image.
    fn poisons(&self, attacker: BuildOnce<'_>, victim: BuildOnce<'_>) -> Played {
        let attack = self.run(attacker);
        let evil = attack.output("digest").to_owned();
        self.lab.another_machine();
        self.uses(&evil, victim).after(&attack)
    }

    /// It worked if the victim uses this image.
    fn uses(&self, evil: &str, victim: BuildOnce<'_>) -> Played {
        let victim = self.run(victim);
        // What it built itself may well be of the same digest.
        let worked = !evil.is_empty()
            && victim.code == 0
            && victim.output("digest") == evil
            && victim.output("built") == "false";
        Played { worked, told: told(&victim) }
    }
}

impl Played {
    fn after(mut self, attack: &Run) -> Self {
        self.told = format!("attacker: {}\nvictim: {}", told(attack), self.told);
        self
    }
}

fn told(run: &Run) -> String {
    // The summary's own escapes are not part of what it says.
    let summary = run.summary.replace("&#95;", "_").replace("&#58;", ":").replace("&#96;", "`");
    format!("{}\n{summary}", run.all())
}

/// Plays an attack without and with the guards.
#[track_caller]
fn fails(guards: &'static str, why: &str, play: impl Fn(&World) -> Played) {
    let control = play(&World { lab: Lab::new(), without: Some(guards) });
    assert!(control.worked, "no attack even without {guards}\n{}", control.told);
    let played = play(&World { lab: Lab::new(), without: None });
    assert!(!played.worked, "it worked\n{}", played.told);
    assert!(played.told.contains(why), "not for the reason stated: {why}\n{}", played.told);
}
