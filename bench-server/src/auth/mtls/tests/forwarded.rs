//! Certificates in fields of requests: believed of nobody but a configured proxy (RFC 9440).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// The first certificate that a fixture issues.
const PROXY: &str = "spiffe://authbench.test/client/0";

fn behind_a_proxy() -> Fixture {
    with(&MtlsConfig { proxies: vec![PROXY.to_owned()], ..config() })
}

fn field(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

impl Fixture {
    fn call_with(&self, connection: &Connection, fields: &[(&str, &str)]) -> Result<Principal, Rejection> {
        let mut builder = http::Request::builder();
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        let (head, ()) = builder.body(()).unwrap().into_parts();
        let request = Request { head: &head, connection, now: self.clock.now() };
        self.mtls.authenticate(&request).now_or_never().expect("from memory, without waiting")
    }
}

#[tokio::test]
async fn mt_32_bc_152_what_a_client_says_of_its_certificate_is_ignored_and_counted() {
    let fixture = fixture();
    let pair = fixture.issue(2).await;
    let open = fixture.handshake(&rustls::version::TLS13, issued(&pair[0])).unwrap();
    let other = field(&issued(&pair[1]).0.unwrap().cert[0]);
    let nobody = Connection::new(SocketAddr::from(([127, 0, 0, 1], 1)), None);
    let claims = [
        ("Client-Cert", other.as_str()),
        ("X-Forwarded-Client-Cert", "URI=spiffe://authbench.test/client/1"),
        ("X-SSL-Client-Cert", other.as_str()),
        ("X-Client-Verify", "SUCCESS"),
        ("ssl-client-subject-dn", "CN=client"),
    ];
    for (place, claim) in claims.iter().enumerate() {
        assert_eq!(*fixture.call_with(&open, &[*claim]).unwrap().id, *pair[0].principal, "{}", claim.0);
        assert_eq!(fixture.call_with(&nobody, &[*claim]), Err(Rejection::Missing), "{}", claim.0);
        let counted = fixture.environment.meter.certificate_fields_ignored.get();
        assert_eq!(counted, 2 * (place as u64 + 1), "{}", claim.0);
    }
    assert!(fixture.call_with(&open, &[("accept", "*/*")]).is_ok());
    assert_eq!(fixture.environment.meter.certificate_fields_ignored.get(), 2 * claims.len() as u64);
}

#[tokio::test]
async fn mt_33_a_proxy_passes_on_a_certificate_which_is_verified_again() {
    let fixture = behind_a_proxy();
    let all = fixture.issue(3).await;
    let proxy = fixture.handshake(&rustls::version::TLS13, issued(&all[0])).unwrap();
    let certificates = |one: &Issued| issued(one).0.unwrap().cert.clone();
    let fields = |one: &Issued| (field(&certificates(one)[0]), field(&certificates(one)[1]));
    let (leaf, above) = fields(&all[1]);
    let passed =
        |leaf: &str, above: &str| fixture.call_with(&proxy, &[("client-cert", leaf), ("client-cert-chain", above)]);
    let principal = passed(&leaf, &above).unwrap();
    assert_eq!((&*principal.id, &*principal.credential_id), (&*all[1].principal, &*all[1].id));

    let bad = Rejection::Forbidden("client-certificate-invalid");
    // A chain that does not hold, and a certificate that was taken back.
    assert_eq!(fixture.call_with(&proxy, &[("client-cert", &leaf)]), Err(bad.clone()));
    fixture.mtls.revoke(&all[1].id).await.unwrap();
    assert_eq!(passed(&leaf, &above), Err(bad));
    let (third, _) = fields(&all[2]);
    assert!(passed(&third, &above).is_ok());

    // Repeated or malformed.
    let ambiguous = |verdict| assert!(matches!(verdict, Err(Rejection::Ambiguous(_))), "{verdict:?}");
    ambiguous(fixture.call_with(&proxy, &[("client-cert", &third), ("client-cert", &third)]));
    ambiguous(fixture.call_with(&proxy, &[("client-cert-chain", &above)]));
    for bad in ["", "x", "::", ":!:", "AAAA", ":AAAA", ":AAAA:", &format!("{third};a=1"), &format!("{third}, {third}")]
    {
        ambiguous(fixture.call_with(&proxy, &[("client-cert", bad)]));
    }
    let many = vec![above.as_str(); 20].join(", ");
    ambiguous(passed(&third, &many));

    // And not from anybody else.
    let other = fixture.handshake(&rustls::version::TLS13, issued(&all[2])).unwrap();
    let (first, _) = fields(&all[0]);
    let told = fixture.call_with(&other, &[("client-cert", &first), ("client-cert-chain", &above)]);
    assert_eq!(*told.unwrap().id, *all[2].principal);
}

#[tokio::test]
async fn mt_33_whom_a_proxy_passes_on_without_a_certificate_does_not_pass_for_the_proxy() {
    let fixture = behind_a_proxy();
    let proxy = fixture.issue(1).await.remove(0);
    let open = fixture.handshake(&rustls::version::TLS13, issued(&proxy)).unwrap();
    // Neither does who claims one in a way that this server does not read.
    for fields in [&[][..], &[("x-forwarded-client-cert", "URI=spiffe://authbench.test/client/1")]] {
        assert_eq!(fixture.call_with(&open, fields), Err(Rejection::Missing), "{fields:?}");
    }

    // One that is a client as well, by name.
    for (identities, expected) in [
        (vec![PROXY, "spiffe://authbench.test/client/1"], Ok(PROXY)),
        (vec!["spiffe://authbench.test/client/1"], Err(Rejection::Missing)),
    ] {
        let identities = identities.into_iter().map(str::to_owned).collect();
        let fixture = with(&MtlsConfig { proxies: vec![PROXY.to_owned()], identities, ..config() });
        let proxy = fixture.issue(1).await.remove(0);
        let open = fixture.handshake(&rustls::version::TLS13, issued(&proxy)).unwrap();
        let verdict = fixture.call_with(&open, &[]).map(|principal| principal.id.to_string());
        assert_eq!(verdict, expected.map(str::to_owned));
    }
}
