//! What fills a claims set up to a length: a claim `entitlements`, an array of strings as applications put it into tokens.

/// Bytes of JSON around the strings: `,"entitlements":[]`.
const FRAME: usize = r#","entitlements":[]"#.len();

/// Bytes of JSON around one string, the comma to the next one counted: `"",`.
const QUOTES: usize = r#""","#.len();

/// Fewest bytes that the claim takes, with one string of one character.
pub(super) const LEAST: usize = FRAME + QUOTES;

/// Strings with which the claim takes exactly `bytes` of JSON; none where that is less than [`LEAST`], and the claim is
/// to be left out.
pub(super) fn filling(bytes: usize) -> Vec<String> {
    let mut strings = Vec::new();
    if bytes < LEAST {
        return strings;
    }
    // As if the last string had a comma too.
    let mut rest = bytes - FRAME + 1;
    loop {
        let mut string = entitlement(strings.len());
        // What is left over must hold one more string.
        if rest < string.len() + QUOTES + QUOTES + 1 {
            while string.len() < rest - QUOTES {
                string.push('x');
            }
            string.truncate(rest - QUOTES);
            strings.push(string);
            return strings;
        }
        rest -= string.len() + QUOTES;
        strings.push(string);
    }
}

/// What an application might be entitled to: ASCII that JSON does not escape.
fn entitlement(number: usize) -> String {
    const RESOURCES: [&str; 5] = ["orders", "invoices", "customers", "shipments", "reports"];
    const ACTIONS: [&str; 3] = ["read", "write", "approve"];
    let (resource, action) = (RESOURCES[number % RESOURCES.len()], ACTIONS[number % ACTIONS.len()]);
    format!("{resource}:{action}:{number:04}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_from_the_least_on_is_met() {
        let length = |strings: &[String]| {
            let without = r#"{"a":1}"#.len();
            let with = serde_json::json!({"a": 1, "entitlements": strings}).to_string().len();
            with - without
        };
        for bytes in 0..LEAST {
            assert!(filling(bytes).is_empty(), "{bytes}");
        }
        for bytes in (LEAST..2_000).chain([16_000, 16_384]) {
            let strings = filling(bytes);
            assert_eq!(length(&strings), bytes);
            assert!(strings.iter().all(|string| !string.is_empty()), "{strings:?}");
        }
    }
}
