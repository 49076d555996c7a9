//! Saying who asks: by a password, or by a token that whom the registry names gives for one
//! ("Token Authentication Specification" of the Distribution project).

use serde::Deserialize;
use ureq::http::HeaderValue;
use ureq::http::header::AUTHORIZATION;

use super::Registry;
use super::ask::Answer;
use super::challenge::{self, Challenge};
use super::client;
use super::retry::Failed;
use super::url::Url;
use crate::Error;

/// The longest token with what is around it.
const LONGEST: u64 = 256 << 10;

/// What gives a token.
#[derive(Default, Deserialize)]
struct Given {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

impl Registry<'_> {
    /// Gets what the registry wants of who asks, for this request and those that follow.
    ///
    /// # Errors
    /// There is no user and password, or they are wrong; it wants something else.
    pub(super) fn log_in(&self, refused: &Answer) -> Result<(), Failed> {
        let doing = refused.doing();
        let wanted = challenge::choose(refused.headers("www-authenticate"));
        let value = match wanted {
            Some(Challenge::Basic) => {
                let value = self.basic().ok_or_else(|| self.nobody(doing))?;
                if self.authorization.borrow().as_ref() == Some(&value) {
                    return Err(self.wrong(doing));
                }
                value
            }
            Some(Challenge::Bearer {
                realm,
                service,
                scope,
            }) => {
                let asked = [("service", service), ("scope", scope)];
                self.token(doing, &realm, &asked)?
            }
            other => {
                let why = match other {
                    Some(Challenge::Other(scheme)) => {
                        format!("it wants to know who asks by {scheme:?}, which gaoler has not")
                    }
                    _ => "it wants to know who asks, and does not say how".to_owned(),
                };
                return Err(Error::new(doing, why).into());
            }
        };
        *self.authorization.borrow_mut() = Some(value);
        Ok(())
    }

    /// What a second refusal means.
    pub(super) fn not_let_in(&self, refused: Answer) -> Failed {
        let doing = refused.doing().to_owned();
        match self.account.credentials.is_some() {
            true => self.wrong(&doing),
            false => self.nobody(&doing),
        }
    }

    fn basic(&self) -> Option<HeaderValue> {
        let credentials = self.account.credentials.as_ref()?;
        header(&credentials.basic())
    }

    fn nobody(&self, doing: &str) -> Failed {
        let why = "it wants a user and a password, and none are known for it";
        Failed::Finally(Error::new(doing, why).hint(self.account.hint.clone()))
    }

    fn wrong(&self, doing: &str) -> Failed {
        let why = "it does not take this user and password, or does not let that user do this";
        Failed::Finally(Error::new(doing, why).hint(self.account.hint.clone()))
    }

    /// A token from who gives them.
    fn token(
        &self,
        doing: &str,
        realm: &str,
        asked: &[(&str, Option<String>)],
    ) -> Result<HeaderValue, Failed> {
        let url = Url::parse(realm).filter(|url| self.may_be_told(url));
        let Some(url) = url else {
            let why = format!(
                "it wants a password to be told to {realm:?}, which is no address with TLS"
            );
            return Err(Error::new(doing, why).into());
        };
        let mut request = self.agent.get(url.uri());
        for (name, value) in asked {
            if let Some(value) = value {
                request = request.query(*name, value);
            }
        }
        if let Some(value) = self.basic() {
            request = request.header(AUTHORIZATION, value);
        }
        let doing = format!("get a token from {} for {}", url.origin(), self.name);
        let answer = request.call();
        let answer = Answer::of(
            &doing,
            answer.map_err(|error| client::failed(&doing, error))?,
        );
        match answer.status().as_u16() {
            200 => {}
            401 | 403 => return Err(self.not_let_in(answer)),
            _ => return Err(answer.unexpected()),
        }
        let given: Given = serde_json::from_slice(&answer.bytes(LONGEST)?).unwrap_or_default();
        let token = given.token.or(given.access_token).unwrap_or_default();
        let value = header(&format!("Bearer {token}")).filter(|_| !token.is_empty());
        value.ok_or_else(|| Error::new(doing, "what it answers has no token in it").into())
    }

    /// Whether a password may be sent there: with TLS; without it only to the registry itself, and
    /// if whoever runs this has agreed to that.
    fn may_be_told(&self, url: &Url) -> bool {
        let origin = url.origin();
        origin.secure || origin == self.root.origin()
    }
}

/// A header that is not shown.
fn header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
