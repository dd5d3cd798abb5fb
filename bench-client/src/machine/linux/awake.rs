//! The policy SCHED_IDLE (sched(7)), the scheduling group that it counts in, and limits on processor time that make
//! spinning a bad idea (cgroups(7)).

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    thread_schedule_policy,
};

const IDLE: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);

/// Makes the calling thread run only when nothing else wants its processor.
pub(in crate::machine) fn set_idle_policy() -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Debug| format!("the scheduler refuses SCHED_IDLE: {error:?}");
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, IDLE).map_err(|error| failed(&error))?;
    // Sandboxes have been seen to accept the call and do nothing.
    match thread_schedule_policy() {
        Ok(IDLE) => Ok(()),
        Ok(other) => Err(failed(&other)),
        Err(error) => Err(failed(&error)),
    }
}

/// The weight of the calling process's session among sessions, as a nice value (sched(7), "The autogroup feature").
const AUTOGROUP: &str = "/proc/self/autogroup";

/// The least weight of a session.
const NICEST: &str = "19";

/// The kernel takes one weight in 100 ms from all users together.
const WEIGHING: Duration = Duration::from_millis(100);

/// How often to try, when others weigh their sessions too.
const TRIES: u32 = 50;

/// Whether the kernel groups threads by session.
fn groups_by_session() -> bool {
    fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled").is_ok_and(|text| text.trim() == "1")
}

/// Whether [`leave_group`] will do, as far as can be told without doing it.
pub(in crate::machine) fn may_leave_group() -> Result<(), String> {
    if !groups_by_session() {
        return Ok(());
    }
    File::options().write(true).open(AUTOGROUP).map(drop).map_err(|error| unweighable(&error))
}

/// Begins a session of the least weight, so that what this process does is not charged to the session it came from.
pub(in crate::machine) fn leave_group() -> Result<(), String> {
    rustix::process::setsid().map_err(|error| format!("no session of its own: {error}"))?;
    if !groups_by_session() {
        return Ok(());
    }
    for _ in 1..TRIES {
        match fs::write(AUTOGROUP, NICEST) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(WEIGHING),
            weighed => return weighed.map_err(|error| unweighable(&error)),
        }
    }
    fs::write(AUTOGROUP, NICEST).map_err(|error| unweighable(&error))
}

fn unweighable(error: &std::io::Error) -> String {
    format!("{AUTOGROUP} cannot be written, so spinning would use up this session's share of processor time: {error}")
}

/// A limit on the processor time of this process's control group, which spinning would use up, in words.
pub(in crate::machine) fn cpu_quota() -> Option<String> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    quota_files(&groups).into_iter().find_map(|file| {
        let text = fs::read_to_string(&file).ok()?;
        has_quota(&text)
            .then(|| format!("{} limits processor time ({}), which spinning would use up", file.display(), text.trim()))
    })
}

/// Where a limit of the groups of `/proc/self/cgroup`, or of one above them, would stand.
fn quota_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        // `hierarchy:controllers:path`; version 2 has no controllers here.
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup".to_owned(), "cpu.max"),
            v1 if v1.split(',').any(|controller| controller == "cpu") => {
                (format!("/sys/fs/cgroup/{v1}"), "cpu.cfs_quota_us")
            }
            _ => continue,
        };
        files.extend(
            Path::new(path)
                .ancestors()
                .map(|group| Path::new(&root).join(group.strip_prefix("/").unwrap_or(group)).join(name)),
        );
    }
    files
}

/// `max 100000` and `-1` are no limit.
fn has_quota(text: &str) -> bool {
    text.split_ascii_whitespace().next().is_some_and(|quota| quota != "max" && !quota.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_both_versions_are_looked_for_up_to_the_root() {
        let of = |groups: &str| -> Vec<String> {
            quota_files(groups).iter().map(|path| path.display().to_string()).collect()
        };
        assert_eq!(
            of("0::/user.slice/a.scope\n"),
            [
                "/sys/fs/cgroup/user.slice/a.scope/cpu.max",
                "/sys/fs/cgroup/user.slice/cpu.max",
                "/sys/fs/cgroup/cpu.max"
            ]
        );
        assert_eq!(
            of("5:cpu,cpuacct:/docker\n3:cpuset:/docker\n"),
            ["/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us"]
        );
        assert!(of("nonsense\n").is_empty());
    }

    #[test]
    fn only_a_number_is_a_limit() {
        assert!(has_quota("150000 100000\n") && has_quota("150000\n"));
        assert!(!has_quota("max 100000\n") && !has_quota("-1\n") && !has_quota(""));
    }

    #[test]
    fn the_policy_is_had_or_refused_with_a_reason() {
        // In a thread of its own: the way back is not always permitted.
        let had = std::thread::spawn(|| (set_idle_policy(), fs::read_to_string("/proc/thread-self/stat")));
        let (set, stat) = had.join().expect("it does not panic");
        // Field 41 is the policy, 5 is SCHED_IDLE (proc_pid_stat(5)).
        let policy =
            stat.ok().and_then(|stat| Some(stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(38)?.to_owned()));
        match set {
            Ok(()) => assert_eq!(policy.as_deref(), Some("5")),
            Err(reason) => assert!(reason.contains("SCHED_IDLE"), "{reason}"),
        }
    }
}
