//! The load client from outside: its commands, what it measures, and what it says of that.
//!
//! One program, since each would be linked with all that there is.
#![allow(missing_docs)]

mod attack;
mod beside;
mod check;
mod compare;
mod connections;
mod doctor;
mod events;
mod gateways;
mod machine;
mod refresh;
mod refusals;
mod replicas;
mod report;
mod run;
mod schema;
mod signed;
mod verify;
