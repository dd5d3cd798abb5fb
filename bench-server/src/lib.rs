//! The reference server of authbench: API keys, OAuth 2.0, JWT, HTTP Basic and mTLS, implemented for real.
//!
//! ```text
//! bytes → accept → TLS → HTTP → extract credential → authenticate → authorise → resource → response
//! ```
//!
//! Everything before and after [`auth::Method::authenticate`] is the same code for every method: fairness by
//! construction. What a load client may know of the server is in [`contract`].

pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contract;
pub mod control;
pub mod credential;
mod demo;
mod error;
mod expiring;
pub mod issuer;
pub mod limit;
#[cfg(test)]
mod mutated;
pub mod net;
pub mod server;
pub mod store;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod verify;

pub use server::{Running, StartError, start};
