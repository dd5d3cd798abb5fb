//! CRLs that no library of ours makes, put together by hand (RFC 5280 §5.1), and when a list is in force.

use rcgen::SigningKey as _;

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::*;

/// A value in DER.
pub(super) fn der(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut value = vec![tag];
    match content.len() {
        0..128 => value.push(u8::try_from(content.len()).unwrap()),
        _ => {
            value.push(0x80 | u8::try_from(length.len()).unwrap());
            value.extend(length);
        }
    }
    value.extend(content);
    value
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const UTC_TIME: u8 = 0x17;

/// Last arc of an identifier below `2.5.29`.
fn extension(arc: u8, critical: bool, content: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
    der(SEQUENCE, &[&der(OID, &[&[0x55, 0x1d, arc]]), critical, &der(OCTETS, &[content])])
}

/// A CRL of the CA that signs leaves, number 9, with one entry; `of_entry` and `of_list` are extensions.
fn handmade(fixture: &Fixture, serial: &[u8], of_entry: &[u8], of_list: &[u8]) -> Vec<u8> {
    let (_, issuer) = X509Certificate::from_der(fixture.issuing()).unwrap();
    let ecdsa_with_sha256 = der(SEQUENCE, &[&der(OID, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]])]);
    let (since, until) = (der(UTC_TIME, &[b"260101000000Z"]), der(UTC_TIME, &[b"490101000000Z"]));
    let of_entry = if of_entry.is_empty() { Vec::new() } else { der(SEQUENCE, &[of_entry]) };
    let entry = der(SEQUENCE, &[&der(INTEGER, &[serial]), &since, &of_entry]);
    let number = extension(20, false, &der(INTEGER, &[&[9]]));
    let list = der(
        SEQUENCE,
        &[
            &der(INTEGER, &[&[1]]),
            &ecdsa_with_sha256,
            issuer.subject().as_raw(),
            &since,
            &until,
            &der(SEQUENCE, &[&entry]),
            &der(0xa0, &[&der(SEQUENCE, &[&number, of_list])]),
        ],
    );
    let signature = fixture.ca_key("issuing").sign(&list).unwrap();
    der(SEQUENCE, &[&list, &ecdsa_with_sha256, &der(0x03, &[&[0], &signature])])
}

/// What becomes of a CRL: taken over, or why not.
fn taken(fixture: &Fixture, crl: Vec<u8>) -> Result<(), CrlError> {
    std::fs::write(fixture.ca("issuing.crl"), crl).unwrap();
    match fixture.mtls.verifier.reload() {
        Ok(changed) => {
            assert!(changed);
            Ok(())
        }
        Err(ReloadError::Crl { source, .. }) => Err(source),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn mt_16_what_is_not_understood_is_not_taken() {
    let fixture = fixture();
    let one = &fixture.issue(1).await[0];
    let Presents(Some(client)) = issued(one) else { unreachable!("issued presents a certificate") };
    let serial = EndEntityCert::try_from(&client.cert[0]).unwrap().serial().to_vec();
    let partial = |taken: Result<(), CrlError>, what: &str| {
        assert!(matches!(taken, Err(CrlError::Partial(found)) if found.contains(what)), "{taken:?}");
    };
    // An entry of somebody else's certificate, and lists that are about a part.
    let name = der(SEQUENCE, &[]);
    partial(taken(&fixture, handmade(&fixture, &serial, &extension(29, true, &name), &[])), "indirect");
    partial(taken(&fixture, handmade(&fixture, &serial, &extension(29, false, &name), &[])), "indirect");
    let indirect = der(SEQUENCE, &[&der(0x84, &[&[0xff]])]);
    partial(taken(&fixture, handmade(&fixture, &serial, &[], &extension(28, true, &indirect))), "distribution point");
    partial(taken(&fixture, handmade(&fixture, &serial, &[], &extension(27, true, &der(INTEGER, &[&[8]])))), "delta");
    // Critical and unknown, of the list and of an entry.
    let critical = Err(CrlError::Critical("2.5.29.99".to_owned()));
    assert_eq!(taken(&fixture, handmade(&fixture, &serial, &[], &extension(99, true, &[5, 0]))), critical);
    assert_eq!(taken(&fixture, handmade(&fixture, &serial, &extension(99, true, &[5, 0]), &[])), critical);
    assert_eq!(fixture.alerts(|| issued(one)), [None, None], "the last good list stays");

    // The same by hand without them, with an unknown extension that is not critical and a reason code that is.
    let reason = extension(21, true, &[0x0a, 0x01, 0x01]);
    assert_eq!(taken(&fixture, handmade(&fixture, &serial, &reason, &extension(99, false, &[5, 0]))), Ok(()));
    assert_eq!(fixture.alerts(|| issued(one)), both(AlertDescription::CertificateRevoked));
}

#[tokio::test]
async fn mt_14_a_list_of_the_future_is_not_in_force() {
    let fixture = fixture();
    let one = &fixture.issue(1).await[0];
    let open = fixture.handshake(&rustls::version::TLS13, issued(one)).unwrap();
    let now = fixture.clock.now();
    let issuing = Issuer::from_ca_cert_der(fixture.issuing(), fixture.ca_key("issuing")).unwrap();
    let tomorrow = crl(&issuing, 9, |params| params.this_update = date_time_ymd(1970, 1, 1) + now.0 + DAY);
    assert_eq!(taken(&fixture, tomorrow), Ok(()));
    assert_eq!(fixture.alerts(|| issued(one)), both(AlertDescription::UnknownCA));
    assert!(matches!(fixture.call(&open), Err(Rejection::Unavailable { dependency: "crl", .. })));
}

#[tokio::test]
async fn mt_14_each_list_of_a_chain_must_be_in_force() {
    for file in ["root", "intermediate", "issuing"] {
        let fixture = with(&MtlsConfig { chain_length: ChainLength::Three, ..config() });
        let one = &fixture.issue(1).await[0];
        let open = fixture.handshake(&rustls::version::TLS13, issued(one)).unwrap();
        let (ca, _) =
            fixture.mtls.authority().chain().find(|(_, path)| path.file_stem().unwrap() == file).expect("of the chain");
        let issuer = Issuer::from_ca_cert_der(ca, fixture.ca_key(file)).unwrap();
        let now = fixture.clock.now();
        let short = crl(&issuer, 9, |params| params.next_update = date_time_ymd(1970, 1, 1) + now.0 + HOUR);
        std::fs::write(fixture.ca(&format!("{file}.crl")), short).unwrap();
        assert!(fixture.mtls.verifier.reload().unwrap());
        assert_eq!(fixture.alerts(|| issued(one)), [None, None], "{file}");
        fixture.clock.advance(HOUR).unwrap();
        assert_eq!(fixture.alerts(|| issued(one)), both(AlertDescription::UnknownCA), "{file}");
        assert!(matches!(fixture.call(&open), Err(Rejection::Unavailable { dependency: "crl", .. })), "{file}");
    }
}

#[tokio::test]
async fn a_population_is_on_the_list_and_nobody_of_it_is_asked_for() {
    let fixture = with(&MtlsConfig { crl_population: 2_000, ..config() });
    let pair = fixture.issue(2).await;
    assert_eq!(fixture.alerts(|| issued(&pair[0])), [None, None]);
    fixture.mtls.revoke(&pair[0].id).await.unwrap();
    fixture.mtls.verifier.reload().unwrap();
    assert_eq!(fixture.alerts(|| issued(&pair[0])), both(AlertDescription::CertificateRevoked));
    assert_eq!(fixture.alerts(|| issued(&pair[1])), [None, None]);
    let bytes = std::fs::metadata(fixture.ca("issuing.crl")).unwrap().len();
    assert!(bytes > 2_000 * 30, "{bytes} bytes");
}
