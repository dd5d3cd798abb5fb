//! `authbench verify request`: one signed request (RFC 9421), as it travels over HTTP/1.1, judged as the server does, but for
//! what only a server knows: whether the key was revoked, and whether the nonce was used before.

use std::io::{self, Read as _};
use std::path::PathBuf;

use bench_server::clock::UnixTime;
use bench_server::contract::http_signature::{Fields, Message, Presented, Refused, read_key};
use http::request::Parts;
use httparse::Status;

use super::super::{Exit, fail, print};

/// Longest request that is read.
const MAX_REQUEST: u64 = 1 << 20;

/// Most header fields, as in the server.
const MAX_FIELDS: usize = 100;

/// Verify the signature of a request that is read from standard input
#[derive(clap::Args)]
pub(in super::super) struct Args {
    /// The key: its identifier, and its bytes in hexadecimal. Other users of the machine see arguments: for keys that
    /// matter, use --key-file
    #[arg(long, value_name = "ID=HEXSECRET", required_unless_present = "key_file", conflicts_with = "key_file")]
    key: Option<String>,
    /// A file that holds the same
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The time of the verifier, in seconds since 1970
    #[arg(long, value_name = "UNIX")]
    now: u64,
}

/// Prints `ok` or `reject <reason>`.
pub(in super::super) fn run(args: &Args) -> Exit {
    match try_run(args) {
        Ok(Ok(())) => {
            print("ok");
            Exit::Fine
        }
        Ok(Err(reason)) => {
            print(format_args!("reject {reason}"));
            Exit::Regressed
        }
        Err(problem) => fail(Exit::Input, problem),
    }
}

fn try_run(args: &Args) -> Result<Result<(), &'static str>, String> {
    let text = match (&args.key, &args.key_file) {
        (Some(key), _) => key.clone(),
        (None, Some(path)) => std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
        (None, None) => return Err("no key; write --key ID=HEXSECRET or --key-file FILE".to_owned()),
    };
    // An identifier may hold a `=`, the key does not. Neither is repeated: they may stand the other way round.
    let (id, key) = text.trim_end().rsplit_once('=').ok_or("the key has no =; write ID=HEXSECRET")?;
    let key = read_key(key).map_err(|error| error.to_string())?;
    let mut raw = Vec::new();
    let read = io::stdin().lock().take(MAX_REQUEST + 1).read_to_end(&mut raw);
    read.map_err(|error| format!("standard input: {error}"))?;
    if raw.len() as u64 > MAX_REQUEST {
        return Err(format!("the request is over {MAX_REQUEST} bytes"));
    }
    let (head, content) = parse(&raw)?;
    Ok(judge(&head, &content, id, &key, UnixTime(std::time::Duration::from_secs(args.now))))
}

fn judge(head: &Parts, content: &[u8], id: &str, key: &[u8], now: UnixTime) -> Result<(), &'static str> {
    let refused = |refused: Refused| refused.reason();
    let fields = Fields::of(&head.headers).map_err(refused)?.ok_or("missing")?;
    let presented = Presented::read(&fields).map_err(refused)?;
    let message = Message::new(head, content).map_err(refused)?;
    presented.check(&message, now).map_err(refused)?;
    if presented.key_id() != id {
        return Err("unknown_key");
    }
    presented.verify(&message, key).map_err(refused)
}

/// The head and the content of a request in HTTP/1.1 (RFC 9112).
fn parse(raw: &[u8]) -> Result<(Parts, Vec<u8>), String> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(raw) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => {
            return Err("the request has no end: an empty line is missing after the fields".to_owned());
        }
        Err(error) => return Err(format!("standard input is no request of HTTP/1.1: {error}")),
    };
    let mut builder =
        http::Request::builder().method(request.method.unwrap_or_default()).uri(request.path.unwrap_or_default());
    for field in request.headers.iter() {
        builder = builder.header(field.name, field.value);
    }
    let head = builder.body(()).map_err(|error| format!("standard input is no request: {error}"))?.into_parts().0;
    let content = content(&head, &raw[length..])?;
    Ok((head, content))
}

/// RFC 9112 §6.3. What comes behind is no part of the request.
fn content(head: &Parts, rest: &[u8]) -> Result<Vec<u8>, String> {
    if let Some(coding) = head.headers.get(http::header::TRANSFER_ENCODING) {
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err("Transfer-Encoding is not chunked".to_owned());
        }
        return joined(rest).ok_or_else(|| "the chunks of the request are not complete".to_owned());
    }
    let length = match head.headers.get(http::header::CONTENT_LENGTH) {
        Some(length) => {
            let length = length.to_str().ok().and_then(|length| length.parse::<usize>().ok());
            length.ok_or("Content-Length is no number")?
        }
        None if rest.trim_ascii().is_empty() => 0,
        None => return Err("there is something behind the fields, and no Content-Length that says how much".to_owned()),
    };
    rest.get(..length).map(<[u8]>::to_vec).ok_or_else(|| format!("Content-Length is {length}, and less came"))
}

fn joined(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let Ok(Status::Complete((head, size))) = httparse::parse_chunk_size(rest) else { return None };
        let size = usize::try_from(size).ok()?;
        if size == 0 {
            return Some(content);
        }
        let data = rest.get(head..)?;
        content.extend_from_slice(data.get(..size)?);
        rest = data.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use bench_server::contract::http_signature::{COMPONENTS, content_digest, sign_message};

    use super::*;

    const NOW: u64 = 1_900_000_000;
    const KEY: [u8; 32] = [7; 32];

    /// A signed request as it travels.
    fn raw(content: &str, chunked: bool) -> String {
        let mut head = http::Request::post("/pay?to=1").header("Host", "api.test");
        if !content.is_empty() {
            head = head.header("Content-Digest", content_digest::of(content.as_bytes()));
        }
        let head = head.body(()).unwrap().into_parts().0;
        let message = Message::new(&head, content.as_bytes()).unwrap();
        let mut components = COMPONENTS.to_vec();
        components.extend((!content.is_empty()).then_some("content-digest"));
        let parameters = format!(
            ";created={NOW};expires={};nonce=\"n\";keyid=\"a=b\";alg=\"hmac-sha256\";tag=\"authbench\"",
            NOW + 60
        );
        let (input, signature) = sign_message(&message, &components, &parameters, &KEY).unwrap();
        let fields: String =
            head.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap())).collect();
        let (framing, content) = match (content.is_empty(), chunked) {
            (true, _) => (String::new(), String::new()),
            (false, false) => (format!("Content-Length: {}\r\n", content.len()), content.to_owned()),
            (false, true) => {
                let (one, two) = content.split_at(3);
                let chunks = format!("3\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", two.len());
                ("Transfer-Encoding: chunked\r\n".to_owned(), chunks)
            }
        };
        format!(
            "POST /pay?to=1 HTTP/1.1\r\n{fields}{framing}Signature-Input: s={input}\r\nSignature: \
             s=:{signature}:\r\n\r\n{content}"
        )
    }

    fn verdict(raw: &str, now: u64) -> Result<(), &'static str> {
        let (head, content) = parse(raw.as_bytes()).expect("a request");
        judge(&head, &content, "a=b", &KEY, UnixTime(std::time::Duration::from_secs(now)))
    }

    #[test]
    fn sr_1_a_raw_request_is_judged_as_by_the_server() {
        for content in ["", "{\"amount\": 5}"] {
            for chunked in [false, true] {
                assert_eq!(verdict(&raw(content, chunked), NOW), Ok(()), "{content} {chunked}");
            }
        }
        let request = raw("{\"amount\": 5}", false);
        assert_eq!(verdict(&format!("{request}\n"), NOW), Ok(()), "what comes behind is not the request's");
        assert_eq!(verdict(&request.replace("5}", "6}"), NOW), Err("digest"));
        assert_eq!(verdict(&request.replace("to=1", "to=2"), NOW), Err("bad_signature"));
        assert_eq!(verdict(&request, NOW + 61), Err("expired"));
        assert_eq!(verdict(&request.replace("hmac-sha256", "ed25519"), NOW), Err("algorithm"));
        assert_eq!(verdict(&request.replace("a=b", "c"), NOW), Err("unknown_key"));
        assert_eq!(verdict("GET / HTTP/1.1\r\nHost: a\r\n\r\n", NOW), Err("missing"));
    }

    #[test]
    fn what_is_no_request_is_an_error_and_not_a_verdict() {
        for (bad, expected) in [
            ("", "no end"),
            ("GET / HTTP/1.1\r\nHost: a\r\n", "no end"),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\nmore", "no Content-Length"),
            ("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nmore", "less came"),
            ("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "no number"),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "not chunked"),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "not complete"),
            ("\u{1}", "no request"),
        ] {
            let error = parse(bad.as_bytes()).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }
}
