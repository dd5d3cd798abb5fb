//! A user with a browser, as far as an authorization request needs one (RFC 6749 §4.1): pages with one form each, which the
//! user fills in and submits, and the session's cookie between them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bench_server::contract::{Secret, UserRegistration};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response, Url};

use super::control::{chain, unsuccessful};

/// A browser, and the user in front of it.
pub(super) struct UserAgent {
    /// Follows no redirect: where one leads is what is asked for.
    http: Client,
    user: UserRegistration,
    /// By name. All pages are the authorization server's, so nothing else of a cookie (RFC 6265 §5.3) decides where it goes.
    cookies: Mutex<BTreeMap<String, Secret>>,
}

impl UserAgent {
    /// The browser of a user who is not signed in.
    pub(super) fn new(http: Client, user: UserRegistration) -> Self {
        Self { http, user, cookies: Mutex::default() }
    }

    /// Whom the browser belongs to.
    pub(super) fn username(&self) -> &str {
        &self.user.username
    }

    /// Another browser of the same user, who is not signed in there.
    pub(super) fn another(&self) -> Self {
        Self::new(self.http.clone(), self.user.clone())
    }

    /// Opens an authorization request, signs in where that is asked for, allows all that is asked for, and returns where the
    /// browser is sent then: back to the client.
    ///
    /// # Errors
    /// Which page was asked for, and what came back.
    pub(super) async fn authorize(&self, request: Url) -> Result<Url, String> {
        let form = self.consent_form(request).await?;
        self.submit(form, &[("decision", "allow")]).await
    }

    /// The same, up to the page on which the user is asked.
    ///
    /// # Errors
    /// Which page was asked for, and what came back.
    pub(super) async fn consent_page(&self, request: Url) -> Result<Page, String> {
        let form = self.consent_form(request).await?;
        let query = form.action.query().map_or_else(String::new, |query| format!("?{query}"));
        Ok(Page {
            action: Secret::new(format!("{}{query}", form.action.path())),
            csrf_token: form.csrf_token()?,
            cookies: Secret::new(self.cookies()),
        })
    }

    /// The anti-CSRF token of the page that an authorization request leads to.
    ///
    /// # Errors
    /// Which page was asked for, and what came back.
    pub(super) async fn csrf_token(&self, request: Url) -> Result<Secret, String> {
        self.open(request).await?.csrf_token()
    }

    async fn consent_form(&self, request: Url) -> Result<Form, String> {
        let form = self.open(request).await?;
        if !form.asks_for_a_password {
            return Ok(form);
        }
        let (name, password) = (self.user.username.as_str(), self.user.password.expose());
        let next = self.submit(form, &[("username", name), ("password", password)]).await?;
        self.open(next).await
    }

    async fn open(&self, url: Url) -> Result<Form, String> {
        let asked = format!("the page {}", url.path());
        let response = self.send(&asked, self.http.get(url.clone())).await?;
        let status = response.status();
        let page = response.text().await.map_err(|error| failed(&asked, error))?;
        if !status.is_success() {
            return Err(unsuccessful(&asked, status, page.as_bytes()));
        }
        Form::find(&url, &page).ok_or_else(|| format!("{asked} has no form to fill in"))
    }

    /// Submits a form and returns where the answer leads.
    async fn submit(&self, form: Form, typed: &[(&str, &str)]) -> Result<Url, String> {
        let asked = format!("the form {}", form.action.path());
        let fields: Vec<(&str, &str)> = form
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(typed.iter().copied())
            .collect();
        let response = self.send(&asked, self.http.post(form.action.clone()).form(&fields)).await?;
        let status = response.status();
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let next = location.filter(|_| status.is_redirection()).and_then(|next| form.action.join(next).ok());
        match next {
            Some(next) => Ok(next),
            None => {
                let page = response.bytes().await.map_err(|error| failed(&asked, error))?;
                Err(unsuccessful(&asked, status, &page))
            }
        }
    }

    /// The value of `Cookie`; empty without any.
    fn cookies(&self) -> String {
        let cookies = self.cookies.lock().expect("nobody panics while holding it");
        let pairs: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect();
        pairs.join("; ")
    }

    /// Sends a request with the cookies that there are, and keeps those that come back.
    async fn send(&self, asked: &str, request: RequestBuilder) -> Result<Response, String> {
        let cookies = self.cookies();
        let request = if cookies.is_empty() { request } else { request.header(COOKIE, cookies) };
        let response = request.send().await.map_err(|error| failed(asked, error))?;
        let set = response.headers().get_all(SET_COOKIE).iter().filter_map(|field| field.to_str().ok());
        let pairs = set.filter_map(|field| field.split(';').next()?.split_once('='));
        let mut cookies = self.cookies.lock().expect("nobody panics while holding it");
        cookies.extend(pairs.map(|(name, value)| (name.trim().to_owned(), Secret::new(value.trim()))));
        drop(cookies);
        Ok(response)
    }
}

fn failed(asked: &str, error: reqwest::Error) -> String {
    // Queries hold what only the browser may know.
    format!("{asked} failed: {}", chain(&error.without_url()))
}

/// A page on which a user is asked, as an attacker would like to answer for them.
pub(super) struct Page {
    /// Where its form goes: path and query.
    pub(super) action: Secret,
    /// What only who was shown the page knows.
    pub(super) csrf_token: Secret,
    /// What the browser sends along by itself.
    pub(super) cookies: Secret,
}

/// The one form of a page.
#[derive(Debug)]
struct Form {
    action: Url,
    /// What it sends without anybody typing: hidden fields, and boxes that are checked.
    fields: Vec<(String, String)>,
    asks_for_a_password: bool,
}

impl Form {
    fn csrf_token(&self) -> Result<Secret, String> {
        let found = self.fields.iter().find(|(name, _)| name == "csrf_token");
        let missing = || format!("the form {} has no anti-CSRF token", self.action.path());
        found.map(|(_, value)| Secret::new(value.as_str())).ok_or_else(missing)
    }

    fn find(page_url: &Url, page: &str) -> Option<Self> {
        let (tag, content) = page.split_once("<form")?.1.split_once('>')?;
        let content = content.split_once("</form>")?.0;
        let inputs: Vec<&str> = content.split("<input").skip(1).filter_map(|input| input.split('>').next()).collect();
        let is = |input: &str, kind: &str| attribute(input, "type").as_deref() == Some(kind);
        let sent = inputs.iter().filter(|input| {
            is(input, "hidden") || is(input, "checkbox") && input.split_ascii_whitespace().any(|word| word == "checked")
        });
        Some(Self {
            action: page_url.join(&attribute(tag, "action")?).ok()?,
            fields: sent.filter_map(|input| attribute(input, "name").zip(attribute(input, "value"))).collect(),
            asks_for_a_password: inputs.iter().any(|input| is(input, "password")),
        })
    }
}

/// The value of an attribute, its character references resolved.
fn attribute(tag: &str, name: &str) -> Option<String> {
    // "&amp;" last: what it becomes is no reference again.
    const REFERENCES: [(&str, &str); 6] =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&amp;", "&")];
    let written = tag.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0;
    Some(REFERENCES.iter().fold(written.to_owned(), |text, (reference, meant)| text.replace(reference, meant)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_url() -> Url {
        Url::parse("https://localhost:1/authorize?a=b").expect("a URL")
    }

    #[test]
    fn a_form_sends_what_is_hidden_and_what_is_checked() {
        let page = r#"<p>Hello</p><form method="post" action="/consent?a=b&amp;c=&quot;">
            <input type="hidden" name="csrf_token" value="t&amp;lt;">
            <label><input type="checkbox" name="scope" value="read" checked> read</label>
            <label><input type="checkbox" name="scope" value="write"> write</label>
            <input type="text" name="username" required></form><form action="/other"></form>"#;
        let form = Form::find(&page_url(), page).expect("a form");
        assert_eq!(form.action.as_str(), "https://localhost:1/consent?a=b&c=%22");
        let expected = [("csrf_token", "t&lt;"), ("scope", "read")];
        assert_eq!(form.fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(!form.asks_for_a_password);
    }

    #[test]
    fn a_form_may_ask_for_a_password_and_a_page_may_have_none() {
        let page = r#"<form action="/login"><input type="password" name="password"></form>"#;
        assert!(Form::find(&page_url(), page).expect("a form").asks_for_a_password);
        assert!(Form::find(&page_url(), "<p>No</p>").is_none());
    }
}
