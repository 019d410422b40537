//! Reads facts of this machine and its processes from `/proc`: which process owns a builder, whether it still lives, and
//! how often the kernel ended a process for want of memory.

use crate::buildkit::owner::Owner;
use crate::image::Digest;

/// This process as the owner of builders; `None` if the system does not tell processes apart (another kernel, or one that
/// hides other users' processes).
#[must_use]
pub fn this_process() -> Option<Owner> {
    let text = |path: &str| fs_err::read_to_string(path).ok().map(|text| text.trim().to_owned());
    // Most containers have no such file; there the host name tells containers apart.
    let machine = text("/etc/machine-id").unwrap_or_default();
    let host = text("/proc/sys/kernel/hostname")?;
    let boot = text("/proc/sys/kernel/random/boot_id").filter(|boot| !boot.is_empty())?;
    let namespace = fs_err::read_link("/proc/self/ns/pid").ok()?;
    // If not even process 1 is seen, the system hides others' processes (proc(5), `hidepid`), and all would seem dead.
    started(1)?;
    let pid = std::process::id();
    Some(Owner {
        machine: short(&format!("{machine} {host}"), 8),
        boot: short(&boot, 6),
        namespace: short(&namespace.to_string_lossy(), 4),
        pid,
        started: started(pid)?,
    })
}

/// This machine's name, as `hostname` tells it.
#[must_use]
pub(crate) fn name() -> Option<String> {
    let name = fs_err::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Bytes of all files in a folder, links not followed; `None` if they are more than `most`.
pub(crate) fn size_of(folder: &std::path::Path, most: usize) -> Option<u64> {
    let (mut bytes, mut seen) = (0_u64, 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > most {
                return None;
            }
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) => bytes = bytes.saturating_add(found.len()),
                Err(_) => {}
            }
        }
    }
    Some(bytes)
}

/// The start of the process with this number, in clock ticks since the machine's start; `None` if there is no such
/// process.
#[must_use]
pub(crate) fn started(pid: u32) -> Option<u64> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `PID (NAME) STATE …`; the name may have parentheses too.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // A zombie is dead, and its parent has not noticed.
    fields.next().filter(|state| *state != "Z")?;
    // Field 22, `starttime`; the state was field 3.
    fields.nth(18)?.parse().ok()
}

/// The number of processes that the kernel has killed for want of memory since its start; `None` if it does not tell.
#[must_use]
pub(crate) fn memory_kills() -> Option<u64> {
    oom_kill(&fs_err::read_to_string("/proc/vmstat").ok()?)
}

fn oom_kill(vmstat: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill "))?.parse().ok()
}

/// The first digits of a hash, for the builder's name, which has little room.
fn short(text: &str, digits: usize) -> String {
    Digest::of(text.as_bytes()).as_str()["sha256:".len()..][..digits].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_counts_the_processes_that_it_kills_for_memory() {
        assert_eq!(oom_kill("pgpgin 1\noom_kill_disable 0\noom_kill 7\nx 1\n"), Some(7));
        assert_eq!(oom_kill("pgpgin 1\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_alive_and_its_number_alone_is_not_enough() {
        let here = this_process().unwrap();
        assert!(!here.is_dead(&here, started));
        assert!(Owner { started: here.started + 1, ..here.clone() }.is_dead(&here, started));
        assert_eq!(Owner::of_builder(&format!("build-once-x-{here}")), Some(here));
    }
}
