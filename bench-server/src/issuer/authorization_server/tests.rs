//! The authorization server without a network: requests go to `handle`, time is moved by hand.

mod authorization;
mod fixture;
mod tokens;
