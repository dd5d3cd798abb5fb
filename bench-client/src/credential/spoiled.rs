//! Credentials that are there to be refused, made from good ones: as little is changed as makes them bad in one way.

use bench_server::contract::{Issued, Key, KeyEnvironment, Material, Secret, generate_key};
use rand::rngs::SysRng;

use crate::plan::Presents;

/// Makes a credential bad by changing what is presented. What is bad for another reason stays as it is.
///
/// # Errors
/// The operating system has no random bytes for another key.
pub(crate) fn spoil(credential: &mut Issued, presents: Presents) -> Result<(), String> {
    let material = &mut credential.material;
    match (presents, &mut *material) {
        (Presents::Malformed, Material::ApiKey { key }) => *key = last_changed(key),
        // The characters of a token, but four parts.
        (Presents::Malformed, Material::Bearer { token }) => *token = Secret::new(format!("{}.x", token.expose())),
        // No control characters stand in a password (RFC 7617 §2).
        (Presents::Malformed, Material::Password { password, .. }) => {
            *password = Secret::new(format!("{}\u{1}", password.expose()));
        }
        (Presents::Unknown, Material::ApiKey { key }) => {
            let environment = Key::parse(key.expose()).map_or(KeyEnvironment::Live, Key::environment);
            *key = generate_key(environment, &mut SysRng)
                .map_err(|error| format!("no random bytes for another key: {error}"))?;
        }
        (Presents::Unknown, Material::Password { username, .. }) => username.push('x'),
        (Presents::Unknown, Material::Bearer { token }) => *token = middle_changed(token),
        (Presents::WrongSecret, Material::Password { password, .. }) => *password = last_changed(password),
        (Presents::BadSignature, Material::Bearer { token }) => *token = signature_changed(token),
        _ => {}
    }
    Ok(())
}

/// With another last character: a letter where there was another one.
fn last_changed(secret: &Secret) -> Secret {
    let mut text = secret.expose().to_owned();
    let last = text.pop();
    text.push(if last == Some('A') { 'B' } else { 'A' });
    Secret::new(text)
}

/// With another character in the middle. The last one would not do: base64url leaves some of its bits unused, and a token that
/// sets those is malformed.
fn middle_changed(secret: &Secret) -> Secret {
    let mut characters: Vec<char> = secret.expose().chars().collect();
    let middle = characters.len() / 2;
    if let Some(character) = characters.get_mut(middle) {
        *character = if *character == 'A' { 'B' } else { 'A' };
    }
    Secret::new(characters.into_iter().collect::<String>())
}

/// With another first character of the part behind the last dot: six bits of the signature's first byte, and none of those
/// that base64url leaves unused at the end.
fn signature_changed(token: &Secret) -> Secret {
    let (signed, signature) = token.expose().rsplit_once('.').unwrap_or_default();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let rest: String = signature.chars().skip(1).collect();
    Secret::new(format!("{signed}.{first}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoilt(material: Material, presents: Presents) -> Material {
        let mut credential = Issued { id: "id".to_owned(), principal: "p".to_owned(), material };
        spoil(&mut credential, presents).expect("random bytes");
        credential.material
    }

    #[test]
    fn one_thing_is_changed() {
        let bearer = |token: &str| Material::Bearer { token: Secret::new(token) };
        assert_eq!(spoilt(bearer("a.b.cde"), Presents::BadSignature), bearer("a.b.Ade"));
        assert_eq!(spoilt(bearer("a.b.Ade"), Presents::BadSignature), bearer("a.b.Bde"));
        assert_eq!(spoilt(bearer("a.b.c"), Presents::Malformed), bearer("a.b.c.x"));
        assert_eq!(spoilt(bearer("abc"), Presents::Unknown), bearer("aAc"));
        assert_eq!(spoilt(bearer("aAcd"), Presents::Unknown), bearer("aAAd"));
        assert_eq!(spoilt(bearer("aAc"), Presents::Unknown), bearer("aBc"));
        for presents in [Presents::Valid, Presents::Expired, Presents::Revoked] {
            assert_eq!(spoilt(bearer("a.b.c"), presents), bearer("a.b.c"));
        }
        let password =
            |name: &str, password: &str| Material::Password { username: name.into(), password: Secret::new(password) };
        assert_eq!(spoilt(password("u", "p"), Presents::Unknown), password("ux", "p"));
        assert_eq!(spoilt(password("u", "pA"), Presents::WrongSecret), password("u", "pB"));
        assert_eq!(spoilt(password("u", "p"), Presents::Malformed), password("u", "p\u{1}"));
    }

    #[test]
    fn another_key_has_the_form_of_one() {
        let key = generate_key(KeyEnvironment::Live, &mut SysRng).expect("random bytes");
        let Material::ApiKey { key: other } = spoilt(Material::ApiKey { key: key.clone() }, Presents::Unknown) else {
            panic!("no key any more")
        };
        assert_eq!((other.expose().len(), &other.expose()[..8]), (key.expose().len(), &key.expose()[..8]));
        assert_ne!(other, key);
    }
}
