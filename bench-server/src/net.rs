//! Bytes to requests and back: accept, TLS, HTTP, routing, problem answers.
