//! What Redis tells by itself: that revocations were added (publish and subscribe), or which keys were written (client
//! tracking in broadcast mode). Both arrive in the third version of its protocol as pushes, on a connection of their own.

use redis::aio::MultiplexedConnection;
use redis::{Client, ProtocolVersion, PushInfo, PushKind, Value};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::Redis;
use crate::config::Push;
use crate::credential::digest::Digest;
use crate::store::StoreError;
use crate::store::follow::News;
use crate::store::record::Revocation;

/// A connection on which Redis tells what changes.
pub(crate) struct Listening {
    store: Redis,
    connection: MultiplexedConnection,
    pushed: UnboundedReceiver<PushInfo>,
}

impl Redis {
    /// Listens from now on: what is written after this returns is told.
    pub(crate) async fn listen(&self, push: Push) -> Result<Listening, StoreError> {
        let shown = &self.0.shown;
        let failed = |what: &str| {
            let what = format!("{what} {shown}");
            move |error| StoreError::new(what, error)
        };
        let (told, pushed) = mpsc::unbounded_channel();
        let info = self.0.client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings)).map_err(failed("connect to"))?;
        let config = self.connection_config().set_push_sender(told);
        let connected = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = connected.map_err(failed("connect to"))?;
        match push {
            Push::Tracking => {
                let mut track = redis::cmd("CLIENT");
                track.arg("TRACKING").arg("ON").arg("BCAST");
                for kind in ["key:", "user:"] {
                    track.arg("PREFIX").arg(self.name(kind));
                }
                track.exec_async(&mut connection).await.map_err(failed("track the keys of"))?;
            }
            Push::Pubsub | Push::Notify => {
                let channel = self.name("revocations");
                connection.subscribe(channel).await.map_err(failed("subscribe at"))?;
            }
        }
        Ok(Listening { store: self.clone(), connection, pushed })
    }
}

impl Listening {
    /// Waits for what Redis tells next; `None` when the connection is lost. Nothing is lost when the wait is given up.
    pub(crate) async fn next(&mut self) -> Option<News> {
        loop {
            let PushInfo { kind, data } = self.pushed.recv().await?;
            match kind {
                PushKind::Disconnection => return None,
                PushKind::Message => return Some(News::Added),
                PushKind::Invalidate => return Some(self.written(&data)),
                _ => {} // the answer to our subscription
            }
        }
    }

    /// Asks for a sign of life.
    pub(crate) async fn ping(&mut self) -> Result<(), StoreError> {
        let asked = redis::cmd("PING").exec_async(&mut self.connection).await;
        asked.map_err(|error| StoreError::new(format!("hear from {}", self.store.0.shown), error))
    }

    /// The records whose keys are named; all of them where Redis names none (`FLUSHALL`).
    fn written(&self, data: &[Value]) -> News {
        let Some(Value::Array(names)) = data.first() else { return News::Anything };
        let record = |name: &Value| {
            let Value::BulkString(name) = name else { return None };
            let rest = std::str::from_utf8(name).ok()?.strip_prefix(&self.store.0.prefix)?;
            match rest.split_once(':')? {
                ("key", digest) => Digest::from_hex(digest).map(Revocation::Key),
                ("user", name) => Some(Revocation::Password(name.into())),
                _ => None,
            }
        };
        let written: Option<Vec<_>> = names.iter().map(record).collect();
        // What cannot be read might be anything.
        written.map_or(News::Anything, News::Written)
    }
}
