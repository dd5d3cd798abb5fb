use bench_server::contract::Material;

use super::*;
use crate::plan::Accepted;

fn issued() -> Issued {
    Issued { id: "1".to_owned(), principal: "app-1".to_owned(), material: Material::None }
}

fn answer(status: u16, challenge: &str) -> Came {
    let fields = vec![("www-authenticate".to_owned(), challenge.to_owned())];
    Came::Answer(Seen { status, fields, body: br#"{"principal":"app-1"}"#.to_vec() })
}

fn strict(expect: &Expect, came: &Came) -> Verdict {
    Judge { strict: true, scheme: Scheme::Bearer, convention: None }.judge(expect, came, &issued()).0
}

fn foreign(expect: &Expect, came: &Came) -> Verdict {
    let accepted = Accepted { status: vec![200], body_contains: None };
    let convention = Convention { header: None, accepted, rejected: vec![401] };
    Judge { strict: false, scheme: Scheme::Bearer, convention: Some(&convention) }.judge(expect, came, &issued()).0
}

fn expect(answer: Answer) -> Expect {
    Expect { answer, ..Expect::default() }
}

const INVALID: &str = r#"Bearer realm="r", error="invalid_token""#;
const MISSING: &str = r#"Bearer realm="r""#;

#[test]
fn the_reference_server_is_held_to_the_letter() {
    assert_eq!(strict(&expect(Answer::Invalid), &answer(401, INVALID)), Verdict::Held);
    for came in [answer(401, MISSING), answer(403, INVALID), answer(400, INVALID), answer(401, "Basic x"), Came::Closed]
    {
        assert_eq!(strict(&expect(Answer::Invalid), &came), Verdict::Otherwise, "{came:?}");
    }
    assert_eq!(strict(&expect(Answer::Missing), &answer(401, MISSING)), Verdict::Held);
    assert_eq!(strict(&expect(Answer::Missing), &answer(401, INVALID)), Verdict::Otherwise);
    let alert = Expect { answer: Answer::Alert, alert: vec![44], ..Expect::default() };
    assert_eq!(strict(&alert, &Came::Alert(44)), Verdict::Held);
    assert_eq!(strict(&alert, &Came::Alert(48)), Verdict::Otherwise);
    let problem = Expect { answer: Answer::Forbidden, problem: Some("wrong".to_owned()), ..Expect::default() };
    assert_eq!(strict(&problem, &answer(403, "")), Verdict::Otherwise);
}

#[test]
fn any_server_may_refuse_as_it_likes_but_not_let_in_or_fail() {
    for status in [400, 401, 403, 404, 413, 421, 429, 431, 495, 496] {
        assert_eq!(foreign(&expect(Answer::Invalid), &answer(status, "")), Verdict::Held, "{status}");
    }
    for came in [Came::Alert(42), Came::Closed] {
        assert_eq!(foreign(&expect(Answer::Invalid), &came), Verdict::Held);
    }
    assert_eq!(foreign(&expect(Answer::Invalid), &answer(200, "")), Verdict::LetIn);
    assert_eq!(foreign(&expect(Answer::Invalid), &answer(204, "")), Verdict::LetIn);
    for came in [answer(500, ""), answer(503, ""), Came::Silence, Came::Garbage] {
        assert_eq!(foreign(&expect(Answer::Invalid), &came), Verdict::Failed);
    }
    let redirect = |to: &str| {
        let fields = vec![("location".to_owned(), to.to_owned())];
        Came::Answer(Seen { status: 302, fields, body: Vec::new() })
    };
    assert_eq!(foreign(&expect(Answer::Invalid), &redirect("/login?next=/")), Verdict::Held);
    assert_eq!(foreign(&expect(Answer::Invalid), &redirect("/account")), Verdict::LetIn);
    assert_eq!(foreign(&expect(Answer::Either), &answer(200, "")), Verdict::Held);
}

#[test]
fn who_refuses_everything_shuts_out() {
    assert_eq!(strict(&expect(Answer::Accepted), &answer(401, INVALID)), Verdict::ShutOut);
    assert_eq!(strict(&expect(Answer::Accepted), &answer(200, "")), Verdict::Held);
    assert_eq!(foreign(&expect(Answer::Accepted), &Came::Closed), Verdict::ShutOut);
    let other = Came::Answer(Seen { status: 200, fields: Vec::new(), body: br#"{"principal":"app-2"}"#.to_vec() });
    assert_eq!(strict(&expect(Answer::Accepted), &other), Verdict::ShutOut, "for somebody else");
}

#[test]
fn counters_that_grow_are_told() {
    let counters = Counters { store_lookups: 3, verify_calls: 1, ..Counters::default() };
    let at_most = BTreeMap::from([(Counter::StoreLookups, 0), (Counter::VerifyCalls, 1)]);
    assert_eq!(grown(&at_most, &counters).as_deref(), Some("store_lookups grew by 3, at most 0 is right"));
    assert_eq!(grown(&BTreeMap::new(), &counters), None);
}
