//! The claims set of a JWT access token (RFC 9068 §2.2), read in one pass into borrowed strings: wrong types, repeated
//! members and numbers that are not a time are refused before any rule looks at a value.

use std::borrow::Cow;
use std::time::Duration;

use crate::auth::{Principal, PrincipalKind};
use crate::config::{ENVIRONMENT_CLAIM, KeyEnvironment};
use crate::credential::dpop::Confirmation;
use crate::credential::jws::json::{self, Fault, Names, Number, Reader, once};

/// Latest time read: the end of the year 9999, the last that an RFC 3339 date can show.
const MAX_NUMERIC_DATE: u64 = 253_402_300_799;

/// Longest `sub`, `client_id` and `jti`, in bytes: what OpenID Connect Core §2 allows for `sub`.
const MAX_NAME: usize = 255;

/// The claims of a token, borrowed from its payload. All that RFC 9068 requires is there, except that `aud` is reduced
/// to the question whether it names us.
#[derive(Debug, PartialEq)]
pub(crate) struct ClaimsRef<'a> {
    pub(crate) iss: Cow<'a, str>,
    /// Whether `aud` contains what we are called.
    pub(crate) for_us: bool,
    pub(crate) sub: Cow<'a, str>,
    pub(crate) client_id: Cow<'a, str>,
    pub(crate) jti: Cow<'a, str>,
    /// Space-separated; empty when the token has none.
    pub(crate) scope: Cow<'a, str>,
    pub(crate) exp: Duration,
    pub(crate) nbf: Option<Duration>,
    pub(crate) iat: Duration,
    /// What the token is bound to (RFC 7800 §3.1); absent for a bearer token.
    pub(crate) cnf: Option<Confirmation<'a>>,
    /// Where the token counts.
    pub(crate) environment: KeyEnvironment,
}

/// Which claims have to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Those of an access token (RFC 9068 §2.2).
    AccessToken,
    /// Issuer, audience and times; names that are missing are empty (RFC 8725 §3).
    General,
}

impl<'a> ClaimsRef<'a> {
    /// Reads a decoded payload. `ours` is what the issuer calls us.
    #[inline]
    pub(crate) fn read(profile: Profile, ours: &str, text: &'a [u8]) -> Result<Self, Fault> {
        let (mut iss, mut aud, mut sub, mut client_id, mut jti, mut scope) = (None, None, None, None, None, None);
        let (mut exp, mut nbf, mut iat, mut cnf, mut others) = (None, None, None, None, Names::default());
        let mut environment = None;
        json::read_object(text, |name, value| match &*name {
            "iss" => once(&mut iss, value.string()?),
            "aud" => once(&mut aud, names(value, ours)?),
            "sub" => once(&mut sub, self::name(value)?),
            "client_id" => once(&mut client_id, self::name(value)?),
            "jti" => once(&mut jti, self::name(value)?),
            "scope" => once(&mut scope, value.string()?),
            "exp" => once(&mut exp, numeric_date(value)?),
            "nbf" => once(&mut nbf, numeric_date(value)?),
            "iat" => once(&mut iat, numeric_date(value)?),
            "cnf" => once(&mut cnf, Confirmation::read(value)?),
            ENVIRONMENT_CLAIM => once(&mut environment, self::environment(value)?),
            _ => {
                others.insert(name)?;
                value.skip()
            }
        })?;
        let needed = |name: Option<Cow<'a, str>>| match profile {
            Profile::AccessToken => name,
            Profile::General => name.or(Some(Cow::Borrowed(""))),
        };
        let all = || {
            Some(Self {
                iss: iss?,
                for_us: aud?,
                sub: needed(sub)?,
                client_id: needed(client_id)?,
                jti: needed(jti)?,
                scope: scope.unwrap_or_default(),
                exp: exp?,
                nbf,
                iat: iat?,
                cnf,
                environment: environment.unwrap_or_default(),
            })
        };
        all().ok_or(Fault::NotAccepted)
    }

    /// Whom the token stands for.
    pub(crate) fn principal(&self) -> Principal {
        let kind = PrincipalKind::of_token(&self.sub, Some(&self.client_id));
        Principal::new(kind, &*self.sub, &*self.scope, &*self.jti)
    }
}

/// A `sub`, `client_id` or `jti`.
fn name<'a>(value: &mut Reader<'a>) -> Result<Cow<'a, str>, Fault> {
    let text = value.string()?;
    if (1..=MAX_NAME).contains(&text.len()) { Ok(text) } else { Err(Fault::NotAccepted) }
}

/// One that is not known is not taken for a known one.
fn environment(value: &mut Reader<'_>) -> Result<KeyEnvironment, Fault> {
    let name = value.string()?;
    let known = [KeyEnvironment::Live, KeyEnvironment::Test].into_iter().find(|known| known.name() == name);
    known.ok_or(Fault::NotAccepted)
}

/// Whether `aud`, a string or an array of strings that is not empty (RFC 7519 §4.1.3), names us.
fn names(value: &mut Reader<'_>, ours: &str) -> Result<bool, Fault> {
    let mut for_us = false;
    value.one_or_more_strings(|audience| for_us |= audience == ours)?;
    Ok(for_us)
}

/// Seconds since 1970, whole or not (RFC 7519 §2), as a duration.
fn numeric_date(value: &mut Reader<'_>) -> Result<Duration, Fault> {
    match value.number()? {
        Number::Whole(seconds) if seconds <= MAX_NUMERIC_DATE => Ok(Duration::from_secs(seconds)),
        Number::Other(seconds) if (0.0..=MAX_NUMERIC_DATE as f64).contains(&seconds) => {
            Duration::try_from_secs_f64(seconds).map_err(|_| Fault::NotAccepted)
        }
        _ => Err(Fault::NotAccepted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AUDIENCE;

    const GOOD: [(&str, &str); 8] = [
        ("iss", r#""i""#),
        ("aud", r#""https://api.authbench.test""#),
        ("sub", r#""app-1""#),
        ("client_id", r#""c""#),
        ("jti", r#""j""#),
        ("scope", r#""read write""#),
        ("exp", "200"),
        ("iat", "100"),
    ];

    fn with(claim: &str, value: &str) -> String {
        let mut members: Vec<_> = GOOD.iter().filter(|(name, _)| *name != claim).copied().collect();
        if !value.is_empty() {
            members.push((claim, value));
        }
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    }

    fn read(text: &str) -> Result<ClaimsRef<'_>, Fault> {
        ClaimsRef::read(Profile::AccessToken, AUDIENCE, text.as_bytes())
    }

    #[test]
    fn a_complete_set_is_read_without_copies() {
        for other in [r#"{"x5t#S256":5}"#, r#"{"jkt":"x","jwk":{}}"#, r#"{"jkt":1}"#, "{}", r#""x""#] {
            assert!(read(&with("cnf", other)).is_err(), "bound to what nobody can prove here: {other}");
        }
        let bound = with("cnf", r#"{"jkt":"x"}"#);
        assert_eq!(read(&bound).unwrap().cnf, Some(Confirmation { jkt: Some("x".into()), x5t: None }));
        let bound = with("cnf", r#"{"x5t#S256":"y"}"#);
        assert_eq!(read(&bound).unwrap().cnf, Some(Confirmation { jkt: None, x5t: Some("y".into()) }));
        let text = with("other", r#"{"a":"x"}"#);
        let claims = read(&text).unwrap();
        assert!(claims.for_us && matches!(claims.sub, Cow::Borrowed("app-1")));
        assert_eq!((claims.exp, claims.nbf, claims.iat), (Duration::from_secs(200), None, Duration::from_secs(100)));
        assert_eq!(claims.scope, "read write");
        assert_eq!(read(&with("scope", "")).unwrap().scope, "");
    }

    #[test]
    fn la_13_the_environment_is_a_claim_and_live_without_it() {
        assert_eq!(read(&with("x", "1")).unwrap().environment, KeyEnvironment::Live);
        for environment in [KeyEnvironment::Live, KeyEnvironment::Test] {
            let text = with(ENVIRONMENT_CLAIM, &format!("\"{}\"", environment.name()));
            assert_eq!(read(&text).unwrap().environment, environment);
        }
        for other in [r#""""#, r#""Test""#, r#""staging""#, "null", "1", "true", r#"["test"]"#, "{}"] {
            assert_eq!(read(&with(ENVIRONMENT_CLAIM, other)), Err(Fault::NotAccepted), "{other}");
        }
    }

    #[test]
    fn jw_23_jw_28_bc_099_required_claims() {
        for (claim, _) in GOOD.iter().filter(|(name, _)| *name != "scope") {
            assert_eq!(read(&with(claim, "")), Err(Fault::NotAccepted), "{claim}");
        }
    }

    #[test]
    fn jw_26_bc_100_bc_101_numeric_dates() {
        for (text, expected) in [("0", 0.0), ("150.25", 150.25), ("1.5e2", 150.0), ("253402300799", 253402300799.0)] {
            for claim in ["exp", "nbf", "iat"] {
                let json = with(claim, text);
                let claims = read(&json).unwrap();
                let value = match claim {
                    "exp" => claims.exp,
                    "nbf" => claims.nbf.unwrap(),
                    _ => claims.iat,
                };
                assert_eq!(value.as_secs_f64(), expected, "{claim} {text}");
            }
        }
        let wrong =
            ["\"200\"", "null", "true", "[200]", "{}", "-1", "-0.5", "1e300", "253402300800", "99999999999999999999"];
        for text in wrong {
            for claim in ["exp", "nbf", "iat"] {
                assert_eq!(read(&with(claim, text)), Err(Fault::NotAccepted), "{claim} {text}");
            }
        }
        for text in ["1e400", "-1e400", "0200", "+200", "0x10", "NaN"] {
            assert_eq!(read(&with("exp", text)), Err(Fault::NotJson), "{text}");
        }
    }

    #[test]
    fn jw_26_jw_28_bc_106_audiences() {
        let ours = r#""https://api.authbench.test""#;
        for text in [ours.to_owned(), format!("[{ours}]"), format!(r#"["other",{ours}]"#)] {
            assert!(read(&with("aud", &text)).unwrap().for_us, "{text}");
        }
        for text in [r#""other""#, r#"["other"]"#, r#""https://api.authbench.test/""#, r#""https://api.authbench.tes""#]
        {
            assert!(!read(&with("aud", text)).unwrap().for_us, "{text}");
        }
        for text in
            ["42", "{}", "[]", "[5]", r#"["other",5]"#, &format!("[{ours},null]"), &format!("[[{ours}]]"), "null"]
        {
            assert_eq!(read(&with("aud", text)), Err(Fault::NotAccepted), "{text}");
        }
    }

    #[test]
    fn jw_26_bc_104_bc_107_names() {
        let long = |n: usize| format!("\"{}\"", "s".repeat(n));
        for claim in ["sub", "client_id", "jti"] {
            assert!(read(&with(claim, &long(255))).is_ok());
            for text in ["\"\"", "5", "null", "[\"a\"]", &long(256), &long(10_000)] {
                assert_eq!(read(&with(claim, text)), Err(Fault::NotAccepted), "{claim} {text}");
            }
        }
        for text in ["42", r#"["evil","good"]"#, "null"] {
            assert_eq!(read(&with("iss", text)), Err(Fault::NotAccepted), "{text}");
        }
        assert_eq!(read(&with("scope", "[\"read\"]")), Err(Fault::NotAccepted));
    }

    #[test]
    fn jw_19_bc_097_repeated_claims() {
        for extra in [r#""exp":9"#, r#""sub":"b""#, r#""scope":"admin""#, r#""e\u0078p":9"#, r#""x":1,"\u0078":2"#] {
            let text = with("z", "0").replacen('{', &format!("{{{extra},"), 1);
            assert_eq!(read(&text), Err(Fault::NotAccepted), "{extra}");
        }
    }

    #[test]
    fn jw_22_bc_112_only_one_object() {
        let good = with("z", "0");
        for text in [format!("\u{feff}{good}"), format!("{good}x"), format!("{good}{good}")] {
            assert_eq!(read(&text), Err(Fault::NotJson), "{text}");
        }
        assert_eq!(read(&format!("[{good}]")), Err(Fault::NotAccepted));
        assert_eq!(read("\"x\""), Err(Fault::NotAccepted));
        let deep = with("z", &format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)));
        assert!(read(&deep).is_err());
        let mut bytes = good.into_bytes();
        let sub = bytes.windows(5).position(|window| window == b"app-1").unwrap();
        bytes[sub] = 0xff;
        assert_eq!(ClaimsRef::read(Profile::AccessToken, AUDIENCE, &bytes), Err(Fault::NotJson));
    }
}
