//! Whether replicas are configured alike.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bench_server::contract::ServerConfig;
use serde_json::Value;

use super::{Server, loopback};

/// Replicas that answer differently would be measured as if they were one server.
///
/// # Errors
/// Which replica says that it is configured otherwise than the first.
pub(super) async fn agree(replicas: &[Server]) -> Result<(), String> {
    let mut configurations = Vec::with_capacity(replicas.len());
    for replica in replicas {
        configurations.push(replica.control.config().await?);
    }
    disagreement(&configurations).map_or(Ok(()), Err)
}

/// The first difference between what replicas say of themselves, beside their addresses and folders.
fn disagreement(configurations: &[ServerConfig]) -> Option<String> {
    let comparable = |config: &ServerConfig| {
        let mut config = config.clone();
        (config.state_dir, config.shared_dir) = (PathBuf::new(), None);
        config.listeners.iter_mut().for_each(|listener| listener.bind = loopback());
        serde_json::to_value(config).expect("a configuration is plain data")
    };
    let mut all = configurations.iter().map(comparable);
    let first = all.next()?;
    all.zip(2..).find_map(|(other, number)| {
        let (place, first, other) = difference("", &first, &other)?;
        Some(format!(
            "replica {number} is configured otherwise than the first: {place} is {other} and not {first}; replicas must agree"
        ))
    })
}

/// Where two documents differ first, and what stands there.
fn difference(place: &str, one: &Value, other: &Value) -> Option<(String, String, String)> {
    let at = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            let of = |object: &serde_json::Map<String, Value>, key| object.get(key).cloned().unwrap_or(Value::Null);
            keys.into_iter().find_map(|key| difference(&at(key), &of(one, key), &of(other, key)))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).zip(0..).find_map(|((one, other), i)| difference(&at(&i.to_string()), one, other))
        }
        _ => (one != other).then(|| (place.to_owned(), one.to_string(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_that_disagree_are_told_apart() {
        let config = |ttl: &str, port: u16| -> ServerConfig {
            let text = format!(
                r#"{{"workers": 1, "state_dir": "/tmp/{port}", "listeners": [{{"name": "resource", "bind": "127.0.0.1:{port}",
                "transport": "plaintext", "http": ["1.1"], "profiles": [{{"name": "a", "path": "/", "scope": "read",
                "method": "api-key", "store": "memory", "cache": {{"ttl": "{ttl}"}}}}]}}]}}"#
            );
            serde_json::from_str(&text).expect("a configuration")
        };
        assert_eq!(disagreement(&[config("2s", 1), config("2s", 2), config("2s", 3)]), None);
        assert_eq!(disagreement(&[]), None);
        let said = disagreement(&[config("2s", 1), config("2s", 2), config("60s", 3)]).expect("the third differs");
        assert!(said.starts_with("replica 3 is configured otherwise"), "{said}");
        assert!(said.contains("listeners.0.profiles.0.cache.ttl is \"1m\" and not \"2s\""), "{said}");
    }
}
