//! Why something could not be built or administered, as every layer from the stores up says it.

/// Why a method, a store or a server could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The configuration contradicts itself or asks for something unsafe.
    #[error("{0}")]
    Config(String),
    /// A file, key or database could not be made or read.
    #[error("{what}: {source}")]
    State {
        /// What was being done, with the path.
        what: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why an administrative request failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No such credential or profile: 404.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The request is wrong: 400.
    #[error("{0}")]
    BadRequest(String),
    /// Whoever asks has not got what they would give away; the problem type says what: 403.
    #[error("not allowed: {0}")]
    Forbidden(&'static str),
    /// It is not possible as things stand: 409.
    #[error("{0}")]
    Conflict(String),
    /// The method does not issue here; for OAuth 2.0 the token endpoint does: 405.
    #[error("{0}")]
    NotHere(&'static str),
    /// The store failed: 503.
    #[error("{0}")]
    Store(String),
}
