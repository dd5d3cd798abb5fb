//! JSON as a JWS header or a claims set may contain it: one UTF-8 object, no member twice, bounded depth, nothing after
//! it (RFC 8259; RFC 7515 §4, RFC 7519 §4, RFC 8725 §3.7).
//!
//! A reader of our own, because it runs once per request: one pass, strings borrowed where they lie, no tree. It decides
//! what a token may look like, so it is held against serde_json in the tests. Repeated names are found after unescaping,
//! so `"alg"` and `"\u0061lg"` are the same member.

use std::borrow::Cow;

/// Deepest nesting read, the outer object included.
const MAX_DEPTH: usize = 32;

/// Most members of one object. It bounds the search for repeated names; real tokens have about ten.
const MAX_MEMBERS: usize = 64;

/// Why a text was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not one JSON text in UTF-8.
    NotJson,
    /// JSON, but with a repeated member, a wrong type or too deep.
    NotAccepted,
}

/// Reads the one object that `text` must be. `member` is called with each name and must read the value, by one call of
/// the reader.
pub(crate) fn read_object<'t>(
    text: &'t [u8],
    member: impl FnMut(Cow<'t, str>, &mut Reader<'t>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::NotJson)?;
    let mut reader = Reader { text, at: 0 };
    reader.object(member)?;
    if reader.peek().is_none() { Ok(()) } else { Err(Fault::NotJson) }
}

/// Checks that a text is one acceptable object, and keeps nothing of it.
pub(crate) fn check_object(text: &[u8]) -> Result<(), Fault> {
    let mut names = Names::default();
    read_object(text, |name, value| {
        names.insert(name)?;
        value.skip()
    })
}

/// The names of one object that no field of the reader's own stands for.
#[derive(Default)]
pub(crate) struct Names<'t>(Vec<Cow<'t, str>>);

impl<'t> Names<'t> {
    /// Remembers a name.
    ///
    /// # Errors
    /// When it was seen before, or there are too many.
    pub(crate) fn insert(&mut self, name: Cow<'t, str>) -> Result<(), Fault> {
        if self.0.len() == MAX_MEMBERS || self.0.contains(&name) {
            return Err(Fault::NotAccepted);
        }
        self.0.push(name);
        Ok(())
    }
}

/// Stores the value of a member that may occur once.
///
/// # Errors
/// When the slot is taken.
pub(crate) fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Fault> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Fault::NotAccepted),
    }
}

/// A JSON number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// Digits only, at most 19 of them.
    Whole(u64),
    /// Any other, as the nearest double (RFC 8259 §6).
    Other(f64),
}

/// A place in a text. Every method reads one value, white space before it included.
///
/// The steps within a value are inlined, which saves a quarter of the time. [`Self::string`] is not: a copy of it for every
/// claim is no slower by itself, but in a loaded server, where code has left the cache between two requests, it made a
/// validation take 1.4 times as long.
pub(crate) struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    /// A string, borrowed unless it contains escapes.
    pub(crate) fn string(&mut self) -> Result<Cow<'t, str>, Fault> {
        self.enter(b'"')?;
        let begin = self.at;
        self.at += plain_length(&self.text.as_bytes()[begin..]);
        let plain = &self.text[begin..self.at];
        match self.next()? {
            b'"' => Ok(Cow::Borrowed(plain)),
            b'\\' => self.unescaped(plain.to_owned()).map(Cow::Owned),
            _ => Err(Fault::NotJson), // a control character
        }
    }

    /// A number.
    pub(crate) fn number(&mut self) -> Result<Number, Fault> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.not_that());
        }
        let begin = self.at;
        let negative = self.take(b'-');
        let digits = self.at;
        let mut whole = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.byte() {
            whole = whole.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let count = self.at - digits;
        if count == 0 || (count > 1 && self.text.as_bytes()[digits] == b'0') {
            return Err(Fault::NotJson);
        }
        let integer = self.at;
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        // 19 digits cannot overflow.
        if !negative && self.at == integer && count <= 19 {
            return Ok(Number::Whole(whole));
        }
        match self.text[begin..self.at].parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Number::Other(number)),
            _ => Err(Fault::NotJson),
        }
    }

    /// A string, or an array of strings that is not empty; `item` is called with each.
    pub(crate) fn one_or_more_strings(&mut self, mut item: impl FnMut(&str)) -> Result<(), Fault> {
        if self.peek() != Some(b'[') {
            item(&self.string()?);
            return Ok(());
        }
        let mut empty = true;
        self.array(|reader| {
            empty = false;
            item(&reader.string()?);
            Ok(())
        })?;
        if empty { Err(Fault::NotAccepted) } else { Ok(()) }
    }

    /// Any value of a member of the outer object: checked by the same rules and dropped.
    pub(crate) fn skip(&mut self) -> Result<(), Fault> {
        self.skip_within(1)
    }

    fn skip_within(&mut self, entered: usize) -> Result<(), Fault> {
        let inside = if entered < MAX_DEPTH { Ok(entered + 1) } else { Err(Fault::NotAccepted) };
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b'{') => {
                let (inside, mut names) = (inside?, Names::default());
                self.object(|name, value| {
                    names.insert(name)?;
                    value.skip_within(inside)
                })
            }
            Some(b'[') => {
                let inside = inside?;
                self.array(|item| item.skip_within(inside))
            }
            _ => {
                let rest = &self.text[self.at..];
                let literal = ["true", "false", "null"].into_iter().find(|literal| rest.starts_with(literal));
                self.at += literal.ok_or(Fault::NotJson)?.len();
                Ok(())
            }
        }
    }

    /// An object; `member` is called as by [`read_object`].
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(Cow<'t, str>, &mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.enter(b'{')?;
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(Fault::NotJson);
            }
            let name = self.string()?;
            if !self.eat(b':') {
                return Err(Fault::NotJson);
            }
            member(name, self)?;
            if self.eat(b'}') {
                return Ok(());
            }
            if !self.eat(b',') {
                return Err(Fault::NotJson);
            }
        }
    }

    fn array(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        self.enter(b'[')?;
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.eat(b']') {
                return Ok(());
            }
            if !self.eat(b',') {
                return Err(Fault::NotJson);
            }
        }
    }

    /// The rest of a string whose first escape has begun, after what stood before it.
    fn unescaped(&mut self, mut string: String) -> Result<String, Fault> {
        loop {
            string.push(match self.next()? {
                b'"' => '"',
                b'\\' => '\\',
                b'/' => '/',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.code_point()?,
                _ => return Err(Fault::NotJson),
            });
            let begin = self.at;
            self.at += plain_length(&self.text.as_bytes()[begin..]);
            string.push_str(&self.text[begin..self.at]);
            match self.next()? {
                b'"' => return Ok(string),
                b'\\' => {}
                _ => return Err(Fault::NotJson),
            }
        }
    }

    /// What follows `\u`: four digits, or a pair of surrogates (RFC 8259 §7).
    fn code_point(&mut self) -> Result<char, Fault> {
        let first = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or(Fault::NotJson);
        }
        if self.next()? != b'\\' || self.next()? != b'u' {
            return Err(Fault::NotJson);
        }
        let second = self.four_digits()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(Fault::NotJson);
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(Fault::NotJson)
    }

    fn four_digits(&mut self) -> Result<u32, Fault> {
        (0..4).try_fold(0, |value, _| {
            let digit = char::from(self.next()?).to_digit(16).ok_or(Fault::NotJson)?;
            Ok(value << 4 | digit)
        })
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let begin = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > begin { Ok(()) } else { Err(Fault::NotJson) }
    }

    /// Goes past the first byte of a value of the type that is wanted.
    #[inline(always)]
    fn enter(&mut self, first: u8) -> Result<(), Fault> {
        if self.eat(first) { Ok(()) } else { Err(self.not_that()) }
    }

    /// What is wrong where a value of another type was wanted.
    fn not_that(&mut self) -> Fault {
        match self.peek() {
            Some(b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => Fault::NotAccepted,
            _ => Fault::NotJson,
        }
    }

    /// Goes past a byte after white space; tells whether it was there.
    #[inline(always)]
    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Goes past a byte; tells whether it was there.
    #[inline(always)]
    fn take(&mut self, byte: u8) -> bool {
        let there = self.byte() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// The next byte that is no white space.
    #[inline(always)]
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline(always)]
    fn next(&mut self) -> Result<u8, Fault> {
        let byte = self.byte().ok_or(Fault::NotJson)?;
        self.at += 1;
        Ok(byte)
    }
}

/// How many bytes stand before the first quotation mark, backslash or control character: eight at a time, in one word.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    /// Sets the high bit of bytes under `limit`. A borrow may set bits above such a byte, but none below the first.
    const fn under(word: u64, limit: u8) -> u64 {
        word.wrapping_sub(ONES * limit as u64) & !word
    }
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let (quotes, backslashes) = (word ^ (ONES * b'"' as u64), word ^ (ONES * b'\\' as u64));
        let special = (under(word, 0x20) | under(quotes, 1) | under(backslashes, 1)) & HIGH;
        if special != 0 {
            return 8 * index + special.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| !matches!(**byte, b'"' | b'\\' | 0..0x20);
    8 * words.len() + rest.iter().take_while(is_plain).count()
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    #[test]
    fn jw_22_one_object_and_nothing_else() {
        assert_eq!(check_object(br#" {"a":[1,-2,3.5,"x",null,true,{"b":{}}]} "#), Ok(()));
        assert_eq!(check_object(b"{}"), Ok(()));
        for text in [&b"\xef\xbb\xbf{}"[..], b"{}x", b"{} {}", b"", b"{", b"{\"a\":\"\xff\"}", br#"{"a":"\ud800"}"#] {
            assert_eq!(check_object(text), Err(Fault::NotJson), "{text:?}");
        }
        for text in ["[]", "\"x\"", "1", "null"] {
            assert_eq!(check_object(text.as_bytes()), Err(Fault::NotAccepted), "{text}");
        }
    }

    #[test]
    fn jw_19_repeated_members_are_found_under_any_spelling_and_at_any_depth() {
        for text in
            [r#"{"a":1,"a":1}"#, r#"{"alg":1,"\u0061lg":1}"#, r#"{"x":{"b":1,"\u0062":2}}"#, r#"{"x":[{"":1,"":2}]}"#]
        {
            assert_eq!(check_object(text.as_bytes()), Err(Fault::NotAccepted), "{text}");
        }
        assert_eq!(check_object(br#"{"a":{"a":1},"A":1,"b":[{"c":1},{"c":1}]}"#), Ok(()));
    }

    #[test]
    fn jw_22_depth_and_member_count_are_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert_eq!(check_object(nested(MAX_DEPTH).as_bytes()), Ok(()));
        assert_eq!(check_object(nested(MAX_DEPTH + 1).as_bytes()), Err(Fault::NotAccepted));
        assert!(check_object(nested(10_000).as_bytes()).is_err());
        let wide = |n: usize| {
            let members: Vec<String> = (0..n).map(|i| format!("\"m{i}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(check_object(wide(MAX_MEMBERS).as_bytes()), Ok(()));
        assert_eq!(check_object(wide(MAX_MEMBERS + 1).as_bytes()), Err(Fault::NotAccepted));
    }

    /// What serde_json makes of a text, by the same rules: it lets a repeated member win over the first.
    fn reference(text: &str) -> Option<serde_json::Value> {
        serde_json::from_str::<serde_json::Value>(text).ok().filter(serde_json::Value::is_object)
    }

    /// Reads an object into a tree with nothing but the reader's own methods.
    fn tree(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, Fault> {
        fn value(reader: &mut Reader<'_>) -> Result<serde_json::Value, Fault> {
            Ok(match reader.peek() {
                Some(b'"') => reader.string()?.into(),
                Some(b'-' | b'0'..=b'9') => match reader.number()? {
                    Number::Whole(number) => number.into(),
                    Number::Other(number) => number.into(),
                },
                Some(b'[') => {
                    let mut items = Vec::new();
                    reader.array(|item| {
                        items.push(value(item)?);
                        Ok(())
                    })?;
                    items.into()
                }
                Some(b'{') => {
                    let mut members = serde_json::Map::new();
                    reader.object(|name, member| {
                        members.insert(name.into_owned(), value(member)?);
                        Ok(())
                    })?;
                    members.into()
                }
                first => {
                    reader.skip()?;
                    if first == Some(b'n') { serde_json::Value::Null } else { (first == Some(b't')).into() }
                }
            })
        }
        let mut members = serde_json::Map::new();
        read_object(text.as_bytes(), |name, member| {
            members.insert(name.into_owned(), value(member)?);
            Ok(())
        })?;
        Ok(members)
    }

    /// Numbers compare by value: serde_json knows negative integers, and this reader does not need to.
    fn same(ours: &serde_json::Value, theirs: &serde_json::Value) -> bool {
        use serde_json::Value::{Array, Number, Object};
        match (ours, theirs) {
            (Number(a), Number(b)) => {
                a.as_f64() == b.as_f64() && a.as_u64().is_none_or(|whole| b.as_u64() == Some(whole))
            }
            (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
            (Object(a), Object(b)) => {
                a.len() == b.len() && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| same(value, other)))
            }
            _ => ours == theirs,
        }
    }

    /// Accepts and refuses what serde_json does, and reads the same from it: over a hundred thousand texts made by damaging
    /// good ones. A fixed seed, so that a failure comes again.
    #[test]
    fn jw_22_as_serde_json_reads_it() {
        let good = [
            r#"{"iss":"https://issuer.test/p","aud":["a","b"],"sub":"app-1","exp":1700000300,"iat":1700000000.5,"x":null}"#,
            r#"{"a":"\u0061\n\ud83d\ude00\/\\\"","b":[true,false,{"c":-0,"d":[]}],"e":1e-3,"f":{},"g":18446744073709551616}"#,
            "{ \"\u{e4}\u{1F511}\" : [ 0 , -1.25E+2 , \"0123456789abcdef\u{df}\" ] ,\t\"\" : \"\"\r\n}",
        ];
        let pieces = [
            "\"", "\\", "\\u", "{", "}", "[", "]", ",", ":", " ", "\n", "0", "00", "1", "-", "+", ".", "e", "E",
            "true", "null", "a", "\\ud800", "\\udc00", "\\u00e4", "\u{e4}", "\u{1f}", "\u{7f}", "\u{feff}", "1e400",
            "\\x", "/", "nul", "\"a\":1,", "//",
        ];
        let mut random = StdRng::seed_from_u64(7515);
        let (mut accepted, mut refused) = (0_u32, 0_u32);
        for _ in 0..40_000 {
            for text in good {
                let mut text: Vec<char> = text.chars().collect();
                for _ in 0..random.random_range(0..3) {
                    let at = random.random_range(0..text.len());
                    let until = text.len().min(at + random.random_range(0..3));
                    let piece = pieces[random.random_range(0..pieces.len())];
                    let piece = if random.random() { piece } else { "" };
                    text.splice(at..until, piece.chars());
                }
                let text: String = text.into_iter().collect();
                match (tree(&text), reference(&text)) {
                    (Ok(ours), Some(theirs)) => {
                        accepted += 1;
                        assert!(same(&ours.clone().into(), &theirs), "{text}: {ours:?} is not {theirs}");
                        // What `skip` lets pass is the same, but for its own rules on names.
                        assert_ne!(check_object(text.as_bytes()), Err(Fault::NotJson), "{text}");
                    }
                    (Err(_), None) => {
                        refused += 1;
                        assert!(check_object(text.as_bytes()).is_err(), "{text}");
                    }
                    (ours, theirs) => panic!("{text}: {ours:?}, but serde_json: {theirs:?}"),
                }
            }
        }
        assert!(accepted > 10_000 && refused > 10_000, "{accepted} accepted, {refused} refused");
    }

    #[test]
    fn the_first_special_byte_is_found_wherever_it_stands() {
        for special in (0..0x20).chain([b'"', b'\\']) {
            for place in 0..40 {
                for filler in [b' ', b'a', 0x7f, 0xc3, 0xff, b'!', b'#', b'['] {
                    let mut bytes = [filler; 40];
                    assert_eq!(plain_length(&bytes), 40);
                    bytes[place] = special;
                    bytes[39] = special;
                    assert_eq!(plain_length(&bytes), place, "{special:#x} at {place} among {filler:#x}");
                }
            }
        }
    }
}
