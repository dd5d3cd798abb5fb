//! Text with places in angle brackets, filled in one pass: `<value>`, `<now+300>`, `<fill:8192>`, `<byte:a3>`. What is put into
//! one place is never searched for another, and may be any bytes.

/// Places that anybody can fill, beside those that a credential or a target fills.
const CONSTANT: &[&str] = &["fill", "byte", "now", "random"];

/// Places that a credential, its issuer or its target fills.
const NAMES: &[&str] = &[
    "value",
    "good",
    "line",
    "good-line",
    "field",
    "prefix",
    "prefix-lower",
    "prefix-upper",
    "basic-good",
    "path",
    "name",
    "path-upper",
    "path-encoded",
    "authority",
    "canary",
    "id",
    "principal",
    "user",
    "user-upper",
    "password",
    "password-upper",
    "iss",
    "aud",
    "kid",
    "leeway",
    "alg",
    "attacker-jwk",
    "attacker-x5c",
    "client-id",
    "client-secret",
    "client-basic",
    "redirect-uri",
    "flow-client",
    "flow-secret",
    "flow-redirect",
    "code",
    "code-spent",
    "verifier",
    "challenge",
    "refresh",
    "refresh-spent",
    "access-replayed",
    "access-of-spent",
    "access",
    "access-kept",
    "code-expired",
    "public-client",
    "consent-path",
    "session",
    "csrf",
    "csrf-of-another",
    "caller",
    "proof",
    "proof-jwk-private",
];

/// Why a place stays empty: what the target would have to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing(pub(crate) String);

/// Whether all places of a template are known.
///
/// # Errors
/// The one that is not.
pub(super) fn check(text: &str) -> Result<(), String> {
    walk(text, |piece| match piece {
        Piece::Text(_) => Ok(()),
        Piece::Place(place) => {
            let name = place.split([':', '+', '-']).next().unwrap_or_default();
            let known = NAMES.contains(&place) || CONSTANT.contains(&name);
            if !known {
                return Err(format!("<{place}> is no place that is filled in"));
            }
            constant(place).map_or(Ok(()), |filled| filled.map(drop))
        }
    })
}

/// Fills a template. Seconds since 1970 and `leeway` make times; `names` fills the rest.
///
/// # Errors
/// What is missing.
pub(crate) fn fill(text: &str, now: u64, names: &dyn Fn(&str) -> Result<Vec<u8>, Missing>) -> Result<Vec<u8>, Missing> {
    let mut filled = Vec::new();
    walk(text, |piece| {
        match piece {
            Piece::Text(text) => filled.extend_from_slice(text.as_bytes()),
            Piece::Place(place) => match time(place, now, names)? {
                Some(time) => filled.extend_from_slice(time.to_string().as_bytes()),
                None => match constant(place) {
                    Some(value) => filled.extend(value.map_err(Missing)?),
                    None => filled.extend(names(place)?),
                },
            },
        }
        Ok(())
    })?;
    Ok(filled)
}

enum Piece<'t> {
    Text(&'t str),
    Place(&'t str),
}

/// A `<` that no word and `>` follow is an ordinary character.
fn walk<E>(text: &str, mut each: impl FnMut(Piece<'_>) -> Result<(), E>) -> Result<(), E> {
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        let word = rest[open + 1..].split_once('>').map(|(word, _)| word).filter(|word| is_word(word));
        let Some(word) = word else {
            each(Piece::Text(&rest[..=open]))?;
            rest = &rest[open + 1..];
            continue;
        };
        each(Piece::Text(&rest[..open]))?;
        each(Piece::Place(word))?;
        rest = &rest[open + word.len() + 2..];
    }
    each(Piece::Text(rest))
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, ':' | '+' | '-'))
}

/// `fill:N` (as many `A`), `byte:HH`, `random` (16 hexadecimal digits).
fn constant(place: &str) -> Option<Result<Vec<u8>, String>> {
    if place == "random" {
        return Some(Ok(format!("{:016x}", rand::random::<u64>()).into_bytes()));
    }
    let (name, value) = place.split_once(':')?;
    match name {
        "fill" => Some(value.parse().map(|n: usize| vec![b'A'; n]).map_err(|_| format!("<{place}>: write a number"))),
        "byte" => Some(
            u8::from_str_radix(value, 16)
                .map(|byte| vec![byte])
                .map_err(|_| format!("<{place}>: write two hexadecimal digits")),
        ),
        _ => None,
    }
}

/// `now`, with numbers of seconds or `leeway` added and taken away.
fn time(place: &str, now: u64, names: &dyn Fn(&str) -> Result<Vec<u8>, Missing>) -> Result<Option<i64>, Missing> {
    let Some(mut rest) = place.strip_prefix("now") else { return Ok(None) };
    let mut time = i64::try_from(now).unwrap_or(i64::MAX);
    while !rest.is_empty() {
        let sign = if rest.starts_with('-') { -1 } else { 1 };
        let end = rest[1..].find(['+', '-']).map_or(rest.len(), |end| end + 1);
        let seconds = match &rest[1..end] {
            "leeway" => String::from_utf8(names("leeway")?).ok().and_then(|text| text.parse::<i64>().ok()),
            number => number.parse().ok(),
        };
        let seconds = seconds.ok_or_else(|| Missing(format!("<{place}> is no time")))?;
        time += sign * seconds;
        rest = &rest[end..];
    }
    Ok(Some(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<Vec<u8>, Missing> {
        fill(text, 1_000, &|name| match name {
            "leeway" => Ok(b"30".to_vec()),
            "value" => Ok(b"<value>".to_vec()),
            other => Err(Missing(other.to_owned())),
        })
    }

    #[test]
    fn places_are_filled_once_and_with_any_bytes() {
        assert_eq!(filled("a<value>b"), Ok(b"a<value>b".to_vec()));
        assert_eq!(filled("<fill:3><byte:00><byte:ff>"), Ok(b"AAA\0\xff".to_vec()));
        assert_eq!(filled("<now>,<now-leeway-1>,<now+300>"), Ok(b"1000,969,1300".to_vec()));
        assert_eq!(filled("a < b > c << <value>"), Ok(b"a < b > c << <value>".to_vec()));
        assert_eq!(filled("<iss>"), Err(Missing("iss".to_owned())));
    }

    #[test]
    fn unknown_places_are_mistakes() {
        for known in ["<value>", "<now-leeway+1>", "<fill:9>", "<byte:0d>", "<random>", "1 < 2 > 1", ""] {
            assert_eq!(check(known), Ok(()), "{known}");
        }
        for unknown in ["<valeu>", "<fill:x>", "<byte:zz>", "<clock>"] {
            assert!(check(unknown).is_err(), "{unknown}");
        }
    }
}
