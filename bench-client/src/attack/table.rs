//! The table of bad credentials: what each is, what it needs, what is sent, and what must come back.

mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

pub use self::words::Severity;
pub(crate) use self::words::{Answer, CertificateKind, Connection, Counter, Hello, MethodKind, Needs, Place, State};
use super::mutation::{Mutation, Needed};
use super::template;

/// The files that ship, in the order of their numbers.
const SHIPPED: &[(&str, &str)] = &[
    ("any.toml", include_str!("../../../scenarios/attack/any.toml")),
    ("api-key.toml", include_str!("../../../scenarios/attack/api-key.toml")),
    ("oauth2.toml", include_str!("../../../scenarios/attack/oauth2.toml")),
    ("jwt.toml", include_str!("../../../scenarios/attack/jwt.toml")),
    ("basic.toml", include_str!("../../../scenarios/attack/basic.toml")),
    ("mtls.toml", include_str!("../../../scenarios/attack/mtls.toml")),
    ("layered.toml", include_str!("../../../scenarios/attack/layered.toml")),
    ("controls.toml", include_str!("../../../scenarios/attack/controls.toml")),
];

/// All cases and controls, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) cases: Vec<Case>,
    /// SHA-256 of the text, in hexadecimal.
    pub(crate) digest: String,
}

/// Bad credentials of one kind, or good ones that must not be refused.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// Like `BC-076`.
    pub(crate) id: String,
    /// In words.
    pub(crate) title: String,
    /// What it is about.
    pub(crate) method: Vec<MethodKind>,
    /// What it takes to make.
    pub(crate) needs: Needs,
    /// What the target must offer for it to mean anything.
    #[serde(default)]
    pub(crate) features: Vec<String>,
    /// How bad it is if it is accepted; of controls there is none.
    pub(crate) severity: Option<Severity>,
    /// Where the demand stands.
    pub(crate) source: String,
    /// What the reference server answers.
    #[serde(default)]
    pub(crate) expect: Expect,
    /// What is sent, one after the other. None: the table says what is bad, and not yet how it is sent.
    #[serde(default, rename = "try")]
    pub(crate) tries: Vec<Try>,
    /// Whether it must be accepted.
    #[serde(skip)]
    pub(crate) control: bool,
}

/// What must come back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expect {
    /// In one word.
    pub(crate) answer: Answer,
    /// Statuses in the place of the word's own.
    pub(crate) status: Vec<u16>,
    /// TLS alerts, of which one must come.
    pub(crate) alert: Vec<u8>,
    /// The end of the type of the problem (RFC 9457).
    pub(crate) problem: Option<String>,
    /// What `Location` must contain; empty: there must be none.
    pub(crate) location: Option<String>,
    /// The `error` of the answer or of the challenge, where it is another than the word's.
    pub(crate) error: Option<String>,
    /// How much counters may grow.
    pub(crate) at_most: BTreeMap<Counter, u64>,
}

/// One thing that is sent.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Try {
    /// In words, where the rest does not say it.
    pub(crate) what: String,
    /// What is done to the valid credential.
    pub(crate) credential: Vec<Mutation>,
    /// Which credential that is.
    pub(crate) state: State,
    /// Field lines in the place of the one that presents the credential.
    pub(crate) fields: Option<Vec<String>>,
    /// So many fields more.
    pub(crate) flood: usize,
    /// Verb, `GET` by default.
    pub(crate) verb: Option<String>,
    /// Request target in the place of the route's path.
    pub(crate) path: Option<String>,
    /// An endpoint in the place of the route, with this form.
    pub(crate) at: Place,
    pub(crate) form: Vec<(String, String)>,
    /// What the client presents in the handshake.
    pub(crate) certificate: Option<CertificateKind>,
    /// On what connection.
    pub(crate) connection: Connection,
    /// Something else than a request.
    pub(crate) hello: Option<Hello>,
    /// How often; the last answer is judged.
    pub(crate) times: Option<u32>,
    /// What must come back, where it is something else than from the others.
    pub(crate) expect: Option<Expect>,
}

/// Why a table cannot be used: every mistake, each with its file and case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableError(pub(crate) Vec<String>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    case: Vec<Case>,
    #[serde(default)]
    control: Vec<Case>,
}

impl Table {
    /// The one that ships.
    pub(crate) fn shipped() -> Self {
        Self::read(SHIPPED.iter().copied()).expect("a test reads it")
    }

    /// Reads a table of the user's.
    ///
    /// # Errors
    /// All mistakes.
    pub(crate) fn of_user(name: &str, text: &str) -> Result<Self, TableError> {
        Self::read(std::iter::once((name, text)))
    }

    fn read<'t>(files: impl Iterator<Item = (&'t str, &'t str)>) -> Result<Self, TableError> {
        let (mut cases, mut mistakes, mut digest): (Vec<Case>, _, _) = (Vec::new(), Vec::new(), Sha256::new());
        let mut seen = BTreeSet::new();
        for (name, text) in files {
            digest.update(text);
            let written: Written = match toml::from_str(text) {
                Ok(written) => written,
                Err(error) => {
                    mistakes.push(format!("{name}: {error}"));
                    continue;
                }
            };
            let controls = written.control.into_iter().map(|case| Case { control: true, ..case });
            for case in written.case.into_iter().chain(controls) {
                let place = format!("{name}: {}", case.id);
                mistakes.extend(case.mistakes().into_iter().map(|mistake| format!("{place}: {mistake}")));
                if !seen.insert(case.id.clone()) {
                    mistakes.push(format!("{place}: the id is taken; give each case its own"));
                }
                cases.push(case);
            }
        }
        if cases.is_empty() && mistakes.is_empty() {
            mistakes.push("no [[case]] and no [[control]]: nothing would be sent".to_owned());
        }
        if !mistakes.is_empty() {
            return Err(TableError(mistakes));
        }
        let digest = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { cases, digest })
    }
}

impl Case {
    /// What only the whole case shows.
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut mistake = |text: &str| mistakes.push(text.to_owned());
        if self.id.is_empty() || !self.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            mistake("an id is letters, digits and \"-\"");
        }
        if self.method.is_empty() {
            mistake("method is empty; name what it is about");
        }
        if self.tries.is_empty() && self.features.is_empty() {
            mistake("nothing is sent; write try = [{ … }]");
        }
        match (self.control, self.severity) {
            (false, None) => mistake("severity is missing; write \"critical\", \"high\" or \"medium\""),
            (true, Some(_)) => mistake("a control has no severity: it must be accepted"),
            _ => {}
        }
        for it in &self.tries {
            let expects = it.expect.as_ref().unwrap_or(&self.expect);
            if self.control != (expects.answer == Answer::Accepted) {
                mistake("a [[control]] expects answer = \"accepted\", and a [[case]] something else");
            }
            let needed = it.credential.iter().filter_map(Mutation::needed).any(|needed| needed == Needed::IssuerKey);
            let ca = it.certificate.is_some_and(CertificateKind::needs_ca);
            if (needed || ca || it.state != State::Valid) && self.needs != Needs::Issuer {
                mistake("it takes the issuer's key or rights; write needs = \"issuer\"");
            }
            let lines = it.fields.iter().flatten().chain(&it.path);
            for text in lines.chain(it.form.iter().map(|(_, value)| value)) {
                if let Err(why) = template::check(text) {
                    mistake(&why);
                }
            }
            if it.at == Place::Resource && !it.form.is_empty() {
                mistake("a form goes to an endpoint; write at = \"token\"");
            }
        }
        mistakes
    }
}

impl Try {
    /// Whether a place stands in it.
    pub(crate) fn names(&self, place: &str) -> bool {
        let place = format!("<{place}>");
        let credential = self.credential.iter().map(Mutation::as_str);
        let form = self.form.iter().map(|(_, value)| value.as_str());
        let fields = self.fields.iter().flatten().chain(&self.path).map(String::as_str);
        credential.chain(form).chain(fields).any(|text| text.contains(&place))
    }

    /// What is done, in the words of the table: it holds no secret.
    pub(crate) fn describe(&self) -> String {
        let mut parts = Vec::new();
        if !self.what.is_empty() {
            parts.push(self.what.clone());
        }
        match self.state {
            State::Valid => {}
            State::Revoked => parts.push("revoked".to_owned()),
            State::Replaced => parts.push("replaced".to_owned()),
            State::Expired => parts.push("expired".to_owned()),
            State::Unscoped => parts.push("without the scope".to_owned()),
        }
        match self.connection {
            Connection::Fresh => {}
            Connection::Kept => parts.push("on a kept connection".to_owned()),
            Connection::Resumed => parts.push("on a resumed session".to_owned()),
        }
        parts.extend(self.credential.iter().map(|mutation| shortened(mutation.as_str())));
        parts.extend(self.certificate.map(|kind| format!("certificate: {}", kebab(&format!("{kind:?}")))));
        parts.extend(self.hello.map(|hello| format!("hello: {}", kebab(&format!("{hello:?}")))));
        parts.extend(self.verb.iter().cloned());
        parts.extend(self.path.iter().map(|path| shortened(path)));
        parts.extend(self.fields.iter().flatten().map(|line| shortened(line)));
        parts.extend(self.form.iter().map(|(name, value)| format!("{name}={}", shortened(value))));
        parts.extend(self.times.map(|times| format!("{times} times")));
        if parts.is_empty() {
            parts.push("as it is".to_owned());
        }
        parts.join("; ")
    }
}

fn kebab(name: &str) -> String {
    let mut text = String::new();
    for (place, c) in name.char_indices() {
        if c.is_ascii_uppercase() && place > 0 {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// On one line, printable, and not too long.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 120;
    let plain: String = text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'");
    if plain.chars().count() <= LONGEST { plain } else { plain.chars().take(LONGEST).chain(['…']).collect() }
}

#[cfg(test)]
mod tests;
