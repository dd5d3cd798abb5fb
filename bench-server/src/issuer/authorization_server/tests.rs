//! The authorization server without a network: requests go to `handle`, time is moved by hand.

mod assertions;
mod authorization;
mod bound;
mod fixture;
mod tokens;
