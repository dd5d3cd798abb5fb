//! An HTTP/1.1 server of a few lines for the tests of this module: one request per connection, answers by a function.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a request says.
pub(super) struct Request {
    /// Like `POST /clients`.
    pub(super) line: String,
    pub(super) head: String,
    pub(super) body: String,
}

/// Reads one request and answers it with the status and JSON that `answer` gives.
pub(super) async fn serve<S>(mut stream: S, answer: impl FnOnce(&Request) -> (u16, String))
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    let mut received = Vec::new();
    let request = loop {
        if stream.read_buf(&mut received).await.expect("the client sends") == 0 {
            return; // a connection that was opened and not needed
        }
        let text = String::from_utf8_lossy(&received);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase().lines().find_map(|line| {
            line.strip_prefix("content-length:").map(|value| value.trim().parse::<usize>().expect("a number"))
        });
        if body.len() >= length.unwrap_or(0) {
            let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1");
            break Request { line: line.to_owned(), head: head.to_owned(), body: body.to_owned() };
        }
    };
    let (status, body) = answer(&request);
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.expect("the client reads");
}
