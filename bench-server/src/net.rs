//! Bytes to requests and back: accept, TLS, HTTP, routing, problem answers.
//!
//! Everything here is the same code for every method: what a variant adds is inside
//! [`Method::authenticate`](crate::auth::Method::authenticate).

pub(crate) mod accept;
pub(crate) mod bind;
mod hello;
pub(crate) mod http;
mod json;
mod ocsp;
pub(crate) mod openapi;
pub(crate) mod problem;
pub(crate) mod route;
mod slow_down;
mod socket;
pub(crate) mod tls;
