//! What a run says of the machine that it had, and not of what it measured.

use bench_client::record::Record;

/// The first reason not to count a record that is not the machine's: a test on a busy one judges who was accepted, and no
/// times. A run whose trials are invalid for the machine ends with status 3.
pub(crate) fn fault(record: &Record) -> Option<&String> {
    let of_the_machine =
        |reason: &&String| reason.starts_with("the hypervisor") || reason.starts_with("requests went out late");
    record.invalid.iter().find(|reason| !of_the_machine(reason))
}
