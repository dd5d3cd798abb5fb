//! `beside`: other traffic on a variant's server.

use bench_server::contract::{MethodConfig, StoreConfig};

use super::reader::Section;
use super::value::{flag, number, one_of, whole};
use super::variant::{read_options, read_pool};
use crate::plan::{Beside, MethodWord, PoolPlan};

/// Methods whose server side is in one process.
const METHODS: &[(&str, MethodWord)] =
    &[("api-key", MethodWord::ApiKey), ("basic", MethodWord::Basic), ("jwt", MethodWord::Jwt)];

/// Fewer than a variant's own: passwords are slow to issue.
const DEFAULT_POOL: PoolPlan = PoolPlan { count: 16, zipf_exponent: 1.0 };

/// Enough that a queue forms at the server and not here.
const DEFAULT_CONNECTIONS: usize = 64;

pub(super) fn read(mut section: Section<'_>) -> Option<Beside> {
    let method = section.required("method", "\"basic\"", one_of(METHODS));
    let rate_per_s = section.required("rate_per_s", "20", number(0.0..=1e6));
    let connections = section.or("connections", DEFAULT_CONNECTIONS, whole(1..=10_000));
    let wrong = section.or("wrong", false, flag);
    let pool = read_pool(section.table("pool"), DEFAULT_POOL);
    let options = method.and_then(|method| read_options(&mut section, method));
    if let Some((method, _)) = &options {
        if method.store().and_then(StoreConfig::remote).is_some() {
            section.error(
                "store",
                "store is in a server of its own, which beside cannot have; keep it in memory or in SQLite",
            );
        }
        if wrong && !matches!(method, MethodConfig::Basic(_)) {
            section.error("wrong", "wrong is about passwords; leave it out, or write method = \"basic\"");
        }
        if wrong && matches!(method, MethodConfig::Basic(basic) if basic.session.is_some()) {
            section.error(
                "wrong",
                "wrong is about passwords, and a session's requests present none; leave one of them out",
            );
        }
    }
    section.finish();
    let (method, _) = options?;
    Some(Beside { method, pool, rate_per_s: rate_per_s?, connections, wrong })
}
