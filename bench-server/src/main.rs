//! bench-server.
fn main() {}
