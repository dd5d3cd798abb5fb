use super::*;

fn mistakes(text: &str) -> Vec<String> {
    Table::of_user("t.toml", text).expect_err("mistakes").0
}

const GOOD: &str = r#"
    [[case]]
    id = "X-1"
    title = "none"
    method = ["jws"]
    needs = "valid"
    severity = "critical"
    source = "RFC 8725"
    try = [{ credential = ["header.alg=none", "signature=empty"] }]
"#;

#[test]
fn the_table_that_ships_has_every_case_once() {
    let table = Table::shipped();
    let cases: Vec<&str> = table.cases.iter().filter(|case| !case.control).map(|case| &*case.id).collect();
    let all: Vec<String> = (1..=162).map(|number| format!("BC-{number:03}")).collect();
    assert_eq!(cases, all);
    assert!(table.cases.iter().filter(|case| case.control).count() >= 10);
    assert_eq!(table.digest.len(), 64);
}

#[test]
fn cases_that_are_not_sent_say_why() {
    for case in Table::shipped().cases {
        assert_eq!(case.tries.is_empty(), case.unsent.is_some(), "{}", case.id);
    }
}

#[test]
fn mistakes_are_named_with_their_case() {
    assert_eq!(Table::of_user("t.toml", GOOD).expect("no mistakes").cases.len(), 1);
    for (from, to, expected) in [
        ("severity = \"critical\"", "", "X-1: severity is missing"),
        ("severity = \"critical\"", "severity = \"bad\"", "unknown variant"),
        ("needs = \"valid\"", "needs = \"valid\"\nneed = 1", "unknown field `need`"),
        ("signature=empty", "signature=mine", "a signature is"),
        ("signature=empty", "signature=issuer", "write needs = \"issuer\""),
        ("header.alg=none", "claims.exp=<then>", "<then> is no place"),
        ("[\"jws\"]", "[]", "method is empty"),
        ("try = [{ credential = [\"header.alg=none\", \"signature=empty\"] }]", "", "nothing is sent"),
        ("{ credential", "{ expect = { answer = \"accepted\" }, credential", "[[control]] expects"),
        ("[[case]]", "[[control]]", "a control has no severity"),
        ("X-1", "X 1", "an id is letters"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let found = mistakes(&GOOD.replacen(from, to, 1));
        assert!(found.iter().any(|mistake| mistake.contains(expected)), "{to}: {found:?}");
    }
    assert!(mistakes(&format!("{GOOD}{GOOD}"))[0].contains("the id is taken"));
    assert!(mistakes("")[0].contains("nothing would be sent"));
}
