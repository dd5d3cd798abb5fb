//! Rollovers and outages.

use std::time::Duration;

use super::*;
use crate::plan::{Event, Fault, MeasurementKind};

/// An outage and a rollover, with more lines.
fn events(outage: &str, rollover: &str) -> String {
    format!(
        r#"
[[measurement]]
kind = "outage"
callers = 20
interval = "100ms"
before = "1s"
after = "2s"
lasts = "3s"
{outage}
[[measurement]]
kind = "rollover"
callers = 20
interval = "100ms"
before = "1s"
after = "2s"
adoption = "4s"
{rollover}
"#
    )
}

#[test]
fn an_event_says_what_happens_and_for_how_long() {
    let text = events("fault = { flapping = \"1s\" }\nrevoked = 5", "of = \"key\"\nlead = \"1s\"\noverlap = \"0s\"");
    let plan = plan(&format!("{SMALL}{text}"));
    let outage = Event::of(&plan.measurements[1].kind).expect("an outage");
    assert_eq!(outage.length(), Duration::from_secs(1 + 3 + 2));
    let MeasurementKind::Outage(settings) = &plan.measurements[1].kind else { panic!() };
    assert_eq!((settings.fault, settings.revoked), (Fault::Flapping(Duration::from_secs(1)), 5));
    assert_eq!(settings.calls.bin, Duration::from_millis(200), "as documented");
    let rollover = Event::of(&plan.measurements[2].kind).expect("a rollover");
    assert_eq!(rollover.length(), Duration::from_secs(1 + 1 + 4 + 2));
    let expected = plan.expected_start().events;
    assert!(expected >= outage.length() + rollover.length(), "{expected:?}");
}

#[test]
fn mistakes_in_events_are_located() {
    const FINE: (&str, &str) = ("fault = \"down\"", "of = \"credential\"\noverlap = \"1s\"");
    let wrong = |outage: &str, rollover: &str, says: &[&str]| one_problem(&events(outage, rollover), says);
    wrong("fault = \"dwn\"", FINE.1, &["fault is \"dwn\"", "{ slow = \"100ms\" }"]);
    wrong("fault = {}", FINE.1, &["fault: write one of"]);
    wrong("fault = { slow = \"1s\", flapping = \"1s\" }", FINE.1, &["fault: write one of"]);
    wrong("fault = { flapping = \"2s\" }", FINE.1, &["a turn of 2s does not come back within 3s"]);
    wrong("fault = \"down\"\nrevoked = 20", FINE.1, &["revoked is 20 of 20 callers"]);
    wrong("fault = \"down\"\nlead = \"1s\"", FINE.1, &["lead"]);
    wrong(FINE.0, "of = \"password\"\noverlap = \"1s\"", &["of is \"password\"", "\"credential\", \"key\""]);
    wrong(FINE.0, "of = \"credential\"\noverlap = \"1s\"\nlead = \"1s\"", &["lead is for keys"]);
    wrong(FINE.0, "of = \"credential\"", &["overlap is missing"]);
    let mine = r#"
[[variant]]
name = "mine"
method = "api-key"
store = { kind = "redis", url = "redis://db.test" }
[[variant]]
name = "short"
method = "jwt"
algorithm = "ES256"
lifetime = "4s"
"#;
    let found = problems(&format!("{SMALL}{mine}{}", events(FINE.0, FINE.1)));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("the store of variant \"mine\" is a server of yours"), "{}", found[0]);
    assert!(found[1].contains("variant \"short\" end before all callers have changed over"), "{}", found[1]);
}

/// What would be revoked beside it, or timed through the forwarder.
#[test]
fn an_event_is_about_single_credentials_and_its_store_is_timed_elsewhere() {
    let variant = |revoke_by: &str| {
        format!(
            "[[variant]]\nname = \"keyed\"\nmethod = \"oauth2\"\ntoken = \"jwt\"\nalgorithm = \"ES256\"\nrevoke_by = \
             \"{revoke_by}\"\n"
        )
    };
    let key = events("fault = \"down\"\nrevoked = 1", "of = \"credential\"\noverlap = \"1s\"");
    let found = problems(&format!("{SMALL}{}{key}", variant("key")));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().all(|found| found.contains("\"keyed\" revokes by ends more than one")), "{found:#?}");
    let fine = events("fault = \"down\"\nrevoked = 0", "of = \"key\"\noverlap = \"1s\"");
    let warnings = resolved(&format!("{SMALL}{}{fine}", variant("key"))).warnings;
    let forwarded = warnings.iter().filter(|warning| warning.to_string().contains("reached through a forwarder"));
    assert_eq!(forwarded.count(), 1, "{warnings:#?}");
    let subject = "[[variant]]\nname = \"s\"\nmethod = \"jwt\"\nalgorithm = \"ES256\"\nrevoke_by = \"subject\"\ndenylist = \
                   { store = { kind = \"redis\" }, push = \"pubsub\" }\n";
    let found = problems(&format!("{SMALL}{subject}{key}"));
    assert_eq!(found.len(), 1, "{found:#?}");
}
