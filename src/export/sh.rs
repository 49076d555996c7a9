//! Text for `sh` (POSIX.1-2017, "Shell Command Language"): what stands between the quotes of this
//! file means itself.

use std::path::Path;

use crate::{Error, Result};

/// A comment of one line.
pub fn comment(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("# {}", plain.trim()).trim_end().to_owned()
}

/// A word that means itself.
///
/// # Errors
/// It has a NUL in it, which no word of a command can have.
pub fn word(text: &str) -> Result<String> {
    if text.contains('\0') {
        return Err(Error::usage(
            format!("write {text:?} into a script"),
            "no argument of a command can have a NUL in it",
        ));
    }
    let simple = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+".contains(c);
    Ok(match !text.is_empty() && text.chars().all(simple) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    })
}

/// A variable and its value, for `env(1)`.
///
/// # Errors
/// It has no name, or one that ends elsewhere.
pub fn assignment(name: &str, value: &str) -> Result<String> {
    if name.is_empty() || name.contains('=') {
        return Err(Error::usage(
            format!("give the service the variable {name:?}"),
            "a variable has a name, without = in it",
        ));
    }
    word(&format!("{name}={value}"))
}

/// Words, with spaces between them.
///
/// # Errors
/// As [`word`].
pub fn words<'a>(all: impl IntoIterator<Item = &'a str>) -> Result<String> {
    let quoted: Result<Vec<String>> = all.into_iter().map(word).collect();
    Ok(quoted?.join(" "))
}

/// An absolute path.
///
/// # Errors
/// It is none, or no text.
pub fn path(path: &Path) -> Result<String> {
    match path.to_str().filter(|text| text.starts_with('/')) {
        Some(text) => word(text),
        None => Err(Error::usage(
            format!("write {path:?} into a script"),
            "it is no absolute path, or no text",
        )
        .hint("give it another path, or leave it out of the spec")),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_quoted_means_itself() {
        let texts = [
            "",
            "a",
            "a b",
            "it's",
            "$HOME",
            "`id`",
            "\\",
            "two\nlines",
            "*",
            "~",
            "#x",
            "é",
            "-n",
            "a=b",
            ";",
            "'",
            "''",
            "!x",
            "{a,b}",
        ];
        for text in texts {
            let script = format!("printf %s {}", word(text).unwrap());
            let told = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(told.stdout).unwrap(), text);
        }
        assert!(word("a\0b").is_err());
        assert!(path(Path::new("relative")).is_err());
        assert!(assignment("a=b", "c").is_err() && assignment("", "c").is_err());
        assert_eq!(assignment("a b", "c").unwrap(), "'a b=c'");
    }

    #[test]
    fn nothing_leaves_a_comment() {
        assert_eq!(comment("a\nrm -r /\r"), "# a rm -r /");
    }
}
