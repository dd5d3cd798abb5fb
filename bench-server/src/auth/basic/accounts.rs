//! Users: made, given another password, and taken out.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use rand::rngs::{SysError, SysRng};
use zeroize::Zeroizing;

use super::{Basic, credentials, policy};
use crate::auth::AdminError;
use crate::auth::grant::Grant;
use crate::config::PasswordHash;
use crate::contract::{IssueRequest, Issued, Material, NewUser, Secret};
use crate::credential::base62;
use crate::credential::password::{HashError, PoolError, check_costs};
use crate::store::follow::LocalCopy as _;
use crate::store::record::{Revocation, User};

/// Random base62 digits of an issued password: 190 bits, and short enough for bcrypt.
const PASSWORD: usize = 32;

impl Basic {
    /// Creates users with random names and passwords; where there are sessions, each comes with one that it opened.
    ///
    /// They are hashed on the pool, as many at a time as there are threads: requests find the queue as free as before.
    pub(crate) async fn issue(&self, request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        let grant = &Grant::new(request, self.clock.now())?;
        stream::iter(0..request.count)
            .map(|_| async move {
                let name = base62::identifier("user-", &mut SysRng).map_err(no_random)?;
                let password = password().map_err(no_random)?;
                let hash = self.create(&name, &password, grant, self.hash).await?;
                Ok(self.issued(name, &password, &hash))
            })
            .buffered(self.concurrency)
            .try_collect()
            .await
    }

    /// What a user presents from now on.
    fn issued(&self, name: String, password: &str, hash: &str) -> Issued {
        let material = match &self.sessions {
            Some(sessions) => Material::Bearer { token: sessions.start(&name, hash, self.clock.now()) },
            None => Material::Password { username: name.clone(), password: Secret::new(password) },
        };
        Issued { id: name.clone(), principal: name, material }
    }

    /// Creates a user with a name and a password of somebody's choice.
    pub(crate) async fn add_user(&self, user: &NewUser) -> Result<(), AdminError> {
        let request = IssueRequest { count: 1, lifetime: user.lifetime, scopes: user.scopes.clone() };
        let grant = Grant::new(&request, self.clock.now())?;
        let hash = user.hash.unwrap_or(self.hash);
        check_costs(hash).map_err(|error| AdminError::BadRequest(error.to_string()))?;
        self.create(&user.username, user.password.expose(), &grant, hash).await.map(drop)
    }

    /// Creates a user; returns the hash of the password.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`] for a name or password that RFC 7617 cannot carry, or that is taken, too long or easily
    /// guessed.
    pub(super) async fn create(
        &self,
        name: &str,
        password: &str,
        grant: &Grant,
        hash: PasswordHash,
    ) -> Result<Arc<str>, AdminError> {
        if !credentials::is_name(name) {
            return Err(AdminError::BadRequest(format!(
                "user name {name:?} is empty or holds a colon or control character (RFC 7617 §2)"
            )));
        }
        self.check_password(name, password)?;
        let password_hash = self.hashed(password, hash).await?;
        let user = User {
            name: name.into(),
            password_hash: password_hash.clone(),
            scopes: grant.scopes.clone(),
            expires: grant.expires,
        };
        if !self.users.insert_user(user).await? {
            return Err(AdminError::BadRequest(format!("user {name:?} exists already")));
        }
        self.meter.store_writes.add();
        Ok(password_hash)
    }

    fn check_password(&self, name: &str, password: &str) -> Result<(), AdminError> {
        if !credentials::is_password(password) || name.len() + 1 + password.len() > credentials::MAX_DECODED {
            return Err(AdminError::BadRequest(format!(
                "the password of {name:?} is empty, holds a control character (RFC 7617 §2), or takes more than {} bytes \
                 with the name and the colon",
                credentials::MAX_DECODED
            )));
        }
        let Some(policy) = &self.policy else { return Ok(()) };
        policy::check(policy, name, password)
            .map_err(|why| AdminError::BadRequest(format!("the password of {name:?} {why}")))
    }

    /// Removes what is in the store, where that is a server of its own.
    pub(crate) async fn discard(&self) -> Result<(), AdminError> {
        Ok(self.users.discard().await?)
    }

    /// Changes the user's password and tells the new one. The old one ends with that: a user has one password.
    pub(crate) async fn renew(&self, name: &str, request: &IssueRequest) -> Result<Issued, AdminError> {
        Grant::new(request, self.clock.now())?;
        let (password, hash) = self.randomise_password(name).await?;
        Ok(self.issued(name.to_owned(), &password, &hash))
    }

    /// Changes the user's password to a random one that nobody is told: how a Basic credential is taken back, since the
    /// standard knows no other way.
    pub(crate) async fn revoke(&self, name: &str) -> Result<(), AdminError> {
        self.randomise_password(name).await.map(drop)
    }

    async fn randomise_password(&self, name: &str) -> Result<(Zeroizing<String>, Arc<str>), AdminError> {
        let password = password().map_err(no_random)?;
        let hash = self.change_password(name, &password).await?;
        Ok((password, hash))
    }

    /// Changes the user's password to one of somebody's choice.
    pub(crate) async fn set_password(&self, name: &str, password: &str) -> Result<(), AdminError> {
        self.check_password(name, password)?;
        self.change_password(name, password).await.map(drop)
    }

    /// Gives the user a password. Returns once every look at the user's record sees its hash.
    async fn change_password(&self, name: &str, password: &str) -> Result<Arc<str>, AdminError> {
        let unknown = || AdminError::NotFound(format!("user {name:?}"));
        if self.users.user(name).await?.is_none() {
            return Err(unknown());
        }
        let hash = self.hashed(password, self.hash).await?;
        if !self.users.set_password(name, hash.clone(), self.clock.now()).await? {
            return Err(unknown());
        }
        self.meter.store_writes.add();
        // This node knows at once, whatever it follows.
        if let Some(cache) = &self.cache {
            cache.copy().revoke(&Revocation::Password(name.into()), None);
        }
        Ok(hash)
    }

    async fn hashed(&self, password: &str, hash: PasswordHash) -> Result<Arc<str>, AdminError> {
        match self.pool.hash(Zeroizing::new(password.to_owned()), hash).await {
            Ok(hash) => Ok(hash.into()),
            Err(PoolError::Hash(error @ HashError::TooLong)) => Err(AdminError::BadRequest(error.to_string())),
            Err(error) => Err(AdminError::Store(error.to_string())),
        }
    }
}

/// A password that nobody can guess.
pub(super) fn password() -> Result<Zeroizing<String>, SysError> {
    Ok(Zeroizing::new(base62::random::<PASSWORD, _>(&mut SysRng)?.map(char::from).into_iter().collect()))
}

fn no_random(error: SysError) -> AdminError {
    AdminError::Store(format!("the operating system gave no random bytes: {error}"))
}
