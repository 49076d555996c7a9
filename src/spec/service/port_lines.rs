//! The port that a configuration of lines names: `listen 80;`, `port = 5432`, `Listen *:8080`.
use super::PortLines;

/// The port in the first line of `text` that names one in plain words.
///
/// A line counts if its first word is one of the keywords, or without keywords each line; the port
/// is the number that its next word is, or that follows the last colon or `@` in it. A line with one
/// of the words for another protocol does not count, nor one without a port, as of a socket that is
/// a file.
pub fn listed_port(text: &str, lines: &PortLines) -> Option<u16> {
    text.lines().find_map(|line| port_of(line, lines))
}

fn port_of(line: &str, lines: &PortLines) -> Option<u16> {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '=' | ';' | '"' | '\'');
    let mut words = line.split(is_end).filter(|word| !word.is_empty());
    if !lines.keywords.is_empty() {
        let first = words.next()?.trim_end_matches(':');
        let is_one = |keyword: &String| keyword.eq_ignore_ascii_case(first);
        if !lines.keywords.iter().any(is_one) {
            return None;
        }
    }
    let place = words.next()?;
    let is_secured = |word: &str| lines.secured.iter().any(|secured| secured == word);
    if words.any(is_secured) {
        return None;
    }
    let (_, number) = place.rsplit_once([':', '@']).unwrap_or(("", place));
    number.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn port(keywords: &[&str], text: &str) -> Option<u16> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let lines = PortLines {
            command: Vec::new(),
            keywords: words(keywords),
            secured: words(&["ssl"]),
        };
        listed_port(text, &lines)
    }

    #[test]
    fn ports_as_configurations_name_them() {
        let nginx = "# listen 1;\n  listen unix:/run/x;\n listen [::]:443 ssl;\n\
                     \tlisten 127.0.0.1:8080 default_server;\n listen 9;";
        assert_eq!(port(&["listen"], nginx), Some(8080));
        assert_eq!(port(&["listen"], "Listen *:81 http"), Some(81));
        assert_eq!(port(&["port"], "port = 5433\t# (change"), Some(5433));
        assert_eq!(port(&["port"], "#port=5\nport=54"), Some(54));
        assert_eq!(port(&["interface"], "  interface: ::1@55"), Some(55));
        assert_eq!(port(&["port"], "server.port = 81\nport 0"), None);
        assert_eq!(port(&["listen"], "listen 127.0.0.1;"), None);
        assert_eq!(port(&[], "\n5353\n"), Some(5353));
        assert_eq!(port(&["port"], "port 65536"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "(?s)(port|listen|[ =:;0-9\n]|\\PC){0,40}") {
            port(&["port", "listen"], &text);
            port(&[], &text);
        }
    }
}
