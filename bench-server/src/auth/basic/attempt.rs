//! One look at a password, counted where failures are.

use std::sync::Arc;

use crate::auth::{Rejection, Request};
use crate::clock::UnixTime;
use crate::limit::throttle::{Throttle, Who};

/// Whose it is, and from where. It goes along to the thread that hashes.
pub(super) struct Attempt {
    throttle: Arc<Throttle>,
    who: Who,
    now: UnixTime,
}

impl Attempt {
    pub(super) fn new(throttle: &Arc<Throttle>, name: &str, request: &Request<'_>) -> Self {
        let who = throttle.who(name, Some(request.connection.peer.ip()));
        Self { throttle: throttle.clone(), who, now: request.now }
    }

    /// # Errors
    /// [`Rejection::TooMany`].
    pub(super) fn check(&self) -> Result<(), Rejection> {
        self.throttle.check(self.who, self.now).map_err(Rejection::TooMany)
    }

    /// The password was looked at.
    pub(super) fn ended(&self, right: bool) {
        if right {
            self.succeeded();
        } else {
            self.throttle.failed(self.who, self.now);
        }
    }

    pub(super) fn succeeded(&self) {
        self.throttle.succeeded(self.who);
    }
}
