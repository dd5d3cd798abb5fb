//! What an attack asks of the reference server beyond a valid credential.

use std::time::Duration;

use bench_server::contract::{
    Algorithm, CallerConfig, ClientRegistration, Issued, IssuerKey, KeyRotation, ListenerConfig, Material,
    MethodConfig, MtlsConfig, NewUser, OAuth2Config, PasswordHash, Profile, READ_SCOPE, RegisteredClient, Secret,
};

use super::super::attack::{FLOW_PRINCIPAL, Flow, Holding, one};
use super::super::grant::{Application, Grant, REDIRECT_URI, Refreshed, challenge};
use super::super::oauth::{ACCESS_TOKEN, principal};
use super::{Authorization, Reference};
use crate::attack::{Caller, TokenKey};
use crate::load::Endpoint;
use crate::plan::{ACTING_SERVICE, Variant};

/// A scope that no route asks for.
const OTHER_SCOPE: &str = "other";

/// Somebody else who calls.
const ANOTHER_APPLICATION: &str = "another-application";
const ANOTHER_SERVICE: &str = "spiffe://authbench.test/service/another";

/// Path of the route of certificates that tokens are bound to, which nobody calls.
const CLIENTS_PATH: &str = "/clients";

/// Name of the listener, and path of its route, beside one that demands certificates.
pub(super) const NEIGHBOUR: &str = "neighbour";
pub(super) const NEIGHBOUR_PATH: &str = "/neighbour";

/// What goes with a credential, where it does not stand alone.
pub(super) enum Companion {
    /// Nothing.
    None,
    /// A proof by this key for each request.
    Proof(Box<TokenKey>),
    /// The certificate that the token is bound to.
    Certificate,
    /// The API key of the application that calls.
    Application,
    /// The certificate of the service that calls.
    Service,
}

impl Companion {
    /// Of a variant's credentials.
    ///
    /// # Errors
    /// When no key can be made.
    pub(super) fn of(variant: &Variant) -> Result<Self, String> {
        Ok(match variant.method.reference() {
            Some(MethodConfig::OAuth2(OAuth2Config { dpop: Some(_), .. })) => {
                // Ed25519 signs the same twice: a request that is not changed is one that looks so.
                let key = TokenKey::generate(Algorithm::EdDSA)?;
                Self::Proof(Box::new(key))
            }
            Some(MethodConfig::OAuth2(_)) if variant.certificate_bound => Self::Certificate,
            Some(MethodConfig::Layered(layered)) => match layered.caller {
                CallerConfig::Application(_) => Self::Application,
                CallerConfig::Service(_) => Self::Service,
            },
            _ => Self::None,
        })
    }
}

impl Reference {
    /// What its credentials are signed with; `None` where they are not.
    pub(in super::super) async fn issuer_key(&self) -> Result<Option<IssuerKey>, String> {
        match &self.authorization {
            Some(authorization) if authorization.signs => authorization.server.control.issuer_key(None).await.map(Some),
            Some(_) => Ok(None),
            None if self.signs => self.administration().control.issuer_key(Some(&self.profile)).await.map(Some),
            None => Ok(None),
        }
    }

    pub(in super::super) fn proof_key(&self) -> Option<&TokenKey> {
        match &self.companion {
            Companion::Proof(key) => Some(key),
            _ => None,
        }
    }

    pub(in super::super) fn neighbour(&self) -> Option<&Endpoint> {
        self.neighbour.as_ref()
    }

    /// A valid credential of that lifetime, or the variant's own, with what goes with it.
    pub(in super::super) async fn hold(&self, lifetime: Option<Duration>) -> Result<Holding, String> {
        match &self.companion {
            Companion::None => one(self.issue(1, lifetime).await?).map(Holding::from),
            Companion::Proof(key) => {
                let authorization = self.known()?;
                let client = authorization.client(lifetime).await?;
                authorization.issuer.token_with_proof(&client, READ_SCOPE, key).await.map(Holding::from)
            }
            Companion::Certificate => self.hold_bound(lifetime).await,
            Companion::Application | Companion::Service => match lifetime {
                None => {
                    let (_, application) = self.for_users().await?;
                    self.hold_layered(application).await
                }
                Some(_) => self.hold_layered(&self.another_application(READ_SCOPE, lifetime).await?).await,
            },
        }
    }

    pub(in super::super) async fn hold_unscoped(&self) -> Result<Holding, String> {
        match (&self.companion, &self.authorization) {
            (Companion::Application | Companion::Service, _) => {
                self.hold_layered(&self.another_application(OTHER_SCOPE, None).await?).await
            }
            (_, Some(_)) => Err("its clients are registered for the scope of the route".to_owned()),
            (_, None) => {
                let scopes = [OTHER_SCOPE.to_owned()];
                one(self.administration().control.issue(&self.profile, 1, None, &scopes).await?).map(Holding::from)
            }
        }
    }

    pub(in super::super) async fn hold_user(
        &self,
        password: Secret,
        hash: Option<PasswordHash>,
    ) -> Result<Holding, String> {
        let username = format!("user-{:016x}", rand::random::<u64>());
        let user = NewUser {
            username: username.clone(),
            password: password.clone(),
            scopes: vec![READ_SCOPE.to_owned()],
            lifetime: None,
            hash,
        };
        self.administration().control.add_user(&self.profile, &user).await?;
        let material = Material::Password { username: username.clone(), password };
        Ok(Issued { id: username.clone(), principal: username, material }.into())
    }

    /// A token that is bound to a new certificate, with that.
    async fn hold_bound(&self, lifetime: Option<Duration>) -> Result<Holding, String> {
        let authorization = self.known()?;
        let caller = self.another_certificate().await?;
        let registration = ClientRegistration {
            access_token_lifetime: lifetime,
            tls_client_certificate_bound_access_tokens: true,
            ..ClientRegistration::service("client with a certificate", &[READ_SCOPE])
        };
        let client = authorization.server.control.register(&registration).await?;
        let Authorization { issuer, endpoint, .. } = authorization;
        let issued = issuer.token_with_certificate(&client, READ_SCOPE, &caller, endpoint).await?;
        Ok(Holding { issued, caller: Some(caller) })
    }

    /// A user's token, and who may call with it.
    async fn hold_layered(&self, application: &Application) -> Result<Holding, String> {
        let authorization = self.known()?;
        let grant = application.grant(&authorization.issuer).await?;
        authorization.owns(&grant.access, application.client());
        let name = match self.companion {
            Companion::Service => ACTING_SERVICE,
            _ => application.client().client_id.as_str(),
        };
        let caller = self.administration().control.renew(&self.profile, name, &[READ_SCOPE.to_owned()]).await?;
        Ok(Holding { issued: grant.access, caller: Some(caller) })
    }

    /// A client that acts for users, other than the one that does so otherwise.
    async fn another_application(&self, scope: &str, lifetime: Option<Duration>) -> Result<Application, String> {
        let (_, application) = self.for_users().await?;
        application.another(&self.known()?.server.control, scope, lifetime).await
    }

    async fn another_certificate(&self) -> Result<Issued, String> {
        let control = &self.administration().control;
        one(control.issue(&clients_name(&self.profile), 1, None, &[READ_SCOPE.to_owned()]).await?)
    }

    pub(in super::super) async fn another_caller(&self, held: &Holding, which: Caller) -> Result<Issued, String> {
        let own = held.caller.as_ref().ok_or("somebody who calls for the user")?;
        let (name, scope) = match (&self.companion, which) {
            (Companion::Certificate, Caller::Another) => return self.another_certificate().await,
            (Companion::Application, Caller::Another) => (ANOTHER_APPLICATION, READ_SCOPE),
            (Companion::Service, Caller::Another) => (ANOTHER_SERVICE, READ_SCOPE),
            (Companion::Application, Caller::Unscoped) => (own.principal.as_str(), OTHER_SCOPE),
            (Companion::Application | Companion::Service, Caller::Revoked) => (own.principal.as_str(), READ_SCOPE),
            _ => return Err("a caller like that".to_owned()),
        };
        self.administration().control.renew(&self.profile, name, &[scope.to_owned()]).await
    }

    pub(in super::super) async fn revoke_caller(&self, caller: &Issued) -> Result<(), String> {
        self.administration().control.revoke(&self.profile, &caller.id).await
    }

    pub(in super::super) async fn rotate(&self, credential: &Issued, overlap: Duration) -> Result<(), String> {
        let rotation = KeyRotation { overlap };
        self.administration().control.rotate(&self.profile, &credential.id, &rotation).await
    }

    pub(in super::super) async fn register(
        &self,
        registration: &ClientRegistration,
    ) -> Result<RegisteredClient, String> {
        self.known()?.server.control.register(registration).await
    }

    fn known(&self) -> Result<&Authorization, String> {
        self.authorization.as_ref().ok_or_else(|| "there is no authorization server".to_owned())
    }

    /// What a client has in its hands on the way to a user's tokens, by name; of codes and tokens those that are wanted.
    pub(in super::super) async fn flow(&self, wanted: &[&str], patience: Duration) -> Result<Flow, String> {
        let (issuer, application) = self.for_users().await?;
        let client = application.client();
        let secret = client.client_secret.clone().unwrap_or_else(|| Secret::new(""));
        let mut flow = Flow::from([
            ("flow-client", Secret::new(client.client_id.as_str())),
            ("flow-secret", secret),
            ("flow-redirect", Secret::new(REDIRECT_URI)),
            (FLOW_PRINCIPAL, Secret::new(application.username())),
        ]);
        let token = |grant: &Grant| match &grant.access.material {
            Material::Bearer { token } => Ok(token.clone()),
            _ => Err("a grant brought no bearer token".to_owned()),
        };
        for name in wanted {
            match *name {
                "code" => {
                    let code = application.code(issuer).await?;
                    flow.insert("challenge", Secret::new(challenge(&code.verifier)));
                    flow.insert("verifier", code.verifier);
                    flow.insert("code", code.code);
                }
                // Past its time, and never used.
                "code-expired" => {
                    let lifetime = self.known()?.code_lifetime;
                    if lifetime > patience {
                        return Err(format!("codes that end within {patience:?}"));
                    }
                    let code = application.code(issuer).await?;
                    // A moment more: from its end on it is refused, which is not before that.
                    tokio::time::sleep(lifetime + Duration::from_millis(100)).await;
                    flow.insert("verifier", code.verifier);
                    flow.insert("code-expired", code.code);
                }
                // Used once, as it should be.
                "code-spent" => {
                    let code = application.code(issuer).await?;
                    application.redeem(issuer, &code).await?;
                    flow.insert("verifier", code.verifier);
                    flow.insert("code-spent", code.code);
                }
                // Of a code that was used once more after that.
                "access-replayed" => {
                    let code = application.code(issuer).await?;
                    let grant = application.redeem(issuer, &code).await?;
                    if application.redeem(issuer, &code).await.is_ok() {
                        return Err("a code that can be used once only".to_owned());
                    }
                    flow.insert("access-replayed", token(&grant)?);
                }
                "access" => {
                    flow.insert("access", token(&application.grant(issuer).await?)?);
                }
                // Another client has asked for its revocation, and has got whatever answer.
                "access-kept" => {
                    let access = token(&application.grant(issuer).await?)?;
                    let another = self.known()?.register(None).await?;
                    let _ = issuer.revoke(&another, &access, ACCESS_TOKEN).await;
                    flow.insert("access-kept", access);
                }
                "refresh" => {
                    flow.insert("refresh", application.grant(issuer).await?.refresh);
                }
                "refresh-spent" => {
                    let grant = application.grant(issuer).await?;
                    application.refresh(issuer, &grant).await?;
                    flow.insert("refresh-spent", grant.refresh);
                }
                // The newest of a grant whose spent refresh token was used once more.
                "access-of-spent" => {
                    let grant = application.grant(issuer).await?;
                    let Refreshed::Renewed(newest) = application.refresh(issuer, &grant).await? else {
                        return Err("a refresh token that can be used".to_owned());
                    };
                    application.refresh(issuer, &grant).await?;
                    flow.insert("access-of-spent", token(&newest)?);
                }
                // A user in front of the consent page, and the page that a stranger was shown.
                "consent-path" => {
                    let page = application.consent_page(issuer).await?;
                    flow.insert("consent-path", page.action);
                    flow.insert("session", page.cookies);
                    flow.insert("csrf", page.csrf_token);
                    flow.insert("csrf-of-another", application.csrf_token_of_a_stranger(issuer).await?);
                }
                _ => {}
            }
        }
        Ok(flow)
    }
}

impl Authorization {
    /// Whose a token is that a user granted.
    fn owns(&self, token: &Issued, client: &RegisteredClient) {
        let mut owners = self.owners.lock().expect("nobody panics while holding it");
        owners.insert(token.id.clone(), client.clone());
    }

    /// The client that a token was issued to, for itself or for a user.
    pub(super) fn owner_of(&self, token: &Issued) -> Result<RegisteredClient, String> {
        let granted = self.owners.lock().expect("nobody panics while holding it").get(&token.id).cloned();
        let owner = granted.or_else(|| self.find(|(_, client)| principal(client) == token.principal));
        owner.ok_or_else(|| format!("{} was not issued by this run", token.id))
    }
}

/// The profile of certificates that tokens are bound to.
fn clients_name(profile: &str) -> String {
    format!("{profile}-clients")
}

/// Asks for certificates, and lives with none: a listener verifies what is shown to it, whichever route that is for.
pub(super) fn clients_profile(variant: &Variant) -> Profile {
    let certificates = MtlsConfig { optional: true, ..MtlsConfig::short_lived(MtlsConfig::LONGEST_UNREVOKED) };
    Profile {
        name: clients_name(variant.family()),
        path: CLIENTS_PATH.to_owned(),
        scope: READ_SCOPE.to_owned(),
        users_only: false,
        slow_down: None,
        method: MethodConfig::Mtls(certificates),
    }
}

/// A listener beside one that demands certificates: who comes without one over it must not reach the other's routes.
pub(super) fn beside_mtls(variant: &Variant, demanding: &ListenerConfig) -> ListenerConfig {
    let open = Profile {
        name: format!("{}-{NEIGHBOUR}", variant.family()),
        path: NEIGHBOUR_PATH.to_owned(),
        scope: READ_SCOPE.to_owned(),
        users_only: false,
        slow_down: None,
        method: MethodConfig::None,
    };
    ListenerConfig { name: NEIGHBOUR.to_owned(), profiles: vec![open], ..demanding.clone() }
}
