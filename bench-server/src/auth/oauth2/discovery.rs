//! Where the authorization server's endpoints are, by its metadata (RFC 8414).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::auth::BuildError;
use crate::auth::outbound::{Http, Trouble};
use crate::clock::UnixTime;
use crate::config::KnownIssuer;
use crate::issuer::authorization_server::WELL_KNOWN;

/// The least time between two attempts while the authorization server is down.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// The part of the metadata that a resource server needs.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) introspection_endpoint: Option<String>,
    pub(super) jwks_uri: Option<String>,
}

/// Fetches the metadata when it is first needed, and keeps it.
pub(in crate::auth) struct Discovery {
    issuer: Url,
    /// As configured: compared byte for byte.
    issuer_text: String,
    http: Arc<Http>,
    /// The endpoints that are known beforehand. Where any is, no metadata are asked for.
    known: Option<Arc<Metadata>>,
    found: ArcSwapOption<Metadata>,
    /// When it was last tried; locked while somebody tries.
    last: Arc<Mutex<Option<UnixTime>>>,
}

impl Discovery {
    /// # Errors
    /// [`BuildError::Config`] when the issuer is not an http(s) URL without query and fragment (RFC 8414 §2).
    pub(in crate::auth) fn new(issuer: &str, http: Arc<Http>, known: &KnownIssuer) -> Result<Self, BuildError> {
        let url = Url::parse(issuer).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.filter(|url| url.query().is_none() && url.fragment().is_none());
        let remedy = || BuildError::Config(format!("issuer {issuer:?}: use an http(s) URL without query and fragment"));
        let url = url.ok_or_else(remedy)?;
        let known = Metadata {
            issuer: issuer.to_owned(),
            introspection_endpoint: known.introspection_endpoint.clone(),
            jwks_uri: known.jwks_uri.clone(),
        };
        if let Some(unsafe_one) = known.endpoints().find(|endpoint| !is_as_safe(endpoint, &url)) {
            let remedy = "use https, as the issuer does; http only where the issuer has it";
            return Err(BuildError::Config(format!("known: endpoint {unsafe_one:?}: {remedy}")));
        }
        let known = known.endpoints().next().is_some().then(|| Arc::new(known.clone()));
        let found = ArcSwapOption::from(known.clone());
        Ok(Self { issuer: url, issuer_text: issuer.to_owned(), http, known, found, last: Arc::default() })
    }

    /// The endpoints, where they are known beforehand.
    pub(super) fn known(&self) -> Option<&Metadata> {
        self.known.as_deref()
    }

    /// The metadata; `None` while it cannot be had. Whoever comes while it is being fetched waits for that.
    pub(super) async fn metadata(self: &Arc<Self>, now: UnixTime) -> Option<Arc<Metadata>> {
        if let Some(found) = self.found.load_full() {
            return Some(found);
        }
        let mut last = self.last.clone().lock_owned().await;
        if let Some(found) = self.found.load_full() {
            return Some(found);
        }
        if is_recent(*last, now, RETRY) {
            return None;
        }
        *last = Some(now);
        // A task of its own: a caller who hangs up must not undo the work for the others.
        let this = self.clone();
        let fetch = tokio::spawn(async move {
            let fetched = this.fetch().await;
            if let Err(trouble) = &fetched {
                tracing::warn!(issuer = this.issuer_text, %trouble, "no authorization server metadata");
            }
            this.found.store(fetched.ok().map(Arc::new));
            drop(last);
        });
        fetch.await.ok()?;
        self.found.load_full()
    }

    /// Whether the metadata can be had now, whatever is kept of them. For who needs them: see [`Self::known`].
    pub(super) async fn probe(&self) -> Result<(), Trouble> {
        self.fetch().await.map(drop)
    }

    async fn fetch(&self) -> Result<Metadata, Trouble> {
        let mut url = self.issuer.clone();
        url.set_path(&format!("{WELL_KNOWN}{}", self.issuer.path().trim_end_matches('/')));
        let body = self.http.get(url.as_str()).await?;
        let metadata: Metadata = serde_json::from_slice(&body).map_err(|error| Trouble::Content(error.to_string()))?;
        if metadata.issuer != self.issuer_text {
            return Err(Trouble::Content(format!("it is the metadata of issuer {:?}", metadata.issuer)));
        }
        if let Some(endpoint) = metadata.endpoints().find(|endpoint| !is_as_safe(endpoint, &self.issuer)) {
            return Err(Trouble::Content(format!("endpoint {endpoint:?} is not as safe as the issuer")));
        }
        Ok(metadata)
    }
}

impl Metadata {
    fn endpoints(&self) -> impl Iterator<Item = &String> {
        [&self.introspection_endpoint, &self.jwks_uri].into_iter().flatten()
    }
}

fn is_as_safe(endpoint: &str, issuer: &Url) -> bool {
    let scheme = Url::parse(endpoint).map(|url| url.scheme().to_owned()).unwrap_or_default();
    scheme == "https" || scheme == "http" && issuer.scheme() == "http"
}

/// Whether less than `spacing` has passed since `last`.
pub(super) fn is_recent(last: Option<UnixTime>, now: UnixTime, spacing: Duration) -> bool {
    last.is_some_and(|last| now.0.saturating_sub(last.0) < spacing)
}
