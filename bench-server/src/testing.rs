//! What tests of methods begin with: a process that is a folder and a clock, and a profile that is its method.

use std::path::Path;
use std::sync::Arc;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use tempfile::TempDir;

use crate::auth::{Connection, Environment, Method, Principal, Rejection, Request};
use crate::clock::{Clock, UnixTime};
use crate::config::{ClockMode, MethodConfig, Profile, READ_SCOPE};
use crate::contract::{IssueRequest, Issued};
use crate::credential::x509::ClientIdentity;

/// The profile of a [`Bench`].
pub(crate) const PROFILE: &str = "test";

/// What a method is built from, with its files in that folder. There is no authorization server.
pub(crate) fn environment(folder: &Path) -> Environment {
    Environment {
        shared_dir: folder.to_owned(),
        clock: Clock::new(ClockMode::Controlled),
        meter: Arc::default(),
        authorization_server: None,
        ca_file: folder.join("unused.pem"),
    }
}

/// A profile that asks for the scope to read and for nothing else.
pub(crate) fn profile(name: &str, method: MethodConfig) -> Profile {
    let (name, path, scope) = (name.to_owned(), "/".to_owned(), READ_SCOPE.to_owned());
    Profile { name, path, scope, method, users_only: false, slow_down: None }
}

/// A connection from somewhere, with the certificate that its client showed.
pub(crate) fn connection(client: Option<Arc<ClientIdentity>>) -> Connection {
    Connection::new(([127, 0, 0, 1], 1).into(), client)
}

/// A method with its process around it.
pub(crate) struct Bench {
    pub(crate) method: Method,
    pub(crate) environment: Environment,
    pub(crate) folder: TempDir,
}

impl Bench {
    /// In a folder of its own.
    pub(crate) async fn new(method: MethodConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::within(environment(folder.path()), folder, method).await
    }

    /// In an environment whose files are in that folder.
    pub(crate) async fn within(environment: Environment, folder: TempDir, method: MethodConfig) -> Self {
        let method = Method::build(&profile(PROFILE, method), &environment).await.expect("a sound configuration");
        Self { method, environment, folder }
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.environment.clock.now()
    }

    pub(crate) async fn issue(&self) -> Issued {
        let request = IssueRequest { count: 1, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
        self.method.issue(&request).await.expect("issued").remove(0)
    }

    /// Presents what stands in the field `Authorization`.
    pub(crate) async fn present(&self, value: HeaderValue, now: UnixTime) -> Result<Principal, Rejection> {
        self.send(Some(value), &connection(None), now).await
    }

    /// Presents a bearer token; `None` where HTTP does not carry it.
    pub(crate) async fn bearer(&self, token: &str, now: UnixTime) -> Option<Result<Principal, Rejection>> {
        let value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        Some(self.present(value, now).await)
    }

    /// Sends a request with the field `Authorization` or without it.
    pub(crate) async fn send(
        &self,
        value: Option<HeaderValue>,
        connection: &Connection,
        now: UnixTime,
    ) -> Result<Principal, Rejection> {
        let mut head = http::Request::new(()).into_parts().0;
        head.headers.extend(value.map(|value| (AUTHORIZATION, value)));
        self.method.authenticate(&Request { head: &head, connection, now }).await
    }
}
