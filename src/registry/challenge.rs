//! How a registry wants to know who asks: the header `WWW-Authenticate` (RFC 9110, 11.6.1), with the
//! schemes `Basic` (RFC 7617) and `Bearer` as Docker's registries have it ("Token Authentication
//! Specification").

/// One way to say who one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// User and password.
    Basic,
    /// A token, which somebody else gives.
    Bearer {
        /// The address of who gives it.
        realm: String,
        /// For whom it is.
        service: Option<String>,
        /// For what.
        scope: Option<String>,
    },
    /// A scheme that gaoler has not.
    Other(String),
}

/// What of these headers gaoler can do: a token rather than a password, which then is shown to fewer.
pub fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut all: Vec<Challenge> = headers.flat_map(challenges).collect();
    let rank = |challenge: &Challenge| match challenge {
        Challenge::Bearer { .. } => 0,
        Challenge::Basic => 1,
        Challenge::Other(_) => 2,
    };
    all.sort_by_key(rank);
    all.into_iter().next()
}

/// The challenges of one header. What is not well-formed is passed over.
pub fn challenges(header: &str) -> Vec<Challenge> {
    let mut found: Vec<(&str, Vec<(&str, String)>)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            let mut characters = rest.chars();
            match characters.next() {
                Some(_) => rest = characters.as_str(),
                None => break,
            }
            continue;
        }
        rest = after;
        // A name before '=' is a parameter of the last scheme, anything else is a scheme.
        match after.trim_start_matches([' ', '\t']).strip_prefix('=') {
            None => found.push((word, Vec::new())),
            Some(after) => {
                let (value, after) = value(after.trim_start_matches([' ', '\t']));
                rest = after;
                if let (Some((_, parameters)), Some(value)) = (found.last_mut(), value) {
                    parameters.push((word, value));
                }
            }
        }
    }
    found.into_iter().map(challenge).collect()
}

fn challenge((scheme, parameters): (&str, Vec<(&str, String)>)) -> Challenge {
    let parameter = |name: &str| {
        let mut named = parameters
            .iter()
            .filter(|(given, _)| given.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.clone())
    };
    if scheme.eq_ignore_ascii_case("basic") {
        return Challenge::Basic;
    }
    match parameter("realm") {
        Some(realm) if scheme.eq_ignore_ascii_case("bearer") => Challenge::Bearer {
            realm,
            service: parameter("service"),
            scope: parameter("scope"),
        },
        _ => Challenge::Other(scheme.to_owned()),
    }
}

/// A token (RFC 9110, 5.6.2), and what follows it.
fn token(text: &str) -> (&str, &str) {
    let part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !part(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// The value of a parameter, if it is one, and what follows it.
fn value(text: &str) -> (Option<String>, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, after) = token(text);
        return ((!word.is_empty()).then(|| word.to_owned()), after);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(next) = characters.next() {
        match next {
            '"' => return (Some(value), characters.as_str()),
            '\\' => value.extend(characters.next()),
            other => value.push(other),
        }
    }
    // It does not end: then nobody knows what it is.
    (None, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn registries_are_understood() {
        let header = "Bearer realm=\"https://auth.example/token\",service=\"r.example\",\
                      scope=\"repository:a/b:pull,push\"";
        let expected = bearer(
            "https://auth.example/token",
            Some("r.example"),
            Some("repository:a/b:pull,push"),
        );
        assert_eq!(challenges(header), [expected]);
        let header = "Basic realm=\"a, Bearer realm=\\\"no\\\"\", charset=\"UTF-8\"";
        assert_eq!(challenges(header), [Challenge::Basic]);
    }

    #[test]
    fn several_schemes_can_be_in_one_header_or_in_many() {
        let header = "Negotiate YWJj==, BASIC realm=x , bearer Realm = \"https://t\" , service=s";
        let all = [
            Challenge::Other("Negotiate".to_owned()),
            Challenge::Basic,
            bearer("https://t", Some("s"), None),
        ];
        assert_eq!(challenges(header), all);
        assert_eq!(choose([header].into_iter()), Some(all[2].clone()));
        assert_eq!(
            choose(["Digest realm=\"x\"", "Basic"].into_iter()),
            Some(Challenge::Basic)
        );
        assert_eq!(choose([""].into_iter()), None);
    }

    #[test]
    fn what_is_not_well_formed_is_passed_over() {
        for (header, expected) in [
            ("realm=\"https://t\"", vec![]),
            ("Bearer", vec![Challenge::Other("Bearer".to_owned())]),
            (
                "Bearer realm=\"https://t",
                vec![Challenge::Other("Bearer".to_owned())],
            ),
            (
                "Bearer realm=\"https://t\\",
                vec![Challenge::Other("Bearer".to_owned())],
            ),
            ("\"\u{7f}\u{e9}=,;=", vec![]),
            (
                "Bearer realm=\"one\",realm=\"two\"",
                vec![bearer("one", None, None)],
            ),
        ] {
            assert_eq!(challenges(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_value_comes_back(realm in "[ -~\u{e9}]{0,40}", scope in "[ -~]{0,40}") {
            let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("Bearer realm=\"{}\", scope=\"{}\"", quote(&realm), quote(&scope));
            prop_assert_eq!(challenges(&header), [bearer(&realm, None, Some(&scope))]);
        }

        #[test]
        fn any_header_is_survived(header in "(Bearer |Basic|realm=|[\"\\\\,= a\u{e9}]){0,40}") {
            prop_assert!(challenges(&header).len() <= header.len());
        }
    }
}
