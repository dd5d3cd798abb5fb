//! `bench-server --demo`: every method in one process, with curl lines that work when pasted.
//!
//! What it prints is a shell script: explanations are comments. The credentials die with the process, which is why they
//! may stand in it.

use std::fmt::Write as _;
use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, StatusCode};
use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::cli::{Signals, not_started, print};
use crate::config::{
    Algorithm, ApiKeyConfig, AuthorizationServerConfig, BasicConfig, ClockMode, HttpVersion, JwtConfig, KeyEnvironment,
    ListenerConfig, MethodConfig, MtlsConfig, OAuth2Config, PasswordHash, Profile, READ_SCOPE, ServerConfig,
    SignedConfig, StoreConfig, TokenValidation, Transport,
};
use crate::contract::{ClientRegistration, IssueRequest, Issued, Material, Secret, UserRegistration};
use crate::control::Administration;
use crate::credential::http_signature::{ALGORITHM, COMPONENTS, TAG};
use crate::issuer::authorization_server::AuthorizationServer;
use crate::server::{Running, start};

const REDIRECT_URI: &str = "http://127.0.0.1/callback";
const USERNAME: &str = "demo";

/// Serves every method until SIGINT or SIGTERM. Ports of 0 are chosen by the system.
pub(crate) async fn run(port: u16, mtls_port: u16) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    // Gone at the end.
    let folder = tempfile::Builder::new()
        .prefix("authbench-demo-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .context("make a temporary folder")?;
    let server = match start(configuration(folder.path().join("state"), port, mtls_port)).await {
        Ok(server) => server,
        Err(error) => return Ok(not_started(&error)),
    };
    let script = script(&server, folder.path()).await;
    // Stopped also when the script could not be made, or nobody reads it.
    let printed = script.and_then(|script| print(&script));
    if printed.is_ok() {
        signals.any().await;
    }
    server.stop().await;
    printed.map(|()| ExitCode::SUCCESS)
}

pub(crate) fn configuration(state_dir: PathBuf, port: u16, mtls_port: u16) -> ServerConfig {
    let profile = |method: MethodConfig| Profile {
        name: method.name().to_owned(),
        path: format!("/{}", method.name()),
        scope: READ_SCOPE.to_owned(),
        method,
        users_only: false,
        slow_down: None,
    };
    let listener = |name: &str, port, profiles| ListenerConfig {
        name: name.to_owned(),
        bind: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        public_url: None,
        transport: Transport::Tls13,
        http: vec![HttpVersion::Http2, HttpVersion::Http1],
        key_exchange: None,
        profiles,
        authorization_server: false,
        ocsp_responder: None,
        key_management: None,
    };
    let main = vec![
        profile(MethodConfig::None),
        profile(MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Memory))),
        profile(MethodConfig::Basic(BasicConfig { throttle: true, ..BasicConfig::new(PasswordHash::ARGON2ID) })),
        profile(MethodConfig::Jwt(JwtConfig::new(Algorithm::ES256))),
        profile(MethodConfig::OAuth2(OAuth2Config::new(TokenValidation::Opaque { cache: None }))),
        profile(MethodConfig::Signed(SignedConfig::new(StoreConfig::Memory))),
    ];
    let mtls = vec![profile(MethodConfig::Mtls(MtlsConfig::new(Duration::from_secs(1))))];
    ServerConfig {
        listeners: vec![
            ListenerConfig { authorization_server: true, ..listener("main", port, main) },
            listener("mtls", mtls_port, mtls),
        ],
        workers: NonZeroUsize::MIN,
        cpus: Vec::new(),
        state_dir,
        shared_dir: None,
        clock: ClockMode::System,
        authorization_server: Some(AuthorizationServerConfig::default()),
        forging: false,
    }
}

async fn script(server: &Running, folder: &Path) -> anyhow::Result<String> {
    let administration = server.administration();
    let ready = server.ready();
    let (main, mtls) = (&ready.listeners[0].url, &ready.listeners[1].url);
    let curl = format!(r"curl -sS -w '\n' --cacert {}", quoted(&ready.ca_file.display().to_string()));
    let mut lines = vec![
        "# Every method in one process. Paste the lines into another shell; Ctrl-C here ends it all.".to_owned(),
        "# The credentials are throw-away: they die with this process. Never print real ones.".to_owned(),
        format!("# Files with them, for you alone: {}", folder.display()),
        String::new(),
        "# No authentication: the baseline.".to_owned(),
        format!("{curl} {main}/none"),
    ];
    for (name, title, base) in [
        ("api-key", "API key.", main),
        ("basic", "HTTP Basic (RFC 7617), Argon2id.", main),
        ("jwt", "JWT access token (RFC 9068), ES256.", main),
        ("mtls", "Client certificate.", mtls),
    ] {
        let issued = issue(administration, name).await?;
        let arguments = present(&issued.material, folder, name)?;
        lines.extend([String::new(), format!("# {title}"), format!("{curl} {arguments} {base}/{name}")]);
    }
    lines.extend(signed_lines(&issue(administration, "signed").await?, &curl, main, folder)?);
    lines.extend(oauth2_lines(administration.authorization_server()?, &curl, main, folder).await?);
    lines.extend([
        String::new(),
        "# Without a credential: 401, and the challenge says what is asked for.".to_owned(),
        format!("{curl} -i {main}/jwt"),
    ]);
    Ok(lines.join("\n"))
}

async fn issue(administration: &Administration, profile: &str) -> anyhow::Result<Issued> {
    let request = IssueRequest { count: 1, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
    let issued = administration.method(profile)?.issue(&request).await;
    let issued = issued.with_context(|| format!("issue a credential of {profile}"))?;
    issued.into_iter().next().with_context(|| format!("{profile} issued nothing"))
}

/// Writes a credential into files and returns curl's arguments that present it.
fn present(material: &Material, folder: &Path, name: &str) -> anyhow::Result<String> {
    Ok(match material {
        Material::None => String::new(),
        Material::ApiKey { key } => {
            write_private(&folder.join(format!("{name}.txt")), key.expose())?;
            format!("-H {}", quoted(&format!("X-API-Key: {}", key.expose())))
        }
        Material::Password { username, password } => {
            let pair = format!("{username}:{}", password.expose());
            write_private(&folder.join(format!("{name}.txt")), &pair)?;
            format!("-u {}", quoted(&pair))
        }
        Material::Bearer { token } => {
            write_private(&folder.join(format!("{name}.txt")), token.expose())?;
            format!("-H {}", quoted(&format!("Authorization: Bearer {}", token.expose())))
        }
        Material::SigningKey { .. } => bail!("each request is signed anew; no argument presents the key"),
        Material::Certificate { chain_pem, key_pem } => {
            let (chain, key) = (folder.join("client.pem"), folder.join("client.key"));
            write_private(&chain, chain_pem)?;
            write_private(&key, key_pem.expose())?;
            let (chain, key) = (chain.display().to_string(), key.display().to_string());
            format!("--cert {} --key {}", quoted(&chain), quoted(&key))
        }
    })
}

/// A request that is signed by the shell. The key is an argument of openssl's for a moment, as it may be in a demonstration.
fn signed_lines(issued: &Issued, curl: &str, base: &str, folder: &Path) -> anyhow::Result<Vec<String>> {
    let Material::SigningKey { key_id, key } = &issued.material else {
        bail!("method signed issued another kind of key")
    };
    let file = folder.join("signed.txt");
    write_private(&file, key.expose())?;
    let file = quoted(&file.display().to_string());
    let authority = base.split_once("://").map_or(base, |(_, authority)| authority);
    let covered = COMPONENTS.map(|name| format!(r#"\"{name}\""#)).join(" ");
    let parameters = format!(
        r#";created=$NOW;expires=$((NOW + 30));nonce=\"$(openssl rand -hex 16)\";keyid=\"{key_id}\";alg=\"{ALGORITHM}\";tag=\"{TAG}\""#
    );
    let signed = format!(
        r#"'"@method": GET\n"@authority": {authority}\n"@path": /signed\n"@query": ?\n"@signature-params": %s' "$INPUT""#
    );
    Ok(vec![
        String::new(),
        "# Signed request (RFC 9421), HMAC-SHA-256: signed anew each time, and refused the second time.".to_owned(),
        format!(r#"NOW=$(date +%s); INPUT="({covered}){parameters}""#),
        format!(
            "SIGNATURE=$(printf {signed} | openssl dgst -sha256 -mac HMAC -macopt hexkey:$(cat {file}) -binary | openssl \
             base64 -A)"
        ),
        format!(r#"{curl} -H "Signature-Input: sig1=$INPUT" -H "Signature: sig1=:$SIGNATURE:" {base}/signed"#),
    ])
}

/// Where the authorization server's metadata (RFC 8414) says that its endpoints are.
#[derive(Deserialize)]
struct Metadata {
    authorization_endpoint: String,
    token_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
}

async fn metadata(server: &AuthorizationServer, base: &str) -> anyhow::Result<Metadata> {
    const PATH: &str = "/.well-known/oauth-authorization-server";
    let request = Request::get(format!("{base}{PATH}")).body(Bytes::new()).context("ask for the metadata")?;
    match server.handle(&request).await {
        Some(answer) if answer.status() == StatusCode::OK => {
            serde_json::from_slice(answer.body()).context("read the authorization server's metadata")
        }
        _ => bail!("the authorization server has no metadata at {PATH}"),
    }
}

async fn oauth2_lines(
    server: &AuthorizationServer,
    curl: &str,
    base: &str,
    folder: &Path,
) -> anyhow::Result<Vec<String>> {
    let endpoints = metadata(server, base).await?;
    let service = server.register_client(&ClientRegistration {
        may_introspect: true,
        ..ClientRegistration::service("demo service", &[READ_SCOPE])
    })?;
    let secret = service.client_secret.context("a confidential client was given no secret")?;
    let pair = format!("{}:{}", service.client_id, secret.expose());
    write_private(&folder.join("oauth2-client.txt"), &pair)?;

    let app = server.register_client(&ClientRegistration {
        name: "demo app".to_owned(),
        confidential: false,
        grant_types: vec!["authorization_code".to_owned(), "refresh_token".to_owned()],
        redirect_uris: vec![REDIRECT_URI.to_owned()],
        scopes: vec![READ_SCOPE.to_owned()],
        may_introspect: false,
        access_token_lifetime: None,
        token_endpoint_auth_method: None,
        jwks: None,
        tls_client_auth_san_uri: None,
        tls_client_certificate_bound_access_tokens: false,
        environment: KeyEnvironment::Live,
    })?;
    let password = random()?;
    server
        .register_user(&UserRegistration { username: USERNAME.to_owned(), password: Secret::new(password.as_str()) })?;
    write_private(&folder.join("oauth2-user.txt"), &format!("{USERNAME}:{password}"))?;
    // Proof key for code exchange (RFC 7636 §4).
    let verifier = random()?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("response_type", "code")
        .append_pair("client_id", &app.client_id)
        .append_pair("redirect_uri", REDIRECT_URI)
        .append_pair("scope", READ_SCOPE)
        .append_pair("state", &random()?)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256")
        .finish();

    let (token, pair) = (quoted(&endpoints.token_endpoint), quoted(&pair));
    let mut exchange = format!("{curl} -d grant_type=authorization_code -d \"code=$CODE\"");
    for (name, value) in
        [("client_id", app.client_id.as_str()), ("redirect_uri", REDIRECT_URI), ("code_verifier", verifier.as_str())]
    {
        let _ = write!(exchange, " --data-urlencode {}", quoted(&format!("{name}={value}")));
    }
    Ok(vec![
        String::new(),
        "# OAuth 2.0, client credentials (RFC 6749 §4.4): get a token, use it, introspect it (RFC 7662),".to_owned(),
        "# revoke it (RFC 7009), and see it refused.".to_owned(),
        format!(
            "TOKEN=$({curl} -u {pair} -d grant_type=client_credentials -d scope={READ_SCOPE} {token} \
             | sed -n 's/.*\"access_token\" *: *\"\\([^\"]*\\)\".*/\\1/p')"
        ),
        format!("{curl} -H \"Authorization: Bearer $TOKEN\" {base}/oauth2"),
        format!("{curl} -u {pair} -d \"token=$TOKEN\" {}", quoted(&endpoints.introspection_endpoint)),
        format!("{curl} -u {pair} -d \"token=$TOKEN\" {}", quoted(&endpoints.revocation_endpoint)),
        format!("{curl} -i -H \"Authorization: Bearer $TOKEN\" {base}/oauth2"),
        String::new(),
        format!("# OAuth 2.0, authorization code with PKCE: log in as {USERNAME} with {password} at"),
        format!("#   {}?{query}", endpoints.authorization_endpoint),
        "# and exchange the code that the address bar ends with (no server is at that address):".to_owned(),
        format!("#   CODE=...; {exchange} {token}"),
    ])
}

/// 256 bits from the operating system, base64url.
fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes).context("the operating system's random source")?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn write_private(file: &Path, content: &str) -> anyhow::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    made.and_then(|mut made| writeln!(made, "{}", content.trim_end()))
        .with_context(|| format!("write {}", file.display()))
}

/// One word for a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_shell_unchanged() {
        let word = "it's \"$HOME\" `x` \\ *";
        let output = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", quoted(word))]).output();
        assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), word);
    }

    #[test]
    fn sr_1_what_the_shell_signs_is_accepted() {
        use crate::credential::http_signature::{Fields, Message, Presented, SIGNATURE, SIGNATURE_INPUT};

        let folder = tempfile::tempdir().unwrap();
        let material = Material::SigningKey { key_id: "sig-1".to_owned(), key: Secret::new("5a".repeat(32)) };
        let issued = Issued { id: "sig-1".to_owned(), principal: "app-1".to_owned(), material };
        let lines = signed_lines(&issued, "curl", "https://127.0.0.1:8443", folder.path()).unwrap();
        let script = format!("{}\n{}\nprintf '%s\\n' \"$INPUT\" \"$SIGNATURE\"", lines[2], lines[3]);
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (input, signature) = text.trim_end().split_once('\n').expect("two lines");
        let head = Request::get("/signed")
            .header(http::header::HOST, "127.0.0.1:8443")
            .header(&SIGNATURE_INPUT, format!("sig1={input}"))
            .header(&SIGNATURE, format!("sig1=:{signature}:"))
            .body(())
            .unwrap()
            .into_parts()
            .0;
        let fields = Fields::of(&head.headers).unwrap().expect("both fields");
        let presented = Presented::read(&fields).expect("in the profile");
        let message = Message::new(&head, b"").unwrap();
        let now = crate::clock::Clock::new(ClockMode::System).now();
        assert_eq!(presented.check(&message, now), Ok(()));
        assert_eq!(presented.verify(&message, &[0x5a; 32]), Ok(()));
    }

    #[test]
    fn credentials_become_private_files_and_arguments() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = Material::Certificate { chain_pem: "CHAIN\n".to_owned(), key_pem: Secret::new("KEY\n") };
        let arguments = present(&certificate, folder.path(), "mtls").unwrap();
        assert!(arguments.contains("--cert '") && !arguments.contains("KEY"), "{arguments}");
        let key = folder.path().join("client.key");
        assert_eq!(std::fs::read_to_string(&key).unwrap(), "KEY\n");
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let password = Material::Password { username: "u".to_owned(), password: Secret::new("p'w") };
        assert_eq!(present(&password, folder.path(), "basic").unwrap(), r"-u 'u:p'\''w'");
    }
}
