//! What runs out: file descriptors, and local ports when every request opens a connection.

use super::{Finding, line_value, system_file};
use crate::machine::raise_open_files_limit;

/// Sockets of the client and of the server's processes for the scenarios that ship, with room.
const OPEN_FILES_WANTED: u64 = 4_096;

/// Local ports below which connection-per-request load at a few hundred per second exhausts them within TIME_WAIT's
/// minute.
const PORTS_WANTED: u32 = 20_000;

pub(super) fn look() -> Vec<Finding> {
    let limit = raise_open_files_limit().map_err(|error| error.to_string());
    let range = system_file("/proc/sys/net/ipv4/ip_local_port_range");
    let reuse = system_file("/proc/sys/net/ipv4/tcp_tw_reuse");
    let sockets = system_file("/proc/net/sockstat");
    vec![open_files(limit), ports(range.as_deref(), reuse.as_deref(), sockets.as_deref())]
}

fn open_files(limit: Result<u64, String>) -> Finding {
    const NAME: &str = "open files";
    match limit {
        Ok(limit) if limit >= OPEN_FILES_WANTED => {
            let found = if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() };
            Finding::ok(NAME, found).figure("limit", limit)
        }
        Ok(limit) => Finding::warning(
            NAME,
            limit.to_string(),
            format!(
                "raise the limit to {OPEN_FILES_WANTED} or more (`ulimit -Hn` as root, `LimitNOFILE=` for a service)"
            ),
        )
        .figure("limit", limit),
        Err(error) => Finding::warning(NAME, error, "see why the limit cannot be raised").figure("limit", None::<u64>),
    }
}

/// `range`: `first last`; `reuse`: 0 never, 1 always, 2 on loopback (ip-sysctl.rst of the kernel).
fn ports(range: Option<&str>, reuse: Option<&str>, sockets: Option<&str>) -> Finding {
    const NAME: &str = "local ports";
    let count = range.and_then(|text| {
        let mut ends = text.split_ascii_whitespace().map(str::parse::<u32>);
        let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
        Some(last.checked_sub(first)? + 1)
    });
    let reuse: Option<u32> = reuse.and_then(|text| text.parse().ok());
    let waiting: Option<u64> = sockets.and_then(|text| {
        let words: Vec<&str> = line_value(text, "TCP")?.split_ascii_whitespace().collect();
        words.windows(2).find(|pair| pair[0] == "tw")?[1].parse().ok()
    });
    let finding = match (count, reuse) {
        (None, _) => Finding::not_told(NAME),
        (Some(count), _) if count < PORTS_WANTED => Finding::warning(
            NAME,
            count.to_string(),
            "widen net.ipv4.ip_local_port_range: a connection per request uses them up within TIME_WAIT's minute",
        ),
        (Some(count), Some(0)) => Finding::warning(
            NAME,
            format!("{count}, none reused in TIME_WAIT"),
            "set net.ipv4.tcp_tw_reuse to 2 (loopback) before measuring with a connection per request",
        ),
        (Some(count), _) => Finding::ok(
            NAME,
            match waiting {
                Some(waiting) => format!("{count}, {waiting} in TIME_WAIT"),
                None => count.to_string(),
            },
        ),
    };
    finding.figure("ports", count).figure("tcp_tw_reuse", reuse).figure("time_wait", waiting)
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn few_open_files_are_a_warning() {
        assert_eq!(open_files(Ok(4_096)).grade, Grade::Ok);
        assert_eq!(open_files(Ok(u64::MAX)).found, "unlimited");
        let few = open_files(Ok(1_024));
        assert_eq!((few.grade, few.figures["limit"].as_u64()), (Grade::Warning, Some(1_024)));
        assert_eq!(open_files(Err("refused".to_owned())).grade, Grade::Warning);
    }

    #[test]
    fn ports_are_the_range_and_what_waits_in_it() {
        let sockets = "sockets: used 80\nTCP: inuse 5 orphan 0 tw 12 alloc 9 mem 1\nUDP: inuse 1 mem 0";
        let fine = ports(Some("32768\t60999"), Some("2"), Some(sockets));
        assert_eq!((fine.grade, fine.found.as_str()), (Grade::Ok, "28232, 12 in TIME_WAIT"));
        assert_eq!(ports(Some("60000\t60999"), Some("2"), None).grade, Grade::Warning);
        assert_eq!(ports(Some("32768\t60999"), Some("0"), None).grade, Grade::Warning);
        assert_eq!(ports(None, None, None).found, "not told by this system");
        assert!(ports(Some("9 1"), None, None).figures["ports"].is_null());
    }
}
