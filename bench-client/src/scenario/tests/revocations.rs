//! Revocations, what they name, and how long credentials live beside them.

use std::time::Duration;

use super::*;
use crate::plan::RevokeBy;

#[test]
fn too_short_a_watch_is_advice() {
    let text = COMPARE.replace("watch = \"13s\"", "watch = \"5s\"");
    let warnings: Vec<String> = resolved(&text).warnings.iter().map(ToString::to_string).collect();
    assert!(!warnings.is_empty());
    assert!(warnings.iter().all(|warning| warning.contains("watch is 5s")), "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("\"jwt-es256\" may live for 12s")), "{warnings:?}");
    assert!(!warnings.iter().any(|warning| warning.contains("\"jwt-es256-denylist\"")), "{warnings:?}");
}

const RENEWED: &str = r#"
[[variant]]
name = "renewed"
method = "oauth2"
token = "jwt"
algorithm = "ES256"
lifetime = "4s"
revoke_by = "refresh"
[[measurement]]
kind = "revocation"
variants = ["renewed"]
trials = 1
probe_interval = "10ms"
phase = "2500ms"
watch = "1m"
"#;

/// [`SMALL`], whose load is for the others.
fn renewed(change: (&str, &str)) -> String {
    let others = "kind = \"latency\"\nvariants = [\"jwt\"]";
    format!("{}{}", SMALL.replace("kind = \"latency\"", others), RENEWED.replace(change.0, change.1))
}

#[test]
fn a_refresh_token_is_revoked_where_short_tokens_are_renewed_by_one() {
    let Resolved { plan, warnings, .. } = resolved(&renewed(("", "")));
    assert_eq!(warnings.len(), 0, "{warnings:?}");
    let variant = plan.variant("renewed").expect("given");
    assert!(variant.renews() && !plan.variant("jwt").expect("given").renews());
    assert_eq!(variant.revocation_interval(), Some(Duration::from_millis(2_500)));
    // The last token may be as good as new.
    assert_eq!(variant.longest_window(None), Duration::from_secs(34));
    let one = |change, says: &[&str]| {
        let found = problems(&renewed(change));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(says.iter().all(|text| found[0].contains(text)), "{says:?} are not in {:?}", found[0]);
    };
    one(("\"4s\"", "\"2s\""), &["lifetime is 2s", "1s 500ms before the end", "write \"3s\" at least"]);
    one(("\"refresh\"", "\"subject\""), &["revoke_by is \"subject\"", "\"token\", \"key\", \"refresh\""]);
    one(("watch =", "lifetime = \"10s\"\nwatch ="), &["lifetime is for tokens that are issued once", "remove it"]);
    one(("watch =", "bystanders = 2\nwatch ="), &["bystanders is 2", "write bystanders = 0"]);
    let opaque = ("token = \"jwt\"\nalgorithm = \"ES256\"", "token = \"opaque\"");
    one(opaque, &["revoke_by goes with method \"jwt\", and \"oauth2\" with token = \"jwt\""]);
    one(("token = \"jwt\"", "token = \"jtw\""), &["token is \"jtw\"", "did you mean \"jwt\"?"]);
    let other = "[[variant]]\nname = \"key\"\nmethod = \"api-key\"\nstore = { kind = \"memory\" }\n";
    one_problem(&format!("{other}revoke_by = \"refresh\""), &["revoke_by goes with", "not with method \"api-key\""]);
}

#[test]
fn what_renews_its_tokens_need_not_outlive_a_start_unless_it_is_under_load() {
    let alone = resolved(&renewed(("1m", "3m"))).warnings;
    assert_eq!(alone.len(), 0, "{alone:?}");
    let warned = resolved(&format!("{SMALL}{RENEWED}")).warnings;
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].message.contains("\"renewed\": lifetime is 4s, but a start takes"), "{warned:?}");
}

#[test]
fn renewals_are_met_at_every_phase_or_that_is_said() {
    let warned = resolved(&renewed(("2500ms", "1s"))).warnings;
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].message.contains("phase is 1s, but variant \"renewed\" looks every 2s 500ms"), "{warned:?}");
    let text = renewed(("", ""));
    let quick = try_resolve(&text, &Overrides { quick: true, ..Overrides::default() }).expect("fits").plan;
    assert_eq!(revocation(&quick, "revocation").phase, Duration::from_millis(2_500));
    assert_eq!(revocation(&quick, "revocation").watch, Duration::from_secs(35));
}

#[test]
fn tokens_that_expire_within_a_start_are_noticed() {
    let text = SMALL.replace("leeway = \"0s\"", "leeway = \"0s\"\nlifetime = \"1s\"");
    let warnings = resolved(&text).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].message.contains("lifetime is 1s"), "{warnings:?}");
}

#[test]
fn a_key_ends_every_token_so_one_is_revoked_at_a_time() {
    let with = |variant: &str, measurement: &str| {
        format!(
            "\n[[variant]]\nname = \"keyed\"\nmethod = \"oauth2\"\n{variant}\nrevoke_by = \"key\"\n[[measurement]]\nkind = \
             \"revocation\"\ntrials = 3\nprobe_interval = \"20ms\"\nphase = \"10m\"\nwatch = \"10m\"\n{measurement}"
        )
    };
    let jwt = "token = \"jwt\"\nalgorithm = \"ES256\"";
    let variant = |plan: &Plan| plan.variants.iter().find(|variant| variant.name == "keyed").expect("there").clone();
    let planned = plan(&format!("{SMALL}{}", with(jwt, "at_a_time = 1\nbystanders = 2")));
    assert_eq!(variant(&planned).revoke_by, RevokeBy::Key);
    assert_eq!(variant(&planned).longest_window(None), Duration::from_secs(300), "until the keys are fetched");
    let text = format!("{SMALL}{}", with(jwt, "at_a_time = 1\nbystanders = 2"));
    let quick = try_resolve(&text, &Overrides { quick: true, ..Overrides::default() }).expect("fits").plan;
    let quick = revocation(&quick, "revocation");
    assert_eq!((quick.at_a_time, quick.bystanders), (1, 0));
    one_problem(&with(jwt, ""), &["at_a_time is 3", "write at_a_time = 1"]);
    one_problem(&with("token = \"opaque\"", "at_a_time = 1"), &["revoke_by", "token = \"jwt\""]);
    let short = format!("{jwt}\nlifetime = \"10m\"");
    one_problem(
        &with(&short, "at_a_time = 1\nbystanders = 2"),
        &["variant \"keyed\" live for 10m, and it takes 10m 5s to see whom", "bystanders = 0"],
    );
}
