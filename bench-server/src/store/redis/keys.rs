//! Keys in Redis, beside looking them up.
//!
//! Several may change the same record at the same time: one revokes a key while another replaces it. So each reads the record,
//! and a script writes it only if it is still what was read; whoever comes too late reads it again.

use std::collections::HashMap;
use std::sync::Arc;

use redis::{Arg, Pipeline};

use super::{Owned, Redis, StoredKey, json};
use crate::clock::UnixTime;
use crate::credential::digest::Digest;
use crate::store::StoreError;
use crate::store::record::{KeyRecord, Replaced, Replacement, Revocation, UsageBatch, UsageLine};

/// Carries out commands, each as its length and its words, if every key still holds the text that stands at its place; a key that
/// is not there holds an empty one.
const IF_UNCHANGED: &str = "
    for number, key in ipairs(KEYS) do
        if (redis.call('GET', key) or '') ~= ARGV[number] then return 0 end
    end
    local at = #KEYS + 1
    while at <= #ARGV do
        local last = at + tonumber(ARGV[at])
        redis.call(unpack(ARGV, at + 1, last))
        at = last + 1
    end
    return 1";

/// Lines of usage written by one script: Lua takes some thousands of words at once.
const LINES: usize = 500;

/// How long the number of a writer's last batch is kept after it: longer than one is repeated.
const WRITER_KEPT_S: u64 = 86_400;

/// A record, and what it was read from.
struct Found {
    digest: Digest,
    text: Vec<u8>,
    record: StoredKey,
}

impl Redis {
    pub(crate) async fn key_named(&self, id: &str) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        let found = self.find(id).await?;
        found.map(|found| self.read_key(&found.digest, &found.text).map(Arc::new)).transpose()
    }

    pub(crate) async fn keys_of(&self, owner: &str) -> Result<Vec<Arc<KeyRecord>>, StoreError> {
        let mut records = Vec::new();
        for id in self.names_of(owner).await? {
            records.extend(self.key_named(&id).await?);
        }
        Ok(records)
    }

    /// The digest of the key, if there is one of that name.
    pub(crate) async fn revoke_key(&self, id: &str, until: UnixTime) -> Result<Option<Digest>, StoreError> {
        loop {
            let Some(Found { digest, text, record }) = self.find(id).await? else { return Ok(None) };
            let mut write = redis::pipe();
            write.set(self.key_name(&digest), json(&StoredKey { revoked: true, ..record })).ignore();
            self.append_to(&mut write, &Revocation::Key(digest), until);
            self.publish(&mut write);
            if self.tell_if(&[(self.key_name(&digest), text)], &write).await? {
                return Ok(Some(digest));
            }
        }
    }

    pub(crate) async fn add_key(&self, record: &KeyRecord) -> Result<bool, StoreError> {
        let mut write = redis::pipe();
        self.insert_into(&mut write, record, Owned::Yes);
        write.cmd("INCR").arg(self.name("keys")).ignore();
        self.tell_if(&[(self.suspended_name(&record.application), Vec::new())], &write).await
    }

    pub(crate) async fn replace_key(
        &self,
        id: &str,
        replacement: &Replacement,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<Replaced, StoreError> {
        loop {
            let Some(Found { digest, text, .. }) = self.find(id).await? else { return Ok(Replaced::Unknown) };
            let found = self.read_key(&digest, &text)?;
            let Some(old) = replacement.end(&found, now) else { return Ok(Replaced::NotLive) };
            let mut write = redis::pipe();
            write.set(self.key_name(&digest), json(&StoredKey::from(&old))).ignore();
            self.insert_into(&mut write, &replacement.successor, Owned::Yes);
            write.cmd("INCR").arg(self.name("keys")).ignore();
            self.append_to(&mut write, &Revocation::Key(digest), until);
            self.publish(&mut write);
            // An owner who is suspended meanwhile gets no key that the suspension does not know of.
            let unchanged = [(self.key_name(&digest), text), (self.suspended_name(&old.application), Vec::new())];
            if self.tell_if(&unchanged, &write).await? {
                return Ok(Replaced::Done(digest));
            }
        }
    }

    pub(crate) async fn redigest(
        &self,
        from: &Digest,
        to: &Digest,
        pepper: u32,
        until: UnixTime,
    ) -> Result<bool, StoreError> {
        loop {
            let found: Option<Vec<u8>> = self.ask("read", redis::cmd("GET").arg(self.key_name(from))).await?;
            let Some(text) = found else { return Ok(false) };
            let record = self.read_stored(&text)?;
            let mut write = redis::pipe();
            write.set(self.id_name(&record.id), to.to_hex()).ignore();
            write.set(self.key_name(to), json(&StoredKey { pepper, ..record })).ignore();
            write.del(self.key_name(from)).ignore();
            self.append_to(&mut write, &Revocation::Key(*from), until);
            self.publish(&mut write);
            if self.tell_if(&[(self.key_name(from), text)], &write).await? {
                return Ok(true);
            }
        }
    }

    /// The mark comes first: from then on the owner gets no more keys, so those that are read after it are all.
    pub(crate) async fn suspend(&self, owner: &str, suspended: bool, until: UnixTime) -> Result<bool, StoreError> {
        if self.names_of(owner).await?.is_empty() {
            return Ok(false);
        }
        let mark = self.suspended_name(owner);
        if suspended {
            let () = self.ask("write", redis::cmd("SET").arg(&mark).arg(1)).await?;
        }
        for id in self.names_of(owner).await? {
            while let Some(Found { digest, text, record }) = self.find(&id).await? {
                let mut write = redis::pipe();
                write.set(self.key_name(&digest), json(&StoredKey { suspended, ..record })).ignore();
                if self.tell_if(&[(self.key_name(&digest), text)], &write).await? {
                    break;
                }
            }
        }
        let mut write = redis::pipe();
        write.atomic();
        if suspended {
            self.append_to(&mut write, &Revocation::Owner(owner.into()), until);
        } else {
            write.del(mark).ignore();
        }
        self.publish(&mut write);
        self.tell("write", &write).await?;
        Ok(true)
    }

    pub(crate) async fn add_usage(&self, batch: &UsageBatch) -> Result<(), StoreError> {
        // Each part under a number of its own, so that a batch of which a part was written goes on from there.
        let writer = self.name(&format!("writer:{}", batch.writer));
        for (part, lines) in batch.lines.chunks(LINES).enumerate() {
            let number = format!("{:020}.{part:010}", batch.number);
            let last: Option<String> = self.ask("read", redis::cmd("GET").arg(&writer)).await?;
            let last = last.unwrap_or_default();
            if last >= number {
                continue;
            }
            let mut write = redis::pipe();
            write.cmd("SET").arg(&writer).arg(&number).arg("EX").arg(WRITER_KEPT_S).ignore();
            for UsageLine { key, requests, last_used } in lines {
                write.cmd("HINCRBY").arg(self.name("usage")).arg(&**key).arg(*requests).ignore();
                write.cmd("ZADD").arg(self.name("last-used")).arg("GT").arg(*last_used).arg(&**key).ignore();
            }
            // Nobody else writes under this name: where it has moved on all the same, this part was written in an attempt whose
            // answer was lost.
            self.tell_if(&[(writer.clone(), last.into_bytes())], &write).await?;
        }
        Ok(())
    }

    pub(crate) async fn usage_of(&self, keys: Vec<Arc<str>>) -> Result<Vec<UsageLine>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (mut counts, mut times) = (redis::cmd("HMGET"), redis::cmd("ZMSCORE"));
        counts.arg(self.name("usage"));
        times.arg(self.name("last-used"));
        for key in &keys {
            counts.arg(&**key);
            times.arg(&**key);
        }
        let counts: Vec<Option<u64>> = self.ask("read", &counts).await?;
        let times: Vec<Option<f64>> = self.ask("read", &times).await?;
        let lines = keys.into_iter().zip(counts).zip(times);
        Ok(lines.filter_map(|((key, requests), last_used)| line(key, requests?, last_used)).collect())
    }

    pub(crate) async fn usage(&self) -> Result<Vec<UsageLine>, StoreError> {
        let counts: HashMap<String, u64> = self.ask("read", redis::cmd("HGETALL").arg(self.name("usage"))).await?;
        let mut range = redis::cmd("ZRANGE");
        range.arg(self.name("last-used")).arg(0).arg(-1).arg("WITHSCORES");
        let times: Vec<(String, f64)> = self.ask("read", &range).await?;
        let times: HashMap<String, f64> = times.into_iter().collect();
        let lines = counts.into_iter();
        let lines = lines.filter_map(|(key, requests)| line(key.as_str().into(), requests, times.get(&key).copied()));
        let mut lines: Vec<UsageLine> = lines.collect();
        lines.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(lines)
    }

    /// Adds what a key consists of, but for the count of keys.
    pub(super) fn insert_into(&self, write: &mut Pipeline, record: &KeyRecord, owned: Owned) {
        write.set(self.key_name(&record.digest), json(&StoredKey::from(record))).ignore();
        write.set(self.id_name(&record.id), record.digest.to_hex()).ignore();
        if owned == Owned::Yes {
            write.sadd(self.name(&format!("owned:{}", record.application)), &*record.id).ignore();
        }
    }

    /// The record of that name as it is now.
    async fn find(&self, id: &str) -> Result<Option<Found>, StoreError> {
        loop {
            let digest: Option<String> = self.ask("read", redis::cmd("GET").arg(self.id_name(id))).await?;
            let Some(digest) = digest else { return Ok(None) };
            let digest = Digest::from_hex(&digest).ok_or_else(|| self.unreadable("the digest of a key"))?;
            let text: Option<Vec<u8>> = self.ask("read", redis::cmd("GET").arg(self.key_name(&digest))).await?;
            // Without a record the key was digested anew in between, and has another digest by now.
            if let Some(text) = text {
                let record = self.read_stored(&text)?;
                return Ok(Some(Found { digest, text, record }));
            }
        }
    }

    async fn names_of(&self, owner: &str) -> Result<Vec<String>, StoreError> {
        let owned = self.name(&format!("owned:{owner}"));
        let mut names: Vec<String> = self.ask("read", redis::cmd("SMEMBERS").arg(owned)).await?;
        names.sort_unstable();
        Ok(names)
    }

    fn read_stored(&self, text: &[u8]) -> Result<StoredKey, StoreError> {
        serde_json::from_slice(text).map_err(|_| self.unreadable("the record of a key"))
    }

    fn id_name(&self, id: &str) -> String {
        self.name(&format!("id:{id}"))
    }

    fn suspended_name(&self, owner: &str) -> String {
        self.name(&format!("suspended:{owner}"))
    }

    /// Carries all of it out if these keys hold these texts; tells whether they did.
    async fn tell_if(&self, unchanged: &[(String, Vec<u8>)], commands: &Pipeline) -> Result<bool, StoreError> {
        let mut script = redis::cmd("EVAL");
        script.arg(IF_UNCHANGED).arg(unchanged.len());
        for (name, _) in unchanged {
            script.arg(name);
        }
        for (_, text) in unchanged {
            script.arg(text);
        }
        for command in commands.cmd_iter() {
            script.arg(command.args_iter().len());
            for word in command.args_iter() {
                if let Arg::Simple(word) = word {
                    script.arg(word);
                }
            }
        }
        let done: u64 = self.ask_once("write", &script).await?;
        Ok(done == 1)
    }
}

fn line(key: Arc<str>, requests: u64, last_used: Option<f64>) -> Option<UsageLine> {
    // Redis keeps a score as a double, which holds seconds exactly.
    Some(UsageLine { key, requests, last_used: last_used? as u64 })
}
