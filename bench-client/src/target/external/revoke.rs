//! Taking a credential back as the scenario says: by a request, or by a command that is executed without a shell.

use std::path::PathBuf;
use std::process::Stdio;

use bench_server::contract::Issued;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::environment::{Environment, presented};
use super::http::{Http, TIMEOUT};
use crate::plan::{Revoke, RevokeRequest, Slot, Template};

/// What may stand unencoded wherever an id is put into a URL (RFC 3986 §2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// So much of a failed command's standard error is quoted.
const QUOTED: usize = 300;

/// Revokes credentials of one variant.
pub(super) struct Revoker {
    pub(super) revoke: Revoke,
    pub(super) folder: PathBuf,
    pub(super) environment: Environment,
    pub(super) http: Http,
}

impl Revoker {
    /// Returns with the acknowledgement, within [`TIMEOUT`].
    ///
    /// # Errors
    /// What came back, without secrets.
    pub(super) async fn revoke(&self, credential: &Issued) -> Result<(), String> {
        let revoked = match &self.revoke {
            Revoke::Request(request) => self.send(request, credential).await,
            Revoke::Command(words) => self.execute(words, credential).await,
        };
        revoked.map_err(|message| self.environment.redact(&message, Some(credential)))
    }

    async fn send(&self, written: &RevokeRequest, credential: &Issued) -> Result<(), String> {
        let url = public(&written.url, credential, |text| utf8_percent_encode(text, ENCODED).to_string())?;
        let method = reqwest::Method::from_bytes(written.method.as_bytes())
            .map_err(|_| format!("{:?} is no HTTP method", written.method))?;
        let asked = format!("{method} {url}");
        let mut request = self.http.client.request(method, url);
        for field in &written.header {
            request = request.header(&field.name, self.environment.fill_for(&field.value, credential)?);
        }
        if !written.form.is_empty() {
            let mut form = Vec::new();
            for (name, value) in &written.form {
                form.push((name, self.environment.fill_for(value, credential)?));
            }
            request = request.form(&form);
        }
        let answer = self.http.send(&asked, request).await?;
        match written.status.contains(&answer.status.as_u16()) {
            true => Ok(()),
            false => Err(format!("{asked} was {}", self.http.describe(&answer, Some(credential)))),
        }
    }

    /// The credential goes to standard input, which only the command can read.
    async fn execute(&self, words: &[Template], credential: &Issued) -> Result<(), String> {
        let mut filled = Vec::with_capacity(words.len());
        for word in words {
            filled.push(public(word, credential, str::to_owned)?);
        }
        let (program, arguments) = filled.split_first().ok_or("no command")?;
        // A path is the scenario's; a bare name is looked for as a shell would.
        let path = if program.contains('/') { self.folder.join(program) } else { program.into() };
        let mut child = Command::new(&path)
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot execute {}: {error}", path.display()))?;
        let stdin = child.stdin.take();
        let ended = async {
            if let Some(mut stdin) = stdin {
                // A command that does not want to know may close it unread.
                let _ = stdin.write_all(format!("{}\n", presented(credential)).as_bytes()).await;
            }
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(TIMEOUT, ended)
            .await
            .map_err(|_| format!("{program} did not end within {} s", TIMEOUT.as_secs()))?
            .map_err(|error| format!("{program}: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = self.environment.redact(&String::from_utf8_lossy(&output.stderr), Some(credential));
        let said: String = said.trim().chars().take(QUOTED).collect();
        Err(format!("{program} ended with {}: {said}", output.status))
    }
}

/// A template in which nothing is secret.
fn public(template: &Template, credential: &Issued, encode: impl Fn(&str) -> String) -> Result<String, String> {
    template.fill(|slot| match slot {
        Slot::Id => Ok(encode(&credential.id)),
        Slot::Principal => Ok(encode(&credential.principal)),
        Slot::Credential | Slot::Variable(_) => Err(format!("{:?} would show a secret", template.text())),
    })
}
