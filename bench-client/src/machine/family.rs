//! Processes that this program did not start: found by number or by name, together with all that they start.

use super::platform;

/// The system shows no more of a program's name (proc_pid_comm(5)).
const NAME_MAX: usize = 15;

/// A process as the system lists it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// When it began, in a unit of the system's: tells it from a later process with the same number.
    pub(super) began: u64,
    pub(super) name: String,
}

/// A process and all that descend from it, like a web server with its workers.
#[derive(Debug, Clone)]
pub struct Family {
    root: u32,
    began: u64,
    members: Vec<u32>,
}

impl Family {
    /// The family of that process.
    ///
    /// # Errors
    /// Where it does not run, or the platform does not list processes.
    pub fn of_pid(pid: u32) -> Result<Self, String> {
        let all = list()?;
        let root = all.iter().find(|entry| entry.pid == pid).ok_or_else(|| format!("no process {pid} runs"))?;
        Ok(Self { root: pid, began: root.began, members: descendants(&all, pid) })
    }

    /// The family of the process with that program name: the one whose parent has another name.
    ///
    /// # Errors
    /// Where there is none or more than one, or the platform does not list processes.
    pub fn of_name(name: &str) -> Result<Self, String> {
        let all = list()?;
        match roots(&all, name).as_slice() {
            [root] => Ok(Self { root: root.pid, began: root.began, members: descendants(&all, root.pid) }),
            [] => Err(format!("no process named \"{name}\" runs")),
            several => {
                let pids: Vec<String> = several.iter().map(|entry| entry.pid.to_string()).collect();
                Err(format!("processes {} are all named \"{name}\"; write pid = {}", pids.join(", "), pids[0]))
            }
        }
    }

    /// The process identifiers of all of them, as they were at the last [`Family::refresh`].
    pub fn members(&self) -> &[u32] {
        &self.members
    }

    /// Looks who belongs to the family now: workers come and go, the root stays.
    ///
    /// # Errors
    /// When the root has ended.
    pub fn refresh(&mut self) -> Result<(), String> {
        let all = list()?;
        if !all.iter().any(|entry| entry.pid == self.root && entry.began == self.began) {
            return Err(format!("process {} has ended", self.root));
        }
        self.members = descendants(&all, self.root);
        Ok(())
    }
}

fn list() -> Result<Vec<Entry>, String> {
    platform::processes().map_err(|error| format!("the processes of this machine cannot be listed: {error}"))
}

fn roots<'a>(all: &'a [Entry], name: &str) -> Vec<&'a Entry> {
    let shown: String = name.chars().take(NAME_MAX).collect();
    let named = |entry: &&Entry| entry.name == shown;
    let of_other_name = |entry: &&Entry| !all.iter().filter(named).any(|parent| parent.pid == entry.parent);
    all.iter().filter(named).filter(of_other_name).collect()
}

/// The process itself and all that descend from it.
fn descendants(all: &[Entry], root: u32) -> Vec<u32> {
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        next += 1;
        let children = all.iter().filter(|entry| entry.parent == parent).map(|entry| entry.pid);
        // A list that is read while it changes may claim a circle.
        let new: Vec<u32> = children.filter(|pid| !family.contains(pid)).collect();
        family.extend(new);
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(of: &[(u32, u32, &str)]) -> Vec<Entry> {
        of.iter()
            .map(|(pid, parent, name)| Entry { pid: *pid, parent: *parent, began: 1, name: (*name).to_owned() })
            .collect()
    }

    #[test]
    fn workers_belong_to_the_process_that_started_them() {
        let all = entries(&[(1, 0, "init"), (10, 1, "nginx"), (11, 10, "nginx"), (12, 11, "helper"), (20, 1, "other")]);
        assert_eq!(roots(&all, "nginx").iter().map(|entry| entry.pid).collect::<Vec<_>>(), [10]);
        assert_eq!(descendants(&all, 10), [10, 11, 12]);
        assert_eq!(descendants(&all, 20), [20]);
    }

    #[test]
    fn a_name_is_compared_as_far_as_the_system_shows_it() {
        let all = entries(&[(10, 1, "a-very-long-nam"), (20, 1, "nginx"), (30, 1, "nginx")]);
        assert_eq!(roots(&all, "a-very-long-name").len(), 1);
        assert_eq!(roots(&all, "nginx").len(), 2, "two of one name are ambiguous");
        assert!(roots(&all, "ngin").is_empty());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_family_is_followed_until_its_root_ends() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .expect("every Linux has a shell");
        let mut family = Family::of_pid(child.id()).expect("it runs");
        assert!(family.members().contains(&child.id()));
        family.refresh().expect("it still runs");
        child.kill().expect("it still runs");
        child.wait().expect("it is this process's child");
        assert!(family.refresh().expect_err("it has ended").contains(&child.id().to_string()));
        assert!(Family::of_pid(child.id()).is_err());
        let error = Family::of_name("no-such-program").expect_err("nobody is called so");
        assert!(error.contains("no-such-program"), "{error}");
    }
}
