//! Answers: HTTP/1.1 messages parsed where they were received (RFC 9112), and the judgement on what they say, the same
//! for HTTP/1.1 and HTTP/2.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::request::{Expected, Scheme};
use crate::outcome::{Outcome, RejectReason, Transport};
use crate::plan::Convention;

/// Most header fields of an answer; more is taken for a protocol error.
const MAX_FIELDS: usize = 64;

/// How far an answer has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More bytes are needed.
    Partial,
    /// The answer is complete.
    Complete {
        /// What it says.
        outcome: Outcome,
        /// Its length in bytes.
        length: usize,
        /// Whether the server leaves the connection open.
        keep: bool,
    },
}

/// The bytes are not HTTP/1.1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotHttp;

impl From<httparse::Error> for NotHttp {
    fn from(_: httparse::Error) -> Self {
        Self
    }
}

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Parses what has been received of an answer and judges it. `closed`: the server has ended the stream.
pub(super) fn parse(received: &mut [u8], closed: bool, expected: Expected<'_>) -> Result<Progress, NotHttp> {
    let Some(Framed { head, body, length }) = frame(received, closed)? else { return Ok(Progress::Partial) };
    let outcome = judge(head.status, head.challenges, &received[body], expected);
    let keep = head.keep && !matches!(head.framing, Framing::UntilClose);
    Ok(Progress::Complete { outcome, length, keep })
}

/// A complete answer.
pub(super) struct Framed {
    head: Head,
    /// Where in what was received its body stands.
    pub(super) body: Range<usize>,
    /// Its length in bytes.
    length: usize,
}

impl Framed {
    /// The status code.
    pub(super) fn status(&self) -> u16 {
        self.head.status
    }
}

/// Finds the bounds of an answer; `None` while incomplete. A chunked body is joined in place once it is complete.
pub(super) fn frame(received: &mut [u8], closed: bool) -> Result<Option<Framed>, NotHttp> {
    let mut start = 0;
    let (head, body_start) = loop {
        match parse_head(&received[start..])? {
            None => return Ok(None),
            // Interim answers (RFC 9110 §15.2) stand before the real one.
            Some((head, length)) if head.status < 200 && head.status != 101 => start += length,
            Some((head, length)) => break (head, start + length),
        }
    };
    let body = &mut received[body_start..];
    let (body_length, raw_length) = match head.framing {
        Framing::Length(length) if body.len() >= length => (length, length),
        Framing::Chunked => match join_chunks(body)? {
            Some(lengths) => lengths,
            None => return Ok(None),
        },
        Framing::UntilClose if closed => (body.len(), body.len()),
        Framing::Length(_) | Framing::UntilClose => return Ok(None),
    };
    Ok(Some(Framed { head, body: body_start..body_start + body_length, length: body_start + raw_length }))
}

/// What of a head matters.
struct Head {
    status: u16,
    framing: Framing,
    keep: bool,
    challenges: Challenges,
}

/// Parses a status line and header section; `None` while incomplete, else with their length.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, NotHttp> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut fields)?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let status = response.code.ok_or(NotHttp)?;
    let mut content_length = None;
    let mut chunked = false;
    // HTTP/1.0 closes unless it says otherwise (RFC 9112 §9.3).
    let mut keep = response.version == Some(1);
    let mut challenges = Challenges::default();
    for field in response.headers.iter() {
        // Compared by length first, so that the usual other fields cost next to nothing.
        match field.name.len() {
            10 if field.name.eq_ignore_ascii_case("connection") => {
                for option in field.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if option.eq_ignore_ascii_case(b"close") {
                        keep = false;
                    } else if option.eq_ignore_ascii_case(b"keep-alive") {
                        keep = true;
                    }
                }
            }
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                let length = decimal(field.value).ok_or(NotHttp)?;
                if content_length.is_some_and(|earlier| earlier != length) {
                    return Err(NotHttp);
                }
                content_length = Some(length);
            }
            16 if field.name.eq_ignore_ascii_case("www-authenticate") => challenges.read(field.value),
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                // No other coding was asked for, so none may come (RFC 9112 §7.4).
                if !field.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(NotHttp);
                }
                chunked = true;
            }
            _ => {}
        }
    }
    let framing = match (status, chunked, content_length) {
        (100..200 | 204 | 304, _, _) => Framing::Length(0),
        (_, true, Some(_)) => return Err(NotHttp),
        (_, true, None) => Framing::Chunked,
        (_, false, Some(length)) => Framing::Length(length),
        (_, false, None) => Framing::UntilClose,
    };
    Ok(Some((Head { status, framing, keep, challenges }, length)))
}

/// A `Content-Length` (RFC 9110 §8.6): digits only, where `str::parse` would take a sign.
fn decimal(value: &[u8]) -> Option<usize> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Joins the chunks of a complete chunked body (RFC 9112 §7.1) at its beginning; returns the joined and the raw length,
/// `None` while incomplete.
fn join_chunks(body: &mut [u8]) -> Result<Option<(usize, usize)>, NotHttp> {
    // Nothing is moved before all is there: what is incomplete is parsed again when more has come.
    let mut position = 0;
    let raw_length = loop {
        let Some((data, size)) = chunk(&body[position..])? else { return Ok(None) };
        if size == 0 {
            match trailers(&body[position + data..])? {
                Some(length) => break position + data + length,
                None => return Ok(None),
            }
        }
        let rest = &body[position + data..];
        if rest.len() < size.saturating_add(2) {
            return Ok(None);
        }
        if &rest[size..size + 2] != b"\r\n" {
            return Err(NotHttp);
        }
        position += data + size + 2;
    };
    let mut position = 0;
    let mut joined = 0;
    while let Some((data, size)) = chunk(&body[position..])?.filter(|(_, size)| *size > 0) {
        let start = position + data;
        body.copy_within(start..start + size, joined);
        joined += size;
        position = start + size + 2;
    }
    Ok(Some((joined, raw_length)))
}

/// The head of a chunk: where its data starts and how long it is.
fn chunk(bytes: &[u8]) -> Result<Option<(usize, usize)>, NotHttp> {
    match httparse::parse_chunk_size(bytes).map_err(|_| NotHttp)? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete((data, size)) => Ok(Some((data, usize::try_from(size).map_err(|_| NotHttp)?))),
    }
}

/// Length of the trailer section after the last chunk, its empty line included.
fn trailers(bytes: &[u8]) -> Result<Option<usize>, NotHttp> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    match httparse::parse_headers(bytes, &mut fields)? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete((length, _)) => Ok(Some(length)),
    }
}

/// What the `WWW-Authenticate` fields of an answer say (RFC 9110 §11.6.1), as far as it matters here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Challenges {
    basic: bool,
    invalid_token: bool,
    insufficient_scope: bool,
}

impl Challenges {
    /// Reads one field line, which may hold several challenges.
    pub(super) fn read(&mut self, value: &[u8]) {
        self.basic |= value.split(|byte| *byte == b',').any(|part| {
            let scheme = part.trim_ascii().split(|byte| *byte == b' ').next().unwrap_or_default();
            scheme.eq_ignore_ascii_case(b"basic")
        });
        self.invalid_token |= has_error(value, b"invalid_token") || has_error(value, b"invalid_signature");
        self.insufficient_scope |= has_error(value, b"insufficient_scope");
    }
}

/// Whether a challenge has the parameter `error` with this value, quoted or as a token (RFC 6750 §3).
fn has_error(value: &[u8], error: &[u8]) -> bool {
    value.split(|byte| matches!(byte, b',' | b' ')).any(|parameter| {
        let mut parts = parameter.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default();
        let value = parts.next().unwrap_or_default();
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        name.eq_ignore_ascii_case(b"error") && value == error
    })
}

/// The outcome that an answer means.
pub(super) fn judge(status: u16, challenges: Challenges, body: &[u8], expected: Expected<'_>) -> Outcome {
    if let Some(convention) = expected.convention {
        return judge_by(convention, status, body, expected.contains);
    }
    let reason = match status {
        200 if names(body, expected.contains) => return Outcome::Accepted,
        200 => return Outcome::Failed(Transport::WrongPrincipal),
        401 if challenges.invalid_token || (challenges.basic && expected.scheme == Scheme::Basic) => {
            RejectReason::InvalidCredential
        }
        401 => RejectReason::MissingCredential,
        400 => RejectReason::InvalidRequest,
        403 if challenges.insufficient_scope => RejectReason::InsufficientScope,
        403 => RejectReason::Forbidden,
        429 => RejectReason::Throttled,
        503 => RejectReason::Unavailable,
        _ => RejectReason::OtherStatus,
    };
    Outcome::Rejected(reason)
}

/// The outcome that an answer means by a server's own convention: what that does not name is no judgement on the
/// credential, whatever the status usually means.
fn judge_by(convention: &Convention, status: u16, body: &[u8], contains: &[u8]) -> Outcome {
    if convention.accepted.status.contains(&status) {
        let found = contains.is_empty() || body.windows(contains.len()).any(|window| window == contains);
        return if found { Outcome::Accepted } else { Outcome::Failed(Transport::WrongPrincipal) };
    }
    Outcome::Rejected(match status {
        403 if convention.rejected.contains(&status) => RejectReason::Forbidden,
        _ if convention.rejected.contains(&status) => RejectReason::InvalidCredential,
        429 => RejectReason::Throttled,
        503 => RejectReason::Unavailable,
        _ => RejectReason::OtherStatus,
    })
}

/// Whether the JSON in `body` has a member `principal` with this value (a JSON string). Not a full parse: the resource's
/// document is flat, and this runs for every answer.
fn names(body: &[u8], principal: &[u8]) -> bool {
    const NAME: &[u8] = b"\"principal\":";
    body.windows(NAME.len())
        .enumerate()
        .filter(|(_, window)| *window == NAME)
        .any(|(at, _)| body[at + NAME.len()..].trim_ascii_start().starts_with(principal))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: Expected<'_> = Expected { contains: b"\"app-1\"", scheme: Scheme::Bearer, convention: None };

    fn parse_text(text: &str) -> Result<Progress, NotHttp> {
        parse(&mut text.as_bytes().to_vec(), false, APP)
    }

    fn complete(text: &str, outcome: Outcome, keep: bool) {
        // Every cut is incomplete, and the whole is not.
        for cut in 0..text.len() {
            assert_eq!(parse_text(&text[..cut]), Ok(Progress::Partial), "{:?}", &text[..cut]);
        }
        assert_eq!(parse_text(text), Ok(Progress::Complete { outcome, length: text.len(), keep }), "{text:?}");
        let more = format!("{text}HTTP");
        assert_eq!(parse_text(&more), Ok(Progress::Complete { outcome, length: text.len(), keep }), "{more:?}");
    }

    #[test]
    fn status_and_challenge_decide() {
        use RejectReason as R;
        let body = b"{\"principal\":\"app-1\"}".as_slice();
        let table: [(u16, &[&str], Scheme, Outcome); 18] = [
            (200, &[], Scheme::Bearer, Outcome::Accepted),
            (401, &["Bearer realm=\"a\""], Scheme::Bearer, Outcome::Rejected(R::MissingCredential)),
            (
                401,
                &["Bearer realm=\"a\", error=\"invalid_token\""],
                Scheme::Bearer,
                Outcome::Rejected(R::InvalidCredential),
            ),
            (401, &["bearer error=invalid_token"], Scheme::Bearer, Outcome::Rejected(R::InvalidCredential)),
            (
                401,
                &["Basic realm=\"a\"", "Bearer error=\"invalid_token\""],
                Scheme::Bearer,
                Outcome::Rejected(R::InvalidCredential),
            ),
            (
                401,
                &["Bearer error_description=\"invalid_token\""],
                Scheme::Bearer,
                Outcome::Rejected(R::MissingCredential),
            ),
            (401, &["Basic realm=\"a\", charset=\"UTF-8\""], Scheme::Basic, Outcome::Rejected(R::InvalidCredential)),
            (401, &["Bearer realm=\"a\", Basic realm=\"a\""], Scheme::Basic, Outcome::Rejected(R::InvalidCredential)),
            (401, &["Basic realm=\"a\""], Scheme::None, Outcome::Rejected(R::MissingCredential)),
            (401, &["Basic realm=\"a\""], Scheme::Bearer, Outcome::Rejected(R::MissingCredential)),
            (401, &[], Scheme::Basic, Outcome::Rejected(R::MissingCredential)),
            (400, &["Bearer error=\"invalid_request\""], Scheme::Bearer, Outcome::Rejected(R::InvalidRequest)),
            (
                403,
                &["Bearer error=\"insufficient_scope\", scope=\"x\""],
                Scheme::Bearer,
                Outcome::Rejected(R::InsufficientScope),
            ),
            (403, &[], Scheme::None, Outcome::Rejected(R::Forbidden)),
            (429, &[], Scheme::Bearer, Outcome::Rejected(R::Throttled)),
            (503, &[], Scheme::Bearer, Outcome::Rejected(R::Unavailable)),
            (500, &[], Scheme::Bearer, Outcome::Rejected(R::OtherStatus)),
            (204, &[], Scheme::Bearer, Outcome::Rejected(R::OtherStatus)),
        ];
        for (status, fields, scheme, outcome) in table {
            let mut challenges = Challenges::default();
            fields.iter().for_each(|field| challenges.read(field.as_bytes()));
            let judged = judge(status, challenges, body, Expected { scheme, ..APP });
            assert_eq!(judged, outcome, "{status} {fields:?} to {scheme:?}");
        }
    }

    #[test]
    fn a_200_must_name_the_principal() {
        let judged = |body: &str| judge(200, Challenges::default(), body.as_bytes(), APP);
        assert_eq!(judged("{\"scopes\":\"read\",\"principal\": \"app-1\"}"), Outcome::Accepted);
        for body in
            ["", "{}", "{\"principal\":\"app-12\"}", "{\"principal\":\"app-", "{\"actor\":\"app-1\"}", "\"app-1\""]
        {
            assert_eq!(judged(body), Outcome::Failed(Transport::WrongPrincipal), "{body}");
        }
    }

    #[test]
    fn a_convention_decides_what_status_and_body_mean() {
        use crate::plan::{Accepted, Convention};
        let convention = Convention {
            header: None,
            accepted: Accepted { status: vec![200, 204], body_contains: None },
            rejected: vec![302, 401, 403],
        };
        let judged = |status, body: &str, contains: &str| {
            let convention = Some(&convention);
            let expected = Expected { contains: contains.as_bytes(), scheme: Scheme::Bearer, convention };
            judge(status, Challenges::default(), body.as_bytes(), expected)
        };
        assert_eq!(judged(204, "", ""), Outcome::Accepted);
        assert_eq!(judged(200, "hello, app-1!", "app-1!"), Outcome::Accepted);
        for body in ["", "app-1", "hello, app-2!"] {
            assert_eq!(judged(200, body, "app-1!"), Outcome::Failed(Transport::WrongPrincipal), "{body}");
        }
        for (status, reason) in [
            (302, RejectReason::InvalidCredential),
            (401, RejectReason::InvalidCredential),
            (403, RejectReason::Forbidden),
            (400, RejectReason::OtherStatus),
            (429, RejectReason::Throttled),
            (503, RejectReason::Unavailable),
        ] {
            assert_eq!(judged(status, "app-1", "app-1"), Outcome::Rejected(reason), "{status}");
        }
    }

    #[test]
    fn content_length_frames() {
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"principal\":\"app-1\"}";
        complete(text, Outcome::Accepted, true);
        let text = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        complete(text, Outcome::Rejected(RejectReason::Forbidden), false);
        let text = "HTTP/1.0 503 No\r\nContent-Length: 2\r\n\r\nno";
        complete(text, Outcome::Rejected(RejectReason::Unavailable), false);
        let text = "HTTP/1.0 503 No\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nno";
        complete(text, Outcome::Rejected(RejectReason::Unavailable), true);
    }

    #[test]
    fn chunks_are_joined() {
        let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                    8;x=y\r\n{\"princi\r\nd\r\npal\":\"app-1\"}\r\n0\r\n\r\n";
        complete(text, Outcome::Accepted, true);
        let text = "HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\nTrailer: 1\r\n\r\n";
        complete(text, Outcome::Rejected(RejectReason::Throttled), true);
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let text = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n";
        complete(text, Outcome::Rejected(RejectReason::InvalidRequest), true);
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let text = "HTTP/1.1 200 OK\r\n\r\n{\"principal\":\"app-1\"}";
        assert_eq!(parse_text(text), Ok(Progress::Partial));
        let whole = parse(&mut text.as_bytes().to_vec(), true, APP);
        assert_eq!(whole, Ok(Progress::Complete { outcome: Outcome::Accepted, length: text.len(), keep: false }));
    }

    #[test]
    fn what_is_not_http_is_told_apart() {
        for text in [
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert_eq!(parse_text(text), Err(NotHttp), "{text:?}");
        }
        let fields: String = (0..MAX_FIELDS + 1).map(|i| format!("f{i}: 1\r\n")).collect();
        assert_eq!(parse_text(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")), Err(NotHttp));
    }
}
