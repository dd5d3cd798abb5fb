//! A person in front of a browser with cookies, at the authorization server's pages.

use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, StatusCode};
use url::Url;

/// Who the person is.
pub const USERNAME: &str = "alice";
pub const PASSWORD: &str = "wonderland";

pub struct Browser(Client);

/// The one form of a page: where it goes, and what it carries by itself.
struct Form {
    action: Url,
    fields: Vec<(String, String)>,
}

impl Browser {
    pub fn new(client: ClientBuilder) -> Self {
        Self(client.cookie_store(true).redirect(Policy::none()).build().expect("a client"))
    }

    /// Logs in, allows `read`, and returns where the browser is sent.
    pub async fn authorize(&self, request: Url) -> Url {
        let login = self.open(request).await;
        let next = self.submit(login, &[("username", USERNAME), ("password", PASSWORD)]).await;
        let consent = self.open(next).await;
        self.submit(consent, &[("scope", "read"), ("decision", "allow")]).await
    }

    async fn open(&self, url: Url) -> Form {
        let response = self.0.get(url.clone()).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        Form::find(&url, &response.text().await.expect("a page"))
    }

    /// Submits a form and returns where the answer leads.
    async fn submit(&self, form: Form, typed: &[(&str, &str)]) -> Url {
        let mut fields = form.fields;
        fields.extend(typed.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let response = self.0.post(form.action.clone()).form(&fields).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let location = response.headers()[LOCATION].to_str().expect("visible ASCII");
        form.action.join(location).expect("a URL")
    }
}

impl Form {
    fn find(page_url: &Url, page: &str) -> Self {
        let form = page.split_once("<form ").expect("a form").1.split_once("</form>").expect("its end").0;
        let hidden = form.split("<input ").skip(1).filter(|input| input.contains("type=\"hidden\""));
        let fields = hidden.map(|input| (attribute(input, "name"), attribute(input, "value"))).collect();
        Self { action: page_url.join(&attribute(form, "action")).expect("a URL"), fields }
    }
}

fn attribute(markup: &str, name: &str) -> String {
    let value = markup.split_once(&format!("{name}=\"")).expect("the attribute").1;
    let value = value.split('"').next().expect("its end");
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&amp;", "&")]
        .into_iter()
        .fold(value.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}
