//! Used nonces: a key for each, which Redis removes by itself.

use std::time::Duration;

use super::Redis;
use crate::store::StoreError;
use crate::store::nonces::Nonce;

impl Redis {
    /// Whether it is the first use; it is remembered for so long. Not asked again where a connection was lost: a second
    /// question would find what the first one wrote.
    pub(crate) async fn use_up(&self, nonce: &Nonce, lives: Duration) -> Result<bool, StoreError> {
        let milliseconds = u64::try_from(lives.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut command = redis::cmd("SET");
        command.arg(self.name(&format!("nonce:{}", nonce.to_hex()))).arg(1).arg("NX").arg("PX").arg(milliseconds);
        let set: Option<String> = self.ask_once("write", &command).await?;
        Ok(set.is_some())
    }
}
