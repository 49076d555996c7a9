//! Users and passwords for registries, as `podman login` and `docker login` keep them
//! (`containers-auth.json(5)`).

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Reference;
use crate::{Doing, Error, Result};

/// The largest file that is read.
const LARGEST: u64 = 1 << 20;

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    /// As the header `Authorization` has them (RFC 7617).
    pub fn basic(&self) -> String {
        let pair = format!("{}:{}", self.user, self.password);
        format!("Basic {}", STANDARD.encode(pair))
    }

    fn decoded(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.trim()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (user, password) = text.split_once(':')?;
        (!user.is_empty()).then(|| Self {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }
}

/// Nothing that is printed by accident has a password in it.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// What is known of who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// User and password.
    pub credentials: Option<Credentials>,
    /// What to do where there are none, or wrong ones.
    pub hint: String,
}

/// One of these files.
#[derive(Default, Deserialize)]
struct Accounts {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default, rename = "identitytoken")]
    identity_token: Option<String>,
}

/// What a file has for a repository.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Credentials(Credentials),
    /// Something that gaoler does not use, in words.
    Unused(String),
    Nothing,
}

/// Looks in the file that was named, or else in the usual ones, in their order.
///
/// # Errors
/// The file that was named is not there; a file cannot be read, or is none of these.
pub fn account(reference: &Reference, named: Option<&Path>) -> Result<Account> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let named = named
        .map(Path::to_owned)
        .or_else(|| variable("REGISTRY_AUTH_FILE"));
    let registry = &reference.registry;
    let files = match named {
        Some(file) => vec![file],
        None => usual(&variable)
            .into_iter()
            .filter(|file| file.exists())
            .collect(),
    };
    let mut unused = None;
    for file in files {
        let doing = || format!("read the accounts in {}", file.display());
        let accounts = read(&file).doing(doing)?;
        let found = find(&accounts, reference).map_err(|why| Error::usage(doing(), why))?;
        match found {
            Found::Credentials(credentials) => {
                return Ok(Account {
                    credentials: Some(credentials),
                    hint: format!("user and password are those of {}", file.display()),
                });
            }
            Found::Unused(why) => {
                unused.get_or_insert_with(|| format!("{} has {why}; ", file.display()));
            }
            Found::Nothing => {}
        }
    }
    Ok(Account {
        credentials: None,
        hint: format!(
            "{}log in first: podman login {registry}; or name a file that has user and password: \
             --auth-file FILE",
            unused.unwrap_or_default()
        ),
    })
}

/// Where they are if nobody says so.
fn usual(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let of_podman = match variable("XDG_RUNTIME_DIR") {
        Some(directory) => directory.join("containers/auth.json"),
        None => PathBuf::from(format!("/run/containers/{uid}/auth.json")),
    };
    let home = variable("HOME");
    let of_docker = home.map(|home| home.join(".docker/config.json"));
    [of_podman].into_iter().chain(of_docker).collect()
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a file has for this repository: the entry that names most of it counts.
fn find(file: &[u8], reference: &Reference) -> Result<Found, String> {
    let accounts: Accounts =
        serde_json::from_slice(file).map_err(|error| format!("it is not such a file: {error}"))?;
    let whole = format!("{}/{}", reference.registry, reference.repository);
    let names = std::iter::successors(Some(whole.as_str()), |name| {
        name.rsplit_once('/').map(|(above, _)| above)
    });
    for name in names {
        let mut entries = accounts.auths.iter();
        let Some((_, entry)) = entries.find(|(key, _)| plain(key) == name) else {
            continue;
        };
        match (&entry.auth, &entry.identity_token) {
            (Some(text), _) if !text.is_empty() => {
                let wrong = || format!("the entry for {name} is not USER:PASSWORD in base64");
                return Credentials::decoded(text)
                    .map(Found::Credentials)
                    .ok_or_else(wrong);
            }
            (_, Some(_)) => {
                let words = "an identity token for it, which gaoler does not use";
                return Ok(Found::Unused(words.to_owned()));
            }
            // A helper has what is missing here.
            _ => {}
        }
    }
    let helper = accounts.helpers.get(&reference.registry);
    Ok(match helper.or(accounts.store.as_ref()) {
        Some(helper) => Found::Unused(format!(
            "the credential helper {helper:?} for it, a program, which gaoler does not run"
        )),
        None => Found::Nothing,
    })
}

/// Docker has entries as `https://r.example/v1/`.
fn plain(key: &str) -> &str {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1")
        .or_else(|| key.strip_suffix("/v2"))
        .unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference() -> Reference {
        "r.example:5000/team/named:1".parse().unwrap()
    }

    fn found(file: &str) -> Result<Found, String> {
        find(file.as_bytes(), &reference())
    }

    fn of(user: &str, password: &str) -> Found {
        Found::Credentials(Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    fn entry(name: &str, pair: &str) -> String {
        format!("\"{name}\": {{\"auth\": \"{}\"}}", STANDARD.encode(pair))
    }

    #[test]
    fn the_entry_that_names_most_of_it_counts() {
        let all = [
            entry("r.example:5000", "registry:1"),
            entry("r.example:5000/team", "team:2:3"),
            entry("r.example:5000/team/other", "other:4"),
            entry("r.example", "elsewhere:5"),
        ];
        let file = format!("{{\"auths\": {{{}}}}}", all.join(","));
        assert_eq!(found(&file), Ok(of("team", "2:3")));
        let file = format!("{{\"auths\": {{{}}}}}", all[0]);
        assert_eq!(found(&file), Ok(of("registry", "1")));
        let file = format!("{{\"auths\": {{{}}}}}", all[3]);
        assert_eq!(found(&file), Ok(Found::Nothing));
        let docker = entry("https://r.example:5000/v1/", "docker:6");
        let file = format!("{{\"auths\": {{{docker}}}, \"other\": 1}}");
        assert_eq!(found(&file), Ok(of("docker", "6")));
    }

    #[test]
    fn what_is_not_used_is_said() {
        for file in [
            "{\"credsStore\": \"secretservice\"}",
            "{\"credHelpers\": {\"r.example:5000\": \"ecr-login\"}}",
            "{\"auths\": {\"r.example:5000\": {}}, \"credsStore\": \"pass\"}",
            "{\"auths\": {\"r.example:5000\": {\"identitytoken\": \"x\"}}}",
        ] {
            assert!(matches!(found(file), Ok(Found::Unused(_))), "{file}");
        }
        let others = "{\"credHelpers\": {\"other.example\": \"ecr-login\"}}";
        assert_eq!(found(others), Ok(Found::Nothing));
    }

    #[test]
    fn what_is_no_such_file_is_an_error() {
        for file in [
            "",
            "1",
            "{\"auths\": 1}",
            "{\"auths\": {\"r.example:5000\": {\"auth\": \"***\"}}}",
            "{\"auths\": {\"r.example:5000\": {\"auth\": \"bm9jb2xvbg==\"}}}",
        ] {
            assert!(found(file).is_err(), "{file}");
        }
    }

    #[test]
    fn the_usual_files_are_those_of_podman_and_docker() {
        let uid = rustix::process::getuid().as_raw();
        let set = |name: &str| match name {
            "HOME" => Some(PathBuf::from("/h")),
            _ => None,
        };
        let expected = [
            format!("/run/containers/{uid}/auth.json"),
            "/h/.docker/config.json".to_owned(),
        ];
        assert_eq!(usual(&set), expected.map(PathBuf::from));
        let set = |name: &str| (name == "XDG_RUNTIME_DIR").then(|| PathBuf::from("/r"));
        assert_eq!(usual(&set), [PathBuf::from("/r/containers/auth.json")]);
    }

    #[test]
    fn a_password_is_not_shown() {
        let Ok(Found::Credentials(credentials)) = found(&format!(
            "{{\"auths\": {{{}}}}}",
            entry("r.example:5000", "me:secret")
        )) else {
            panic!()
        };
        let shown = format!("{credentials:?}");
        assert!(shown.contains("me") && !shown.contains("secret"), "{shown}");
        assert_eq!(credentials.basic(), "Basic bWU6c2VjcmV0");
    }

    proptest! {
        #[test]
        fn any_pair_comes_back(user in "[^:]{1,20}", password in ".{0,20}") {
            let file = format!(
                "{{\"auths\": {{{}}}}}",
                entry("r.example:5000", &format!("{user}:{password}"))
            );
            prop_assert_eq!(found(&file), Ok(of(&user, &password)));
        }
    }
}
