//! The table of bad credentials: what each is, what it needs, what is sent, and what must come back.

mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

pub use self::words::Severity;
pub(crate) use self::words::{
    Answer, Caller, CertificateKind, Chosen, Connection, Counter, HashKind, Hello, MethodKind, Needs, Place, State,
};
use super::mutation::{Mutation, Needed};
use super::template;

/// The files that ship, in the order of their numbers.
const SHIPPED: &[(&str, &str)] = &[
    ("any.toml", include_str!("../../../scenarios/attack/any.toml")),
    ("api-key.toml", include_str!("../../../scenarios/attack/api-key.toml")),
    ("signed.toml", include_str!("../../../scenarios/attack/signed.toml")),
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
    /// What is sent, one after the other.
    #[serde(default, rename = "try")]
    pub(crate) tries: Vec<Try>,
    /// Why nothing is: in the place of `try`.
    #[serde(default)]
    pub(crate) unsent: Option<String>,
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
    /// Fields that must be there.
    pub(crate) fields: Vec<String>,
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
    /// What `Host` says, in the place of the target's authority.
    pub(crate) host: Option<String>,
    /// Content of the request.
    pub(crate) body: Option<String>,
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
    /// How often at most: of a bad credential until one is let in, of a good one until one is refused. The last answer is
    /// judged.
    pub(crate) times: Option<u32>,
    /// What is sent before it, with the same credential and from the same address. What comes of that is not judged.
    pub(crate) first: Option<Box<Try>>,
    /// Whether so much time passes before it as the answer to `first` asks for.
    pub(crate) patient: bool,
    /// Whether the very same bytes were sent before, and accepted.
    pub(crate) again: bool,
    /// Whether it has a credential and an address of its own, because what becomes of them would spoil what comes after.
    pub(crate) apart: bool,
    /// A user with this password, in the place of the one of the run.
    pub(crate) user: Option<Chosen>,
    /// Who calls for the user.
    pub(crate) caller: Caller,
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
        match (self.tries.is_empty(), &self.unsent) {
            (true, None) => mistake("nothing is sent; write try = [{ … }], or why not: unsent = \"…\""),
            (false, Some(_)) => mistake("unsent says why nothing is sent, and try says what; remove one of them"),
            _ => {}
        }
        match (self.control, self.severity) {
            (false, None) => mistake("severity is missing; write \"critical\", \"high\" or \"medium\""),
            (true, Some(_)) => mistake("a control has no severity: it must be accepted"),
            _ => {}
        }
        let accepted = |it: &Try| it.expect.as_ref().unwrap_or(&self.expect).answer == Answer::Accepted;
        // What must go on in spite of something bad is part of a case.
        let expects = match self.control {
            true => self.tries.iter().all(accepted),
            false => self.tries.is_empty() || !self.tries.iter().all(accepted),
        };
        if !expects {
            mistake("a [[control]] expects answer = \"accepted\", and a [[case]] something else");
        }
        for it in self.tries.iter().flat_map(Try::with_first) {
            let needed = it.credential.iter().filter_map(Mutation::needed).any(|needed| needed == Needed::IssuerKey);
            let ca = it.certificate.is_some_and(CertificateKind::needs_ca);
            let issued = it.user.is_some() || !matches!(it.caller, Caller::Good | Caller::None | Caller::Unknown);
            if (needed || ca || issued || it.state != State::Valid) && self.needs != Needs::Issuer {
                mistake("it takes the issuer's key or rights; write needs = \"issuer\"");
            }
            let lines = it.fields.iter().flatten().chain(&it.path).chain(&it.host).chain(&it.body);
            let lines = lines.chain(it.user.iter().map(|user| &user.password));
            for text in lines.chain(it.form.iter().map(|(_, value)| value)) {
                if let Err(why) = template::check(text) {
                    mistake(&why);
                }
            }
            let endpoint = !matches!(it.at, Place::Resource | Place::Neighbour);
            if !endpoint && !it.form.is_empty() {
                mistake("a form goes to an endpoint; write at = \"token\"");
            }
            if endpoint && it.body.is_some() {
                mistake("a form is the content of a request to an endpoint; leave body out");
            }
            if it.patient && it.first.is_none() {
                mistake("patient waits for what first was answered; write first = { … }");
            }
            if it.times == Some(0) {
                mistake("times is 0; write 1 at least");
            }
            let ends = !matches!(it.state, State::Valid | State::Expired | State::Unscoped);
            if ends && (it.times.is_some() || it.again || it.first.is_some()) {
                mistake(
                    "a credential that ends is sent once before that and once after; leave times, again and first out",
                );
            }
        }
        mistakes
    }
}

impl Try {
    /// It, and what is sent before it.
    pub(crate) fn with_first(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |it| it.first.as_deref())
    }

    /// Whether a place stands in it.
    pub(crate) fn names(&self, place: &str) -> bool {
        let place = format!("<{place}>");
        let credential = self.credential.iter().map(Mutation::as_str);
        let form = self.form.iter().map(|(_, value)| value.as_str());
        let fields = self.fields.iter().flatten().chain(&self.path).chain(&self.body).map(String::as_str);
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
            State::Rotated => parts.push("replaced, after the overlap".to_owned()),
            State::Overlapping => parts.push("replaced, during the overlap".to_owned()),
            State::KeyRemoved => parts.push("its signing key removed".to_owned()),
            State::Expired => parts.push("expired".to_owned()),
            State::Unscoped => parts.push("without the scope".to_owned()),
        }
        match self.connection {
            Connection::Fresh => {}
            Connection::Kept => parts.push("on a kept connection".to_owned()),
            Connection::Resumed => parts.push("on a resumed session".to_owned()),
        }
        let caller = (self.caller != Caller::Good).then(|| format!("caller: {}", kebab(&format!("{:?}", self.caller))));
        parts.extend(caller);
        let user = |user: &Chosen| format!("a user with the password {}", shortened(&user.password));
        parts.extend(self.user.as_ref().map(user));
        parts.extend(self.credential.iter().map(|mutation| shortened(mutation.as_str())));
        parts.extend(self.certificate.map(|kind| format!("certificate: {}", kebab(&format!("{kind:?}")))));
        parts.extend(self.hello.map(|hello| format!("hello: {}", kebab(&format!("{hello:?}")))));
        parts.extend(self.verb.iter().cloned());
        parts.extend(self.path.iter().map(|path| shortened(path)));
        parts.extend(self.host.iter().map(|host| format!("Host: {}", shortened(host))));
        parts.extend(self.body.iter().map(|body| format!("content: {}", shortened(body))));
        parts.extend(self.fields.iter().flatten().map(|line| shortened(line)));
        parts.extend(self.form.iter().map(|(name, value)| format!("{name}={}", shortened(value))));
        parts.extend(self.times.map(|times| format!("{times} times")));
        parts.extend(self.again.then(|| "once more".to_owned()));
        parts.extend(self.first.as_ref().map(|first| {
            let when = if self.patient { "after as long as asked for, and" } else { "after" };
            format!("{when} {}", first.describe())
        }));
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
