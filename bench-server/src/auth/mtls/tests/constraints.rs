//! What a CA does not let those below it do: be CAs at all (RFC 5280 §4.2.1.9), be so many, or have other names (§4.2.1.10).
//!
//! Nobody looks at a CRL here. No list speaks for a CA that a test makes, and that alone would refuse what it signed. Beside
//! each path that is refused stands one that differs in nothing else and is accepted.

use rcgen::{GeneralSubtree, NameConstraints};

use super::*;

/// `nameConstraints` (RFC 5280 §4.2.1.10).
const NAME_CONSTRAINTS: [u64; 4] = [2, 5, 29, 30];

/// DER tags of the subtrees in it.
const PERMITTED: u8 = 0xa0;
const EXCLUDED: u8 = 0xa1;

/// A CA that a test has made.
struct Ca {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn unlooked() -> Fixture {
    with(&MtlsConfig::short_lived(DAY))
}

impl Fixture {
    /// A CA that another has signed, with something special about it.
    fn ca_below(&self, above: &Issuer<'_, KeyPair>, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Ca {
        let key = KeyPair::generate().unwrap();
        let mut params = self.mtls.authority().leaf(name, DAY).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        change(&mut params);
        let certificate = params.signed_by(&key, above).unwrap().der().clone();
        Ca { certificate, issuer: Issuer::new(params, key) }
    }

    /// A leaf of the last of these, which are sent with it.
    fn leaf_below(&self, cas: &[&Ca], more: &[SanType]) -> Presents {
        let (last, key) = (cas.last().expect("a CA"), KeyPair::generate().unwrap());
        let mut params = self.mtls.authority().leaf("client", DAY).unwrap();
        params.subject_alt_names = [&[uri("spiffe://authbench.test/client/0")][..], more].concat();
        let leaf = params.signed_by(&key, &last.issuer).unwrap();
        let above = cas.iter().rev().map(|ca| ca.certificate.clone());
        presents(std::iter::once(leaf.der().clone()).chain(above).collect(), &key)
    }

    #[track_caller]
    fn assert_judged(&self, accepted: bool, client: impl Fn() -> Presents, what: &str) {
        for alert in self.alerts(client) {
            match alert {
                None => assert!(accepted, "{what}: accepted"),
                Some(alert) => assert!(!accepted && OUT_OF_ORDER.contains(&alert), "{what}: {alert:?}"),
            }
        }
    }
}

#[tokio::test]
async fn mt_6_bc_140_only_a_ca_is_one() {
    let fixture = unlooked();
    for (is_ca, accepted) in
        [(IsCa::Ca(BasicConstraints::Unconstrained), true), (IsCa::ExplicitNoCa, false), (IsCa::NoCa, false)]
    {
        let what = format!("{is_ca:?}");
        let middle = fixture.ca_below(&fixture.root(), "middle", |params| params.is_ca = is_ca);
        fixture.assert_judged(accepted, || fixture.leaf_below(&[&middle], &[]), &what);
    }
}

#[tokio::test]
async fn mt_6_no_more_cas_stand_below_one_than_it_says() {
    let fixture = unlooked();
    for (below, accepted) in [(1, true), (0, false)] {
        let constrained =
            |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
        let first = fixture.ca_below(&fixture.root(), "first", constrained);
        let second = fixture.ca_below(&first.issuer, "second", |_| ());
        fixture.assert_judged(accepted, || fixture.leaf_below(&[&first, &second], &[]), &format!("{below} below"));
        // A leaf is no CA, and never too many.
        fixture.assert_judged(true, || fixture.leaf_below(&[&first], &[]), &format!("{below} below, a leaf"));
    }
}

#[tokio::test]
async fn mt_6_bc_143_names_that_a_ca_may_not_certify_are_refused() {
    let fixture = unlooked();
    let inside = || vec![GeneralSubtree::DnsName("inside.test".to_owned())];
    let permits = || NameConstraints { permitted_subtrees: inside(), excluded_subtrees: Vec::new() };
    let forbids = || NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees: inside() };
    for (constraints, host, accepted) in [
        (permits(), "a.inside.test", true),
        (permits(), "outside.test", false),
        (forbids(), "outside.test", true),
        (forbids(), "a.inside.test", false),
    ] {
        let what = format!("{host} below {constraints:?}");
        let ca = fixture.ca_below(&fixture.root(), "middle", |params| params.name_constraints = Some(constraints));
        let host = || SanType::DnsName(host.try_into().unwrap());
        fixture.assert_judged(accepted, || fixture.leaf_below(&[&ca], &[host()]), &what);
        // They hold for every CA below as well.
        let lower = fixture.ca_below(&ca.issuer, "lower", |_| ());
        fixture.assert_judged(accepted, || fixture.leaf_below(&[&ca, &lower], &[host()]), &what);
    }
}

/// Constraints on URIs are not understood, and what is not understood is not passed over (RFC 5280 §4.2.1.10): whatever they say,
/// no identity stands below them.
#[tokio::test]
async fn mt_6_bc_143_nobody_stands_below_a_constraint_on_identities() {
    let fixture = unlooked();
    // The subtrees of a kind, with one URI of which the host counts.
    let constraint = |kind: u8, host: &str| {
        let der = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()][..], content].concat();
        der(0x30, &der(kind, &der(0x30, &der(0x86, host.as_bytes()))))
    };
    for (kind, host) in [(PERMITTED, "other.test"), (PERMITTED, "authbench.test"), (EXCLUDED, "authbench.test")] {
        let ca = fixture.ca_below(&fixture.root(), "middle", |params| {
            let mut extension = CustomExtension::from_oid_content(&NAME_CONSTRAINTS, constraint(kind, host));
            extension.set_criticality(true);
            params.custom_extensions = vec![extension];
        });
        fixture.assert_judged(false, || fixture.leaf_below(&[&ca], &[]), &format!("{kind:#x} {host}"));
    }
}
