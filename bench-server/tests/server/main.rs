//! The server from outside: what it answers over its sockets, its control socket and its command line.
//!
//! One program, since each would be linked with all that there is, and a machine waits less when tests that wait run side by side.
#![allow(missing_docs)]

mod api_keys;
mod authorization_code;
mod basic;
mod command;
mod common;
mod cross_cutting;
mod exchange;
mod jwt;
mod killed;
mod layered;
mod methods;
mod mixed;
mod mtls;
mod oauth2;
mod oauth2_crate;
mod ocsp;
mod replicas;
mod scanner;
mod secrets;
mod signed;
mod sizes;
mod tls;
mod transport;
