//! What a message becomes: examples, then anything at all.

use proptest::prelude::*;

use super::*;

const DNS: Source<'_> = Source {
    jail: "dns",
    generation: 3,
    pid: 42,
};

fn rewritten(input: &[u8]) -> String {
    let mut out = Vec::new();
    rewrite(input, &DNS, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn examples() {
    let cases: [(&[u8], &str); 38] = [
        (b"<30>named[7]: up", "<30>dns/3/named[42]: up"),
        (b"<30>named: up", "<30>dns/3/named[42]: up"),
        (b"<30>Nov 21 22:41:00 named[7]: up", "<30>Nov 21 22:41:00 dns/3/named[42]: up"),
        (b"<30>Nov  1 22:41:60 named[7]: up", "<30>Nov  1 22:41:60 dns/3/named[42]: up"),
        (b"<30>Nov 21 22:41:00 up", "<30>Nov 21 22:41:00 dns/3/-[42]: up"),
        // Not a time: text.
        (b"<30>Nov 32 22:41:00 a: b", "<30>dns/3/-[42]: Nov 32 22:41:00 a: b"),
        (b"<30>Nov 21 24:41:00 a: b", "<30>dns/3/-[42]: Nov 21 24:41:00 a: b"),
        (b"<30>nov 21 22:41:00 a: b", "<30>dns/3/-[42]: nov 21 22:41:00 a: b"),
        (b"<30>Nov 21 22:41:00", "<30>dns/3/-[42]: Nov 21 22:41:00"),
        // Priorities.
        (b"up", "<13>dns/3/-[42]: up"),
        (b"", "<13>dns/3/-[42]: "),
        (b"<0>panic", "<24>dns/3/-[42]: panic"),
        (b"<7>k: debug", "<31>dns/3/k[42]: debug"),
        (b"<191>x", "<191>dns/3/-[42]: x"),
        (b"<192>x", "<13>dns/3/-[42]: <192>x"),
        (b"<>x", "<13>dns/3/-[42]: <>x"),
        (b"<-1>x", "<13>dns/3/-[42]: <-1>x"),
        (b"<+1>x", "<13>dns/3/-[42]: <+1>x"),
        (b"<0030>x", "<13>dns/3/-[42]: <0030>x"),
        (b"<30", "<13>dns/3/-[42]: <30"),
        // Tags.
        (b"<30>postfix/smtpd[7]: x", "<30>dns/3/postfix/smtpd[42]: x"),
        (b"<30>(sd-pam): x", "<30>dns/3/(sd-pam)[42]: x"),
        // What gaoler says of a jail itself, nobody in one says.
        (b"<28>gaoler[7]: nothing differs", "<28>dns/3/-[42]: gaoler[7]: nothing differs"),
        (b"<30>1 - - Gaoler - - - up", "<30>dns/3/-[42]: up"),
        (b"<30>a[1]:b: x", "<30>dns/3/-[42]: a[1]:b: x"),
        (b"<30>a[b]: x", "<30>dns/3/-[42]: a[b]: x"),
        (b"<30>[1]: x", "<30>dns/3/-[42]: [1]: x"),
        (b"<30>: x", "<30>dns/3/-[42]: : x"),
        (b"<30>a:", "<30>dns/3/a[42]: "),
        (b"<30>\xC3\xA9: x", "<30>dns/3/-[42]: \u{e9}: x"),
        // Control characters, and what is not UTF-8.
        (b"a\nb\x1B[2J\0c\t\x7F \r\n\0", "<13>dns/3/-[42]: a#012b#033[2J#000c#011#177"),
        (b"\xC2\x9B \x9B \xFF \xE2\x82", "<13>dns/3/-[42]: #302#233 #233 #377 #342#202"),
        ("gr\u{fc}\u{df} \u{1f600}".as_bytes(), "<13>dns/3/-[42]: gr\u{fc}\u{df} \u{1f600}"),
        // RFC 5424.
        (
            b"<165>1 2003-10-11T22:14:15.003Z host evntslog 8 ID47 [a@1 b=\"]\\\"\"][c] \xEF\xBB\xBFup",
            "<165>dns/3/evntslog[42]: up",
        ),
        (b"<30>1 - - named - - - up", "<30>dns/3/named[42]: up"),
        (b"<30>1 - - - - - [a b=\"c\"]", "<30>dns/3/-[42]: [a b=\"c\"]"),
        (b"<30>1 - - x[1]: - - - up", "<30>dns/3/-[42]: up"),
        (b"<30>1 - - named - - [a", "<30>dns/3/-[42]: 1 - - named - - [a"),
    ];
    for (input, expected) in cases {
        assert_eq!(rewritten(input), expected, "{}", input.escape_ascii());
    }
}

#[test]
fn a_forged_header_is_text() {
    let forged = b"<30>x: hello\n<0>Nov 21 22:41:00 host sshd[1]: Accepted password for root";
    let text = rewritten(forged);
    assert!(
        text.starts_with("<30>dns/3/x[42]: hello#012<0>Nov"),
        "{text}"
    );
    assert_eq!(
        rewritten(b"<30>web/nginx[1]: x"),
        "<30>dns/3/web/nginx[42]: x"
    );
}

/// Pieces of messages, so that random ones get past the first check.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            &b"<30>"[..],
            b"<0>",
            b"<999>",
            b"1 ",
            b"- ",
            b"Nov 21 22:41:00 ",
            b"named",
            b"[1]",
            b": ",
            b":",
            b" ",
            b"[a b=\"c\"]",
            b"\"",
            b"\\",
            b"]",
            b"\n",
            b"\0",
            b"\x1B[",
            b"\xC2\x85",
            b"\xEF\xBB\xBF",
            b"web/x[9]: ",
        ])
        .prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..20),
        any::<String>().prop_map(String::into_bytes),
        (any::<u8>(), 0usize..3000).prop_map(|(byte, count)| vec![byte; count]),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// After `<PRI>` and perhaps a time: `jail/generation/TAG[pid]: `, with no way to read it differently.
fn check_header(text: &str, jail: &str, pid: i32) -> Result<(), TestCaseError> {
    let (priority, rest) = text.strip_prefix('<').unwrap().split_once('>').unwrap();
    prop_assert!((8..192).contains(&priority.parse::<u8>().unwrap()));
    let source = format!("{jail}/3/");
    let rest = if rest.starts_with(&source) {
        rest
    } else {
        &rest[16..]
    };
    let after = rest.strip_prefix(&source);
    prop_assert!(after.is_some(), "{}", text);
    let (tag, after) = after.unwrap().split_once('[').unwrap();
    prop_assert!(
        !tag.is_empty() && tag.len() <= 48 && !tag.contains([' ', ':', ']']),
        "{}",
        tag
    );
    prop_assert!(after.starts_with(&format!("{pid}]: ")), "{}", text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn anything_is_rewritten(input in message(), jail in "[a-z0-9_.-]{1,64}", pid in 0i32..) {
        let mut out = Vec::with_capacity(LIMIT);
        rewrite(&input, &Source { jail: &jail, pid, ..DNS }, &mut out);
        prop_assert!(out.len() <= LIMIT && out.capacity() == LIMIT);
        let text = str::from_utf8(&out).unwrap();
        prop_assert!(!text.chars().any(char::is_control), "{}", text);
        check_header(text, &jail, pid)?;
    }

    #[test]
    fn a_short_text_arrives_whole(text in "[a-zA-Z0-9 #\u{e9}]{0,200}") {
        let input = format!("<30>named[1]: {text}");
        let expected = format!("<30>dns/3/named[42]: {}", text.trim_end_matches(' '));
        // A trailing blank of the header goes with those of an empty text.
        let expected = if text.trim().is_empty() { "<30>dns/3/named[42]: ".into() } else { expected };
        prop_assert_eq!(rewritten(input.as_bytes()), expected);
    }

    #[test]
    fn a_jail_name_cannot_break_out(input in message(), jail in any::<String>()) {
        let mut out = Vec::with_capacity(LIMIT);
        rewrite(&input, &Source { jail: &jail, ..DNS }, &mut out);
        prop_assert!(out.len() <= LIMIT && out.capacity() == LIMIT);
        prop_assert!(!str::from_utf8(&out).unwrap().chars().any(char::is_control));
    }

    #[test]
    fn a_line_is_one_line(input in message(), truncated: bool) {
        let mut out = Vec::with_capacity(LIMIT);
        let message = Message { truncated, ..Message::parse(&input) };
        let whole = message.to_line(0, &DNS, &mut out);
        prop_assert!(out.len() <= LIMIT && out.capacity() == LIMIT);
        let text = str::from_utf8(&out).unwrap();
        prop_assert_eq!(text.chars().filter(|char| char.is_control()).count(), 1);
        prop_assert!(text.ends_with('\n') && text.starts_with("1970-01-01T00:00:00Z "));
        prop_assert_eq!(!whole, text.ends_with(" [truncated]\n"));
    }

    #[test]
    fn the_journal_gets_its_fields_and_no_others(input in message()) {
        let mut out = Vec::with_capacity(LIMIT);
        Message::parse(&input).to_journal(&DNS, &[], &mut out);
        prop_assert!(out.len() <= LIMIT && out.capacity() == LIMIT);
        let split = out.windows(9).position(|part| part == b"\nMESSAGE\n").unwrap();
        let fields = str::from_utf8(&out[..split]).unwrap();
        let names: Vec<&str> = fields.lines().map(|line| line.split_once('=').unwrap().0).collect();
        let expected = [
            "PRIORITY",
            "SYSLOG_FACILITY",
            "SYSLOG_IDENTIFIER",
            "SYSLOG_PID",
            "GAOLER_JAIL",
            "GAOLER_GENERATION",
        ];
        prop_assert_eq!(names, expected);
        let length = u64::from_le_bytes(out[split + 9..split + 17].try_into().unwrap()) as usize;
        let message = &out[split + 17..];
        prop_assert_eq!(message.len(), length + 1);
        prop_assert_eq!(message[length], b'\n');
        let text = str::from_utf8(&message[..length]).unwrap();
        prop_assert!(!text.chars().any(char::is_control));
    }

    #[test]
    fn a_collector_gets_a_header_that_is_gaolers_own(
        input in message(),
        jail in "[a-z0-9_.-]{1,64}",
        limit in prop::sample::select(vec![2048, LIMIT]),
    ) {
        let mut out = Vec::with_capacity(LIMIT);
        let arrival = Arrival { seconds: 951_782_400, microseconds: 42, host: "a host\n" };
        let source = Source { jail: &jail, ..DNS };
        let whole = Message::parse(&input).to_ietf(&arrival, &source, limit, &mut out);
        prop_assert!(out.len() <= limit);
        let text = str::from_utf8(&out).unwrap();
        prop_assert!(!text.chars().any(char::is_control));
        let words: Vec<&str> = text.splitn(7, ' ').collect();
        let [head, time, host, name, process, kind, rest] = words[..] else {
            return Err(TestCaseError::fail(text.to_owned()));
        };
        let priority = head.strip_prefix('<').and_then(|head| head.strip_suffix(">1")).unwrap();
        prop_assert!((8..192).contains(&priority.parse::<u8>().unwrap()));
        prop_assert_eq!((time, host), ("2000-02-29T00:00:00.000042Z", "ahost"));
        let start: String = format!("{jail}/").chars().take(48).collect();
        prop_assert!(name.len() <= 48 && name.starts_with(&start));
        prop_assert_eq!((process, kind), ("42", "-"));
        let data = format!("[gaoler@32473 jail=\"{jail}\" generation=\"3\" pid=\"42\"] ");
        prop_assert!(rest.starts_with(&data), "{}", rest);
        prop_assert_eq!(!whole, rest.ends_with(" [truncated]"));
    }
}
