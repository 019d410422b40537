//! Killed at any moment: the next run succeeds, and every tag names what it should.

use std::time::{Duration, Instant};

use crate::harness::{Moments, Repository, Workspace};

/// `BUILD_ONCE_KILLS` makes it longer.
#[test]
fn killed_at_any_moment() {
    let kills: u32 = std::env::var("BUILD_ONCE_KILLS").map_or(4, |text| text.parse().unwrap());
    let (work, repository) = (Workspace::new("kills"), Repository::ecr("kills"));
    let start = Instant::now();
    work.program().repository(&repository).run().is("built");
    let whole = start.elapsed();
    let (mut slowest, mut moments) = (Duration::ZERO, Moments::new());
    for kill in 1..=kills {
        work.write("content.txt", &format!("{} {kill}", work.image));
        work.commit("other content");
        let running = work.program().repository(&repository).start();
        let moment = moments.within(whole);
        println!("kill {kill} after {moment:?} of {whole:?}");
        std::thread::sleep(moment);
        running.kill_tree();
        drop(running);
        // It sees what the killed one got done, and finishes what it did not.
        let run = work.program().repository(&repository).run();
        assert_eq!(run.code, Some(0), "after kill {kill}: {}", run.log);
        let digest = repository.digest(&work.commit_tag());
        assert_eq!(run.output("digest"), digest, "after kill {kill}: {}", run.log);
        let key_tag = run.key_tag("", &work.image);
        match repository.image(&key_tag) {
            Some(image) => assert_eq!(image.digest, digest, "after kill {kill}: {}", run.log),
            // Killed between its push and its claim; a hit writes nothing.
            None => assert_eq!(run.output("outcome"), "reused-tag", "after kill {kill}: {}", run.log),
        }
        let image = repository.image(&digest).unwrap();
        assert_eq!(image.annotated_key(), Some(run.output("key")), "{}", image.manifest);
        work.program().repository(&repository).run().is("reused-tag").has(&digest);
        slowest = slowest.max(run.took);
    }
    println!("kills: {kills}, next run at most {:.1} s", slowest.as_secs_f64());
    let tags = repository.tags();
    let commits = tags.iter().filter(|tag| tag.starts_with("sha-")).count();
    assert_eq!(commits, usize::try_from(kills).unwrap() + 1, "{tags:?}");
}
