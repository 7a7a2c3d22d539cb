//! A browser at the web console: its cookie, its CSRF token, its origin.
#![allow(dead_code, reason = "each test file uses its part")]

use super::{Server, client, command};
use serde_json::{Value, json};

/// Name of the cookie.
pub const COOKIE: &str = "__Host-vitrine-console";

/// Somebody who has signed in at the console, or has not yet.
#[derive(Clone)]
pub struct Browser {
    pub http: reqwest::Client,
    /// `https://host:port`, without a slash at the end.
    pub base: String,
    pub cookie: String,
    pub csrf: String,
}

impl Browser {
    pub fn new(http: reqwest::Client, base: &str) -> Self {
        Self {
            http,
            base: base.to_owned(),
            cookie: String::new(),
            csrf: String::new(),
        }
    }

    /// Somebody made by `command::add_user`, signed in.
    pub async fn at(s: &Server, user: &str) -> Self {
        let mut browser = Self::new(client(&s.data), &s.url(""));
        browser.sign_in(user, command::password(user).trim()).await;
        browser
    }

    /// The answer to a sign-in; a cookie that the browser has goes with it.
    pub async fn try_sign_in(&self, user: &str, secret: &str) -> reqwest::Response {
        let asked = self
            .http
            .post(format!("{}/console/api/sign-in", self.base))
            .header("origin", &self.base)
            .json(&json!({"user": user, "secret": secret}));
        let asked = if self.cookie.is_empty() {
            asked
        } else {
            asked.header("cookie", format!("{COOKIE}={}", self.cookie))
        };
        asked.send().await.unwrap()
    }

    /// Signs in with what is given; gives the session.
    pub async fn sign_in(&mut self, user: &str, secret: &str) -> Value {
        let answer = self.try_sign_in(user, secret).await;
        let status = answer.status();
        let set = answer
            .headers()
            .get("set-cookie")
            .map(|v| v.to_str().unwrap().to_owned());
        let session: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{session}");
        let set = set.expect("a cookie");
        let (pair, attributes) = set.split_once(';').unwrap();
        assert_eq!(attributes, " Path=/; Secure; HttpOnly; SameSite=Strict");
        let (name, token) = pair.split_once('=').unwrap();
        assert_eq!((name, token.len()), (COOKIE, 64));
        self.cookie = token.to_owned();
        self.csrf = session["csrf"].as_str().unwrap().to_owned();
        session
    }

    pub fn asks(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        self.http
            .request(method, format!("{}{path}", self.base))
            .header("cookie", format!("{COOKIE}={}", self.cookie))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        read(self.asks("GET", path)).await
    }

    /// What the page does for everything that changes something.
    pub fn posting(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.asks("POST", path)
            .header("origin", &self.base)
            .header("x-vitrine-csrf", &self.csrf)
            .json(body)
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        read(self.posting(path, &body)).await
    }

    /// Whether it is signed in.
    pub async fn is_in(&self) -> bool {
        match self.get("/console/api/session").await {
            (200, _) => true,
            (401, refusal) => {
                assert_eq!(refusal["error"], "not-signed-in");
                false
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Sends it; gives status and JSON, null for an empty body.
pub async fn read(asked: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = asked.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    if text.is_empty() {
        return (status, Value::Null);
    }
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
