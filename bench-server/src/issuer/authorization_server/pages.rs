//! The pages that people see: plain forms, no script, nothing loaded from elsewhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use minijinja::{Environment, Value, context};

use super::opaque;

const STYLE: &str = include_str!("pages/style.css");

/// Names end in `.html`, which is what switches escaping on.
const TEMPLATES: [(&str, &str); 5] = [
    ("base.html", include_str!("pages/base.html")),
    ("consent.html", include_str!("pages/consent.html")),
    ("error.html", include_str!("pages/error.html")),
    ("grants.html", include_str!("pages/grants.html")),
    ("login.html", include_str!("pages/login.html")),
];

/// Renders pages.
pub(super) struct Pages {
    templates: Environment<'static>,
    headers: [(HeaderName, HeaderValue); 6],
}

impl Pages {
    pub(super) fn new() -> Self {
        let mut templates = Environment::new();
        for (name, source) in TEMPLATES {
            templates.add_template(name, source).expect("the built-in templates are tested");
        }
        templates.add_global("style", STYLE);
        // No form-action: Chromium applies it to the redirect that follows a form too, and so would keep the user from
        // returning to the client. default-src does not stand in for it, and no page contains foreign markup.
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; frame-ancestors 'none'",
            STANDARD.encode(opaque::digest(STYLE))
        );
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (CONTENT_SECURITY_POLICY, HeaderValue::try_from(policy).expect("visible ASCII")),
            (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        Self { templates, headers }
    }

    /// A page from one of [`TEMPLATES`].
    pub(super) fn show(&self, status: StatusCode, name: &str, values: Value) -> Response<Bytes> {
        let template = self.templates.get_template(name).expect("named in TEMPLATES");
        let html = template.render(values).expect("the built-in templates are tested");
        let mut response = Response::new(Bytes::from(html));
        *response.status_mut() = status;
        response.headers_mut().extend(self.headers.iter().cloned());
        response
    }

    /// What went wrong, in words for the person in front of the browser.
    pub(super) fn error(&self, status: StatusCode, message: &str) -> Response<Bytes> {
        self.show(status, "error.html", context! { message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_escaped() {
        let values = context! { client => "<script>alert(1)</script>", action => "/login?a=\"><b>", csrf_token => "t" };
        let page = Pages::new().show(StatusCode::OK, "login.html", values);
        let html = String::from_utf8(page.into_body().to_vec()).expect("UTF-8");
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>") && !html.contains("\"><b>"), "{html}");
    }

    #[test]
    fn the_policy_allows_the_style_sheet_and_nothing_else() {
        let page = Pages::new().error(StatusCode::BAD_REQUEST, "x");
        let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().expect("ASCII").to_owned();
        let html = String::from_utf8(page.into_body().to_vec()).expect("UTF-8");
        let style = html.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).expect("a style sheet");
        assert!(policy.contains(&STANDARD.encode(opaque::digest(style))), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"));
    }
}
