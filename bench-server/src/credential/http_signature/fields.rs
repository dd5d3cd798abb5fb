//! Structured fields (RFC 9651), as far as signatures are made of them: dictionaries of byte sequences and of inner lists,
//! with parameters. Nothing is copied, and nothing is forgiven: a member that occurs twice is an error here, where the
//! standard would take the last one, because two readers might disagree on which that is.

/// What is read is not a structured field of that type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A bare item (RFC 9651 §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bare<'a> {
    Integer(i64),
    /// What stands between the quotes, escapes included.
    String(&'a str),
    /// What stands between the colons: base64.
    Bytes(&'a str),
    Boolean(bool),
    /// A decimal, token, date or display string: as it is written.
    Other(&'a str),
}

/// What is still to be read.
pub(super) struct Reader<'a> {
    rest: &'a str,
}

/// Reads a dictionary (RFC 9651 §4.2.2). For each member `value` is called with its key where the value begins, after the
/// `=`; a member without one is a Boolean, which no dictionary of ours holds.
pub(super) fn dictionary<'a, E: From<Malformed>>(
    text: &'a str,
    mut value: impl FnMut(&'a str, &mut Reader<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = Reader { rest: text.trim_matches(' ') };
    while !reader.is_done() {
        let key = reader.key()?;
        reader.expect(b'=')?;
        value(key, &mut reader)?;
        reader.skip(b" \t");
        if reader.is_done() {
            return Ok(());
        }
        reader.expect(b',')?;
        reader.skip(b" \t");
        if reader.is_done() {
            return Err(Malformed.into());
        }
    }
    Ok(())
}

impl<'a> Reader<'a> {
    fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        // What is read is ASCII up to here, so this is a boundary of characters.
        let eaten = self.peek() == Some(byte);
        if eaten {
            self.rest = &self.rest[1..];
        }
        eaten
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.eat(byte) { Ok(()) } else { Err(Malformed) }
    }

    fn skip(&mut self, bytes: &[u8]) {
        self.take_while(|byte| bytes.contains(&byte));
    }

    fn take_while(&mut self, mut is_in: impl FnMut(u8) -> bool) -> &'a str {
        let length = self.rest.bytes().position(|byte| !byte.is_ascii() || !is_in(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// RFC 9651 §4.2.3.3.
    fn key(&mut self) -> Result<&'a str, Malformed> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'*') {
            return Err(Malformed);
        }
        Ok(self.take_while(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)))
    }

    /// RFC 9651 §4.2.3.1.
    pub(super) fn bare(&mut self) -> Result<Bare<'a>, Malformed> {
        let whole = self.rest;
        match self.peek().ok_or(Malformed)? {
            b'"' => self.string().map(Bare::String),
            b':' => {
                self.eat(b':');
                let text = self.take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
                self.expect(b':')?;
                Ok(Bare::Bytes(text))
            }
            b'?' => {
                self.eat(b'?');
                match self.peek() {
                    Some(b'0') => Ok(Bare::Boolean(!self.eat(b'0'))),
                    Some(b'1') => Ok(Bare::Boolean(self.eat(b'1'))),
                    _ => Err(Malformed),
                }
            }
            b'-' | b'0'..=b'9' => self.number(),
            b'@' => {
                self.eat(b'@');
                match self.number()? {
                    Bare::Integer(_) => Ok(Bare::Other(self.since(whole))),
                    _ => Err(Malformed),
                }
            }
            b'%' => {
                self.eat(b'%');
                self.string()?;
                Ok(Bare::Other(self.since(whole)))
            }
            byte if byte.is_ascii_alphabetic() || byte == b'*' => {
                let is_in = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
                Ok(Bare::Other(self.take_while(is_in)))
            }
            _ => Err(Malformed),
        }
    }

    fn since(&self, whole: &'a str) -> &'a str {
        &whole[..whole.len() - self.rest.len()]
    }

    /// An integer of at most 15 digits (§4.2.4), or a decimal of 12 and 3.
    fn number(&mut self) -> Result<Bare<'a>, Malformed> {
        let whole = self.rest;
        let negative = self.eat(b'-');
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        if self.eat(b'.') {
            let fraction = self.take_while(|byte| byte.is_ascii_digit());
            let sound = (1..=12).contains(&digits.len()) && (1..=3).contains(&fraction.len());
            return if sound { Ok(Bare::Other(self.since(whole))) } else { Err(Malformed) };
        }
        if !(1..=15).contains(&digits.len()) {
            return Err(Malformed);
        }
        let value: i64 = digits.parse().map_err(|_| Malformed)?;
        Ok(Bare::Integer(if negative { -value } else { value }))
    }

    /// RFC 9651 §4.2.5.
    fn string(&mut self) -> Result<&'a str, Malformed> {
        self.expect(b'"')?;
        let whole = self.rest;
        loop {
            self.take_while(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\');
            if self.eat(b'\\') {
                if !self.eat(b'"') {
                    self.expect(b'\\')?;
                }
                continue;
            }
            let text = self.since(whole);
            return self.expect(b'"').map(|()| text);
        }
    }

    /// The parameters that follow an item or an inner list (RFC 9651 §4.2.3.2).
    pub(super) fn parameters<E: From<Malformed>>(
        &mut self,
        mut each: impl FnMut(&'a str, Bare<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        while self.eat(b';') {
            self.skip(b" ");
            let key = self.key()?;
            let value = if self.eat(b'=') { self.bare()? } else { Bare::Boolean(true) };
            each(key, value)?;
        }
        Ok(())
    }

    /// An inner list (RFC 9651 §4.2.1.2) without its own parameters. `each` is called with every item; whether it has
    /// parameters, which are read over, is the last argument.
    pub(super) fn inner_list<E: From<Malformed>>(
        &mut self,
        mut each: impl FnMut(Bare<'a>, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'(')?;
        loop {
            self.skip(b" ");
            if self.eat(b')') {
                return Ok(());
            }
            let item = self.bare()?;
            let mut has_parameters = false;
            self.parameters(|_, _| {
                has_parameters = true;
                Ok::<_, Malformed>(())
            })?;
            each(item, has_parameters)?;
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return Err(Malformed.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> Result<Bare<'_>, Malformed> {
        let mut reader = Reader { rest: text };
        let item = reader.bare()?;
        if reader.is_done() { Ok(item) } else { Err(Malformed) }
    }

    #[test]
    fn items_are_read_as_rfc_9651_says() {
        assert_eq!(item("1618884473"), Ok(Bare::Integer(1_618_884_473)));
        assert_eq!(item("-999999999999999"), Ok(Bare::Integer(-999_999_999_999_999)));
        assert_eq!(item(r#""a \"b\\ c""#), Ok(Bare::String(r#"a \"b\\ c"#)));
        assert_eq!(item(r#""""#), Ok(Bare::String("")));
        assert_eq!(item(":cGE=:"), Ok(Bare::Bytes("cGE=")));
        assert_eq!(item("?0"), Ok(Bare::Boolean(false)));
        assert_eq!(item("?1"), Ok(Bare::Boolean(true)));
        for other in ["1.5", "-0.125", "@1659578233", "hmac-sha256", "*/x", r#"%"f%c3%bc""#] {
            assert_eq!(item(other), Ok(Bare::Other(other)));
        }
        for bad in [
            "",
            "-",
            "1.",
            ".5",
            "1.2345",
            "1234567890123456",
            "1234567890123.4",
            "?2",
            "?",
            ":a",
            ":a!:",
            "\"a",
            "\"\\n\"",
            "\"\u{7f}\"",
            "\"ä\"",
            "@1.5",
            "@",
            "(",
            "ä",
            "{",
        ] {
            assert_eq!(item(bad), Err(Malformed), "{bad}");
        }
    }

    fn keys(text: &str) -> Result<Vec<&str>, Malformed> {
        let mut keys = Vec::new();
        dictionary(text, |key, reader| {
            keys.push(key);
            reader.bare()?;
            reader.parameters(|_, _| Ok::<_, Malformed>(()))
        })?;
        Ok(keys)
    }

    #[test]
    fn dictionaries_are_read_whole_or_not_at_all() {
        assert_eq!(keys(""), Ok(vec![]));
        assert_eq!(keys(" a=1 "), Ok(vec!["a"]));
        assert_eq!(keys("a=1;x;y=2,\tb-2=:AA==: , *c=\"d,e\""), Ok(vec!["a", "b-2", "*c"]));
        for bad in
            ["a", "a=", "a=1,", "a=1 b=2", "A=1", "=1", "a=1;", "a=1;X", "a=1;;b", "a = 1", ",a=1", "a=1,,b=2", "1a=1"]
        {
            assert_eq!(keys(bad), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn inner_lists_are_separated_by_spaces() {
        let list = |text| {
            let mut items = Vec::new();
            let mut reader = Reader { rest: text };
            reader.inner_list(|item, has_parameters| {
                items.push((item, has_parameters));
                Ok::<_, Malformed>(())
            })?;
            if reader.is_done() { Ok(items) } else { Err(Malformed) }
        };
        assert_eq!(list("()"), Ok(vec![]));
        assert_eq!(
            list(r#"(  "a"  "b";req 1 )"#),
            Ok(vec![(Bare::String("a"), false), (Bare::String("b"), true), (Bare::Integer(1), false)])
        );
        for bad in ["", "(", "(\"a\"", "(\"a\"\"b\")", "(\"a\",\"b\")", "(\"a\"\t\"b\")", "((\"a\"))"] {
            assert_eq!(list(bad), Err(Malformed), "{bad}");
        }
    }
}
