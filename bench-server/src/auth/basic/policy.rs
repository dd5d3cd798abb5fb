//! Which passwords people may choose (NIST SP 800-63B-4 §3.1.1.2): long ones that are not easily guessed. No rules of
//! composition, and nothing is cut.

use unicode_normalization::UnicodeNormalization;

use crate::config::{PasswordPolicy, REALM};

/// Long passwords that everybody tries first, in lower case. Shorter ones are too short anyway.
const KNOWN: &[&str] = &[
    "qwertyuiopasdfghjkl",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv",
    "1qaz2wsx3edc4rfv5tgb",
    "correct horse battery staple",
    "correcthorsebatterystaple",
    "iloveyouforever",
    "letmeinletmeinletmein",
    "passwordpassword",
    "password1234567",
    "password12345678",
    "password123456789",
    "thequickbrownfox",
    "the quick brown fox jumps over the lazy dog",
    "tobeornottobethatisthequestion",
    "welcometothejungle",
];

/// Longest piece whose repetition counts as one password: `abcabcabcabcabc` is as good as `abc`.
const PIECE: usize = 8;

/// Whether a password may be chosen.
///
/// # Errors
/// What is wrong with it, as the end of a sentence.
pub(super) fn check(policy: &PasswordPolicy, name: &str, password: &str) -> Result<(), String> {
    let characters: Vec<char> = password.nfc().flat_map(char::to_lowercase).collect();
    // As it was typed: a letter may be two in lower case.
    let length = password.nfc().count();
    if length < policy.min_chars {
        return Err(format!("has {length} characters; use {} or more", policy.min_chars));
    }
    let text: String = characters.iter().collect();
    let about = [name.to_lowercase(), REALM.to_owned()];
    let rest = about.iter().filter(|word| !word.is_empty()).fold(text.clone(), |rest, word| rest.replace(&**word, ""));
    let guessed = KNOWN.contains(&&*text)
        || repeats(&characters)
        || climbs(&characters)
        // Digits and signs around the name of the user or of the service add nothing.
        || rest.chars().all(|character| !character.is_alphabetic()) && rest.len() < text.len();
    if guessed { Err("is among the first that anybody would guess; choose another".to_owned()) } else { Ok(()) }
}

/// Whether it is one short piece again and again.
fn repeats(characters: &[char]) -> bool {
    (1..=PIECE)
        .any(|piece| characters.len() > piece && characters.iter().zip(&characters[piece..]).all(|(a, b)| a == b))
}

/// Whether each character follows the one before: `abcdefghijklmno`, `1234567890`, and backwards.
fn climbs(characters: &[char]) -> bool {
    let steps = |step: i64| {
        characters.windows(2).all(|pair| {
            let (one, next) = (i64::from(u32::from(pair[0])), i64::from(u32::from(pair[1])));
            next - one == step || (pair[0], pair[1]) == ('9', '0') || (pair[0], pair[1]) == ('0', '9')
        })
    };
    steps(1) || steps(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: PasswordPolicy = PasswordPolicy { min_chars: 15 };

    #[test]
    fn ba_20_length_counts_in_characters_and_nothing_else_is_asked_for() {
        for good in
            ["plain lower case", "sesame open the", "ÄÖÜ über alle Berge", &"many words ".repeat(6), "correct horse!!"]
        {
            assert_eq!(check(&POLICY, "anna", good), Ok(()), "{good}");
        }
        for short in ["", "Tr0ub4dor&3", "fourteen chars", &"\u{e9}".repeat(14)] {
            assert!(check(&POLICY, "anna", short).expect_err("short").contains("use 15 or more"), "{short}");
        }
        // Composed or decomposed, it is as long.
        assert!(check(&POLICY, "anna", "cafe\u{301} noir, 10").is_err());
        assert_eq!(check(&PasswordPolicy { min_chars: 4 }, "anna", "cafe\u{301}"), Ok(()));
    }

    #[test]
    fn ba_20_what_is_guessed_first_is_refused() {
        for guessed in [
            "passwordpassword",
            "PasswordPassword",
            "Correct Horse Battery Staple",
            "aaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabc",
            "1234567890123456",
            "abcdefghijklmnop",
            "ponmlkjihgfedcba",
            "annabella1234567",
            "authbench2026!!!",
        ] {
            let why = check(&POLICY, "annabella", guessed).expect_err(guessed);
            assert!(!why.contains(guessed) && why.contains("choose another"), "{why}");
        }
    }
}
