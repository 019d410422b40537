//! Looks at every process of the machine while something runs: who holds a secret, and where.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where a text was seen, by its label: `token: arguments of docker`, `token: VARIABLE of docker-buildx`.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(BTreeSet<String>, u64)>,
}

impl Watcher {
    /// Starts looking for these texts, each with its label.
    pub fn start(texts: &[(String, String)]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (texts, ended) = (texts.to_vec(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let (mut seen, mut looks) = (BTreeSet::new(), 0);
            while !ended.load(Ordering::Relaxed) {
                look(&texts, &mut seen);
                looks += 1;
                std::thread::sleep(Duration::from_millis(3));
            }
            (seen, looks)
        });
        Self { stop, thread }
    }

    /// What was seen; a panic if it hardly got to look.
    pub fn finish(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        let (seen, looks) = self.thread.join().unwrap();
        assert!(looks > 20, "only {looks} looks");
        seen
    }
}

fn look(texts: &[(String, String)], seen: &mut BTreeSet<String>) {
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| {
            String::from_utf8_lossy(&fs::read(process.path().join(name)).unwrap_or_default()).into_owned()
        };
        let arguments = read("cmdline");
        let Some(program) = arguments.split('\0').next().filter(|program| !program.is_empty()) else {
            continue;
        };
        let program = program.rsplit('/').next().unwrap().to_owned();
        let environment = read("environ");
        for (label, text) in texts {
            if arguments.split('\0').skip(1).any(|argument| argument.contains(text)) {
                seen.insert(format!("{label}: arguments of {program}"));
            }
            for variable in environment.split('\0').filter(|variable| variable.contains(text)) {
                let name = variable.split('=').next().unwrap_or_default();
                seen.insert(format!("{label}: {name} of {program}"));
            }
        }
    }
}
