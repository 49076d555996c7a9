use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Option<(String, Option<String>)> {
    parse_script(text.as_bytes())
}

#[test]
fn the_first_line_names_the_interpreter() {
    let plain = |path: &str| Some((path.to_owned(), None));
    assert_eq!(parsed("#!/bin/sh\necho"), plain("/bin/sh"));
    assert_eq!(parsed("#! \t/bin/sh \n"), plain("/bin/sh"));
    assert_eq!(parsed("#!/bin/sh"), plain("/bin/sh"));
    let argument = Some(("/usr/bin/env".to_owned(), Some("-S perl -w".to_owned())));
    assert_eq!(parsed("#!/usr/bin/env  -S perl -w \n"), argument);
}

#[test]
fn what_names_no_interpreter_is_no_script() {
    assert_eq!(parsed("#!\n/bin/sh"), None);
    assert_eq!(parsed("#!  "), None);
    assert_eq!(parsed("# !/bin/sh"), None);
    assert_eq!(parsed(&format!("#!/{}", "x".repeat(SCRIPT_LINE - 3))), None);
}

proptest! {
    #[test]
    fn any_bytes_are_parsed(bytes in prop::collection::vec(any::<u8>(), 0..SCRIPT_LINE)) {
        parse_script(&bytes);
        parse_script(&[b"#!", bytes.as_slice()].concat());
    }
}
