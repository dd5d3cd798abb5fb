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
fn each_scheme_has_a_challenge_of_its_own() {
    let judged = |scheme, expect: &Expect, came: &Came| {
        Judge { strict: true, scheme, convention: None }.judge(expect, came, &issued()).0
    };
    let dpop = |error: &str| answer(401, &format!("DPoP realm=\"r\", algs=\"ES256\", error=\"{error}\""));
    assert_eq!(judged(Scheme::Dpop, &expect(Answer::Invalid), &dpop("invalid_token")), Verdict::Held);
    assert_eq!(judged(Scheme::Dpop, &expect(Answer::Invalid), &dpop("invalid_dpop_proof")), Verdict::Otherwise);
    let proof = Expect { error: Some("invalid_dpop_proof".to_owned()), ..expect(Answer::Invalid) };
    assert_eq!(judged(Scheme::Dpop, &proof, &dpop("invalid_dpop_proof")), Verdict::Held);
    assert_eq!(judged(Scheme::Dpop, &expect(Answer::Invalid), &answer(401, INVALID)), Verdict::Otherwise);
    let signature = |challenge: &str, asked: bool| {
        let mut fields = vec![("www-authenticate".to_owned(), challenge.to_owned())];
        fields.extend(asked.then(|| ("accept-signature".to_owned(), "sig1=()".to_owned())));
        Came::Answer(Seen { status: 401, fields, body: Vec::new() })
    };
    let invalid = "Signature realm=\"r\", error=\"invalid_signature\"";
    assert_eq!(judged(Scheme::Signature, &expect(Answer::Invalid), &signature(invalid, true)), Verdict::Held);
    assert_eq!(judged(Scheme::Signature, &expect(Answer::Invalid), &signature(invalid, false)), Verdict::Otherwise);
    assert_eq!(judged(Scheme::Signature, &expect(Answer::Missing), &signature(invalid, true)), Verdict::Otherwise);
    let missing = signature("Signature realm=\"r\"", true);
    assert_eq!(judged(Scheme::Signature, &expect(Answer::Missing), &missing), Verdict::Held);
    let caller = answer(401, "ApiKey realm=\"r\", field=\"X-API-Key\"");
    assert_eq!(judged(Scheme::Bearer, &expect(Answer::Caller), &caller), Verdict::Held);
    assert_eq!(judged(Scheme::Bearer, &expect(Answer::Caller), &answer(401, MISSING)), Verdict::Otherwise);
}

#[test]
fn what_is_not_active_is_told_nothing_about() {
    let said = |body: &str| {
        let seen = Seen { status: 200, fields: Vec::new(), body: body.as_bytes().to_vec() };
        strict(&expect(Answer::Inactive), &Came::Answer(seen))
    };
    assert_eq!(said(r#"{"active":false}"#), Verdict::Held);
    assert_eq!(said(r#"{"active":true,"sub":"a"}"#), Verdict::LetIn);
    assert_eq!(said(r#"{"active":false,"sub":"a"}"#), Verdict::Otherwise);
    assert_eq!(said("no JSON"), Verdict::Otherwise);
    assert_eq!(strict(&expect(Answer::Inactive), &answer(401, "Basic x")), Verdict::Otherwise);
    assert_eq!(foreign(&expect(Answer::Inactive), &answer(401, "Basic x")), Verdict::Held);
}

#[test]
fn answers_to_be_accepted_may_lead_on_and_refusals_may_have_to_tell_more() {
    let to = |location: &str| {
        let fields = vec![("location".to_owned(), location.to_owned())];
        Came::Answer(Seen { status: 303, fields, body: Vec::new() })
    };
    let leads = |location: &str| {
        let location = Some(location.to_owned());
        Expect { status: vec![303], location, ..expect(Answer::Accepted) }
    };
    assert_eq!(strict(&leads("code="), &to("https://client.test/?code=1")), Verdict::Held);
    assert_eq!(strict(&leads("code="), &to("https://client.test/?error=1")), Verdict::ShutOut);
    let quota = Expect { status: vec![429], fields: vec!["retry-after".to_owned()], ..expect(Answer::Refused) };
    assert_eq!(strict(&quota, &answer(429, "")), Verdict::Otherwise);
    let fields = vec![("retry-after".to_owned(), "1".to_owned())];
    assert_eq!(strict(&quota, &Came::Answer(Seen { status: 429, fields, body: Vec::new() })), Verdict::Held);
}

#[test]
fn counters_that_grow_are_told() {
    let counters = Counters { store_lookups: 3, verify_calls: 1, ..Counters::default() };
    let at_most = BTreeMap::from([(Counter::StoreLookups, 0), (Counter::VerifyCalls, 1)]);
    assert_eq!(grown(&at_most, &counters).as_deref(), Some("store_lookups grew by 3, at most 0 is right"));
    assert_eq!(grown(&BTreeMap::new(), &counters), None);
}
