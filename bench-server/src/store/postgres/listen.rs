//! What PostgreSQL tells by itself: that revocations were added (`LISTEN`, `NOTIFY`), on a connection of its own.

use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use super::Postgres;
use crate::store::StoreError;
use crate::store::follow::News;

/// A connection on which PostgreSQL tells what is added.
pub(crate) struct Listening {
    store: Postgres,
    client: Client,
    told: UnboundedReceiver<()>,
}

impl Postgres {
    /// Listens from now on: what is committed after this returns is told.
    pub(crate) async fn listen(&self) -> Result<Listening, StoreError> {
        let (client, mut connection) = self.in_time("connect to", self.0.config.connect(NoTls)).await?;
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut messages = stream::poll_fn(|context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if matches!(message, AsyncMessage::Notification(_)) && tell.send(()).is_err() {
                    return;
                }
            }
            // Here `tell` goes, and who listens hears that the connection is lost.
        });
        let listen = format!("LISTEN \"{}\"", self.0.schema);
        self.in_time("listen at", client.batch_execute(&listen)).await?;
        Ok(Listening { store: self.clone(), client, told })
    }
}

impl Listening {
    /// Waits for what PostgreSQL tells next; `None` when the connection is lost. Nothing is lost when the wait is given up.
    pub(crate) async fn next(&mut self) -> Option<News> {
        self.told.recv().await?;
        Some(News::Added)
    }

    /// Asks for a sign of life.
    pub(crate) async fn ping(&mut self) -> Result<(), StoreError> {
        self.store.in_time("hear from", self.client.check_connection()).await
    }
}
