//! authbench: measures, on the user's own machine, what each API authentication method costs and how fast it lets go
//! of a stolen credential.
//!
//! ```text
//! scenario → plan → target + credentials → load → record → run (disk) → summary, compare → report
//! ```
//!
//! A module uses what stands left of it, never what stands right. The record is the hinge: everything after it works
//! from files alone.

pub mod attack;
pub mod cell;
pub mod cli;
pub mod compare;
pub mod credential;
pub mod doctor;
pub mod in_process;
pub mod load;
pub mod machine;
pub mod measure;
pub mod outcome;
pub mod plan;
pub mod progress;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod stats;
pub mod target;
