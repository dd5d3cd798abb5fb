//! A flat JSON object of strings (RFC 8259), written in one allocation of the right size.
//!
//! The resource is written once per request, next to validators that take less than a microsecond. serde_json, which
//! escapes byte by byte, took five times as long for it.

use bytes::Bytes;

/// The object with these members, in this order. Names must need no escapes.
pub(super) fn object(members: &[(&'static str, &str)]) -> Bytes {
    // Two braces; four quotes, a colon and a comma per member, of which the last has no comma.
    let length = 1 + members.iter().map(|(name, value)| name.len() + value.len() + 6).sum::<usize>();
    let mut text = Vec::with_capacity(length.max(2));
    text.push(b'{');
    for (index, (name, value)) in members.iter().enumerate() {
        debug_assert!(is_plain(name), "{name:?} needs escapes");
        if index > 0 {
            text.push(b',');
        }
        text.push(b'"');
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"\":");
        string(&mut text, value);
    }
    text.push(b'}');
    text.into()
}

fn string(text: &mut Vec<u8>, value: &str) {
    if is_plain(value) {
        text.push(b'"');
        text.extend_from_slice(value.as_bytes());
        text.push(b'"');
    } else {
        serde_json::to_writer(text, value).expect("a string is JSON, and memory takes it");
    }
}

/// Whether a string stands in JSON as it is (RFC 8259 §7). No early exit, so that the compiler looks at many bytes at once.
fn is_plain(value: &str) -> bool {
    value.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_serde_json_writes_it() {
        let every_ascii: String = (0..=127_u8).map(char::from).collect();
        for value in ["", "app-1", "read write", "\"", "\\", "a\nb", "\u{7f}", "ä\u{1F511}", "</script>", &every_ascii]
        {
            let written = object(&[("name", value), ("other", "x")]);
            assert_eq!(written, format!("{{\"name\":{},\"other\":\"x\"}}", serde_json::json!(value)), "{value:?}");
        }
        assert_eq!(object(&[]), "{}");
    }

    #[test]
    fn the_size_is_known_beforehand() {
        for members in [&[("a", "")][..], &[("a", "b"), ("cc", "ä")]] {
            let text = object(members).try_into_mut().expect("nobody else has it");
            assert_eq!(text.capacity(), text.len());
        }
    }
}
