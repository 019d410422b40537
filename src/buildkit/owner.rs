//! Writes and reads a builder's owner in the builder's name: the process that made it. A killed run cannot remove its
//! builder; a later run can tell from the name alone that the owner is dead.

use std::fmt;

/// The names of all builders that this program makes begin with this.
pub(crate) const PREFIX: &str = "build-once-";
/// The names of builders that the input `keep-builder` keeps for later runs begin with this. No owner follows, because they
/// outlive the process that made them.
pub(crate) const KEPT: &str = "build-once-kept-";

/// The process that made a builder.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Owner {
    /// The machine: 8 hex digits of a digest over its id and host name.
    pub machine: String,
    /// Its boot: 6 hex digits of a digest over the kernel's boot id.
    pub boot: String,
    /// The process namespace: 4 hex digits.
    pub namespace: String,
    pub pid: u32,
    /// The process's start, in clock ticks since the boot (proc(5), `starttime`), because process numbers are reused.
    pub started: u64,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, boot, namespace, pid, started } = self;
        write!(f, "{machine}{boot}{namespace}-{pid:x}-{started:x}")
    }
}

impl Owner {
    /// Reads the owner from a builder's name; `None` if this program did not make the name.
    #[must_use]
    pub fn of_builder(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.rsplitn(4, '-');
        let (started, pid, origin) = (parts.next()?, parts.next()?, parts.next()?);
        let hex = origin.len() == 18 && origin.bytes().all(|byte| byte.is_ascii_hexdigit());
        // The names of this program have one more part before the owner.
        parts.next().filter(|_| hex)?;
        Some(Self {
            machine: origin[..8].to_owned(),
            boot: origin[8..14].to_owned(),
            namespace: origin[14..].to_owned(),
            pid: u32::from_str_radix(pid, 16).ok()?,
            started: u64::from_str_radix(started, 16).ok()?,
        })
    }

    /// Tells whether this owner is dead for certain. `started` tells the start of the process with a number, if it runs.
    /// Owners on another machine or in another process namespace count as alive. Machines that share an engine, an id and a
    /// host name, as cloned ones do, count as one: there a living owner can be taken for dead.
    pub fn is_dead(&self, here: &Self, started: impl FnOnce(u32) -> Option<u64>) -> bool {
        if self.machine != here.machine {
            return false;
        }
        if self.boot != here.boot {
            // A machine has one boot at a time.
            return true;
        }
        self.namespace == here.namespace && started(self.pid) != Some(self.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            machine: "0123abcd".into(),
            boot: "aaaaaa".into(),
            namespace: "bbbb".into(),
            pid: 4242,
            started: 987_654,
        }
    }

    #[test]
    fn a_name_says_whose_it_is() {
        let name = format!("{PREFIX}77-1-image-0f0f0f0f-{}", owner());
        assert_eq!(name, "build-once-77-1-image-0f0f0f0f-0123abcdaaaaaabbbb-1092-f1206");
        assert_eq!(Owner::of_builder(&name), Some(owner()));
        for other in [
            "build-once-kept-0123456789abcdef",
            "build-once-",
            "warm",
            "build-once-0123abcdaaaaaabbbb-1092-f1206",
            "build-once-a-b-c-d",
            "build-once-x-0123abcdaaaaaabbbb-1092-no",
            "my-build-once-x-0123abcdaaaaaabbbb-1092-f1206",
        ] {
            assert_eq!(Owner::of_builder(other), None, "{other}");
        }
    }

    #[test]
    fn only_who_is_dead_for_certain_is_dead() {
        let here = Owner { pid: 1, started: 1, ..owner() };
        let change = |edit: fn(&mut Owner)| {
            let mut owner = owner();
            edit(&mut owner);
            owner
        };
        let rows: [(&str, Owner, Option<u64>, bool); 6] = [
            ("it runs", owner(), Some(987_654), false),
            ("it is gone", owner(), None, true),
            ("another process has its number now", owner(), Some(1_000_000), true),
            ("another machine", change(|owner| owner.machine = "ffffffff".into()), None, false),
            ("before the last boot", change(|owner| owner.boot = "cccccc".into()), Some(987_654), true),
            ("another process namespace", change(|owner| owner.namespace = "dddd".into()), None, false),
        ];
        for (what, owner, started, dead) in rows {
            assert_eq!(owner.is_dead(&here, |_| started), dead, "{what}");
        }
    }
}
