//! `authbench`.
fn main() {}
