//! Codes, refresh families and access tokens: digests in memory, each until its time is over.
//!
//! Every state change is one critical section: of two requests with the same code or refresh token exactly one wins.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use subtle::ConstantTimeEq;

use super::client::GrantType;
use super::error::{ErrorCode, OAuthError};
use super::grant::Grant;
use super::opaque::{self, Digest, FamilyId, RefreshToken};
use super::scope::Scopes;
use crate::clock::UnixTime;
use crate::expiring::ExpiringMap;

/// How long a code is remembered at least: RFC 6749's ceiling on the lifetime of codes (§4.1.2). One that was redeemed is
/// remembered for as long as a token of it may live, so that its replay kills that.
const CODE_MEMORY: Duration = Duration::from_secs(600);

/// What a code is bound to (RFC 6749 §4.1.3, RFC 7636 §4.4).
pub(super) struct Code {
    pub(super) grant: Arc<Grant>,
    pub(super) redirect_uri: String,
    /// SHA-256 of the verifier.
    pub(super) challenge: Digest,
    /// The key that the client has to prove to hold, where it said so (RFC 9449 §10).
    pub(super) jkt: Option<String>,
    pub(super) expires: UnixTime,
}

/// What a client redeems a code with.
pub(super) struct Redemption<'a> {
    pub(super) client_id: &'a str,
    pub(super) code: &'a str,
    pub(super) redirect_uri: Option<&'a str>,
    pub(super) verifier: &'a str,
    /// The key that the request proves to hold.
    pub(super) jkt: Option<&'a str>,
}

/// What a client renews its access with.
pub(super) struct Renewal<'a> {
    pub(super) client_id: &'a str,
    /// The refresh token.
    pub(super) presented: &'a str,
    pub(super) scopes: Option<Scopes>,
    /// The key that the request proves to hold.
    pub(super) jkt: Option<&'a str>,
}

/// An access token's meaning.
pub(super) struct AccessToken {
    pub(super) grant: Arc<Grant>,
    /// At most those of the grant.
    pub(super) scopes: Scopes,
    pub(super) jti: String,
    /// NumericDates (RFC 7519 §2).
    pub(super) iat: u64,
    pub(super) exp: u64,
    /// Thumbprint of the key that the token is bound to.
    pub(super) jkt: Option<String>,
    /// Thumbprint of the certificate that the token is bound to.
    pub(super) x5t: Option<Arc<str>>,
}

impl AccessToken {
    /// The `token_type` (RFC 6749 §7.1).
    pub(super) fn kind(&self) -> &'static str {
        if self.jkt.is_some() { "DPoP" } else { "Bearer" }
    }
}

struct CodeState {
    code: Code,
    spent: bool,
}

/// One refresh token at a time; whatever else has the family's identifier is a replay. So a family takes the same memory
/// however often it is refreshed.
struct Family {
    grant: Arc<Grant>,
    current: Digest,
    /// The key that a public client has to prove to hold.
    jkt: Option<String>,
    /// Latest end, whatever the use.
    absolute: UnixTime,
}

#[derive(Default)]
struct State {
    codes: ExpiringMap<Digest, CodeState>,
    families: ExpiringMap<FamilyId, Family>,
    access: ExpiringMap<Digest, Arc<AccessToken>>,
}

/// All codes and tokens.
pub(super) struct Tokens {
    state: Mutex<State>,
    refresh_idle: Duration,
    refresh_absolute: Duration,
}

fn invalid_grant(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidGrant, description)
}

impl Tokens {
    pub(super) fn new(refresh_idle: Duration, refresh_absolute: Duration) -> Self {
        Self { state: Mutex::default(), refresh_idle, refresh_absolute }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Hands out a code.
    pub(super) fn add_code(&self, code: Code, now: UnixTime) -> String {
        let text = opaque::code();
        let forget = UnixTime(now.0 + CODE_MEMORY);
        let state = CodeState { code, spent: false };
        self.state().codes.insert(now, forget, opaque::digest(&text), state);
        text
    }

    /// Redeems a code, once. A code that comes back has leaked: everything of its grant dies (RFC 6749 §4.1.2). So has a
    /// code that its own client cannot prove to have asked for: a wrong verifier or redirect URI burns it. Another
    /// client's attempt changes nothing, or any client could burn any code that it gets to see.
    ///
    /// # Errors
    /// `invalid_grant`.
    pub(super) fn redeem(&self, redemption: &Redemption<'_>, now: UnixTime) -> Result<Arc<Grant>, OAuthError> {
        let mut state = self.state();
        let digest = opaque::digest(redemption.code);
        let Some((forget, found)) = state.codes.get_mut(now, &digest) else {
            return Err(invalid_grant("the code is unknown or expired"));
        };
        let code = &found.code;
        if code.grant.client.id != redemption.client_id {
            return Err(invalid_grant("the code was issued to another client"));
        }
        if found.spent {
            code.grant.revoke();
            drop(state); // writing a log may block, and must not while everybody waits for the lock
            tracing::warn!(client_id = redemption.client_id, "authorization code replayed: its grant is revoked");
            return Err(invalid_grant("the code was used before"));
        }
        found.spent = true;
        if now >= code.expires || !code.grant.is_live() {
            return Err(invalid_grant("the code is unknown or expired"));
        }
        if redemption.redirect_uri != Some(&code.redirect_uri) {
            return Err(invalid_grant("redirect_uri differs from the authorization request's"));
        }
        if !verifies(redemption.verifier, &code.challenge) {
            return Err(invalid_grant("code_verifier does not fit the code_challenge"));
        }
        if code.jkt.is_some() && code.jkt.as_deref() != redemption.jkt {
            return Err(invalid_grant("the code is bound to a key that the request does not prove to hold"));
        }
        *forget = (*forget).max(self.last_token_ends(&code.grant, now));
        Ok(code.grant.clone())
    }

    /// When the last token of a grant whose code is redeemed now has expired at the latest.
    fn last_token_ends(&self, grant: &Grant, now: UnixTime) -> UnixTime {
        let client = &grant.client;
        let renewals =
            if client.allows_grant(GrantType::RefreshToken) { self.refresh_absolute } else { Duration::ZERO };
        UnixTime(now.0 + renewals + client.access_token_lifetime)
    }

    /// Starts a refresh family and hands out its first token.
    pub(super) fn start_family(&self, grant: Arc<Grant>, jkt: Option<String>, now: UnixTime) -> String {
        let token = RefreshToken::first();
        let absolute = UnixTime(now.0 + self.refresh_absolute);
        let family = Family { grant, current: opaque::digest(&token.secret), jkt, absolute };
        let idle = UnixTime(now.0 + self.refresh_idle).min(absolute);
        self.state().families.insert(now, idle, token.family, family);
        token.text()
    }

    /// Exchanges a refresh token for the next one; returns it with the grant and the scopes of the new access token. A
    /// token that was exchanged before has leaked, on one side or the other: the whole grant dies (RFC 9700 §4.14.2).
    /// There is no grace period.
    ///
    /// # Errors
    /// `invalid_grant`; `invalid_scope` for more than was granted, which leaves the token valid.
    pub(super) fn refresh(
        &self,
        Renewal { client_id, presented, scopes, jkt }: Renewal<'_>,
        now: UnixTime,
    ) -> Result<(Arc<Grant>, Scopes, String), OAuthError> {
        let unknown = || invalid_grant("the refresh token is unknown, expired or revoked");
        let presented = RefreshToken::parse(presented).ok_or_else(unknown)?;
        let mut state = self.state();
        let (expires, family) = state.families.get_mut(now, &presented.family).ok_or_else(unknown)?;
        if family.grant.client.id != client_id {
            return Err(invalid_grant("the refresh token was issued to another client"));
        }
        if !family.grant.is_live() {
            return Err(unknown());
        }
        // Whoever stole the token and not the key changes nothing.
        if family.jkt.is_some() && family.jkt.as_deref() != jkt {
            return Err(invalid_grant("the refresh token is bound to a key that the request does not prove to hold"));
        }
        if !bool::from(opaque::digest(&presented.secret).ct_eq(&family.current)) {
            family.grant.revoke();
            drop(state);
            tracing::warn!(client_id, "refresh token replayed: its grant is revoked");
            return Err(invalid_grant("the refresh token was used before"));
        }
        let scopes = scopes.unwrap_or_else(|| family.grant.scopes.clone());
        if !scopes.is_subset_of(&family.grant.scopes) {
            return Err(OAuthError::new(ErrorCode::InvalidScope, "scope is wider than what was granted"));
        }
        let next = RefreshToken::next(presented.family);
        family.current = opaque::digest(&next.secret);
        *expires = UnixTime(now.0 + self.refresh_idle).min(family.absolute);
        Ok((family.grant.clone(), scopes, next.text()))
    }

    /// Records an access token.
    pub(super) fn add_access(&self, text: &str, token: AccessToken, now: UnixTime) {
        let expires = UnixTime(Duration::from_secs(token.exp));
        self.state().access.insert(now, expires, opaque::digest(text), Arc::new(token));
    }

    /// Access tokens in memory.
    #[cfg(test)]
    pub(super) fn access_tokens_held(&self) -> usize {
        self.state().access.len()
    }

    /// Codes in memory.
    #[cfg(test)]
    pub(super) fn codes_held(&self) -> usize {
        self.state().codes.len()
    }

    /// A living access token.
    pub(super) fn find_access(&self, text: &str, now: UnixTime) -> Option<Arc<AccessToken>> {
        let state = self.state();
        state.access.get(now, &opaque::digest(text)).filter(|token| token.grant.is_live()).cloned()
    }

    /// Takes a token of either kind back, whatever a hint says. A refresh token takes its whole grant with it, an access
    /// token only itself (RFC 7009 §2.1). Unknown and expired tokens are no error (§2.2).
    ///
    /// # Errors
    /// `invalid_grant` for another client's token, which stays as it was.
    pub(super) fn revoke(&self, client_id: &str, text: &str, now: UnixTime) -> Result<(), OAuthError> {
        let foreign = || Err(invalid_grant("the token was issued to another client"));
        let mut state = self.state();
        let digest = opaque::digest(text);
        if let Some(token) = state.access.get(now, &digest) {
            if token.grant.client.id != client_id {
                return foreign();
            }
            state.access.remove(&digest);
            return Ok(());
        }
        let Some(token) = RefreshToken::parse(text) else { return Ok(()) };
        if let Some((_, family)) = state.families.get_mut(now, &token.family) {
            if family.grant.client.id != client_id {
                return foreign();
            }
            // Also for a token that was exchanged meanwhile: the client wants the access gone.
            family.grant.revoke();
            state.families.remove(&token.family);
        }
        Ok(())
    }
}

/// Whether a PKCE verifier is well-formed and hashes to the challenge (RFC 7636 §4.1, §4.6).
fn verifies(verifier: &str, challenge: &Digest) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(unreserved)
        && bool::from(opaque::digest(verifier).ct_eq(challenge))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oa_18_verifier_has_a_form_and_a_hash() {
        let good = "a".repeat(43);
        assert!(verifies(&good, &opaque::digest(&good)));
        for bad in ["a".repeat(42), "a".repeat(129), format!("{}+", "a".repeat(43)), format!("{}é", "a".repeat(43))] {
            assert!(!verifies(&bad, &opaque::digest(&bad)), "{bad}");
        }
        assert!(!verifies(&"b".repeat(43), &opaque::digest(&good)));
        assert!(verifies(&"a".repeat(128), &opaque::digest(&"a".repeat(128))));
    }
}
